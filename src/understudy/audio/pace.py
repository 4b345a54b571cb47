"""How long a text takes to say: the bounds between which audio can be its whole speech."""

from __future__ import annotations

import itertools

MIN_MS_PER_CHARACTER = 35
"""Half of what fast English speech takes (about 70 ms a letter); a Han character or a digit takes longer."""

MAX_MS_PER_CHARACTER = 1_500
"""A number or a sign read out in full takes about a second a character; past it the synthesis ran away."""

ALLOWANCE_MS = 10_000
MAX_RUN = 2


def spoken_characters(text: str) -> int:
    """Count letters and digits, a run of one character at most twice: ``aaaaaah`` is not six syllables."""
    return sum(
        min(MAX_RUN, len(list(run))) for character, run in itertools.groupby(text) if character.isalnum()
    )


def shortest_ms(text: str) -> int:
    """Milliseconds under which audio holds only part of ``text``."""
    return MIN_MS_PER_CHARACTER * spoken_characters(text)


def longest_ms(text: str) -> int:
    """Milliseconds over which audio holds more than ``text``: the synthesis ran away."""
    visible = sum(1 for character in text if not character.isspace())
    return ALLOWANCE_MS + MAX_MS_PER_CHARACTER * visible
