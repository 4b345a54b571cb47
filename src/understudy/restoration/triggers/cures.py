"""What can cure a finding: the actions that a policy may name (design.md's finding-to-cure table)."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ActionName = Literal[
    "close_valve",
    "throttle_tenant",
    "env_switch",
    "quarantine_and_repair",
    "reapply_settings",
    "close_reads",
    "code_rollback",
    "database_restore",
]
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
#: ``shadow`` counts what it would have done, ``pause`` opens an incident and asks a person, ``auto`` acts.
Mode = Literal["shadow", "pause", "auto"]
Cures = Annotated[list[ActionName], Field(min_length=1, description="First cure first.")]


def action_named(name: str) -> ActionName | None:
    """Return the action of that name, if there is one."""
    return next((action for action in ACTIONS if action == name), None)


def _readable(text: str) -> str:
    """Refuse what a terminal obeys, or what shows text in another order than it is written in."""
    for character in text:
        kind = unicodedata.category(character)
        turns = unicodedata.bidirectional(character) in _TURNS or character in _MARKS
        if (kind in _UNPRINTABLE and character != "\n") or turns:
            raise ValueError(f"holds U+{ord(character):04X}, a control or direction character; leave it out")
    return text


_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_MARKS = frozenset("\u200e\u200f\u061c")
#: Text for people: something stands in it, and it reads as it is written.
Words = Annotated[str, Field(min_length=1), AfterValidator(_readable)]


class Part(BaseModel):
    """A part of the policy: strict, frozen, and nothing unknown in it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Check(Part):
    """What every check of a trigger says of itself."""

    mode: Mode
    """What a FAIL does: `shadow` counts it, `pause` opens an incident and asks a person, `auto` acts."""
    cures: Cures
    """What cures it, first cure first; each is explained under `cures`."""
