"""Text of strangers, made safe to print: on a terminal, in a chat, in a report."""

from __future__ import annotations

import unicodedata

#: Control characters (a terminal obeys ESC), format characters (U+202E turns a line round), lone surrogates.
_OBEYED = frozenset({"Cc", "Cf", "Cs"})


def plain_text(text: str, *, keep_newlines: bool = False) -> str:
    """Return ``text`` with a space for each character that is obeyed rather than shown.

    Parameters
    ----------
    keep_newlines
        Leave line feeds as they are, and make one of each carriage return with its line feed.
    """
    if keep_newlines:
        text = text.replace("\r\n", "\n")
    if text.isprintable():
        return text
    kept = "\n" if keep_newlines else ""
    return "".join(
        " " if unicodedata.category(character) in _OBEYED and character not in kept else character
        for character in text
    )
