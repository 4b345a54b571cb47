"""Cut text into pieces that are spoken one by one, so that the first audio is early."""

from __future__ import annotations

import re

#: A first piece this long is about 4 s of speech: its pitch match costs about 30 ms.
FIRST_SEGMENT_CHARS = 70
SEGMENT_CHARS = 220

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？；])\s*|\n+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|(?<=[，、：])|\s+[-–—]+\s+")
#: Digits one by one ("4, 7, 1"): the commas would be read as pauses, which the recogniser fills with digits.
_SPELLED_DIGITS = re.compile(r"(?<!\d)\d(?:(?:\s*[,;.-]\s*|\s+)\d(?!\d))+(?!\d)")


def spell_digits(text: str) -> str:
    """Put single digits that stand in a row one space apart."""
    return _SPELLED_DIGITS.sub(lambda found: " ".join(re.findall(r"\d", found.group())), text)


def split_segments(text: str) -> list[str]:
    """Return the pieces of ``text`` in order: sentences, cut at clauses and words where they are long."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(spell_digits(text)):
        if sentence.strip():
            limit = SEGMENT_CHARS if pieces else FIRST_SEGMENT_CHARS
            pieces.extend(_cut(sentence.strip(), limit))
    return pieces


def split_complete(text: str) -> tuple[str, str]:
    """Split ``text`` after its last finished sentence: what can be spoken now, and what must wait."""
    end = 0
    for found in _SENTENCE_END.finditer(text):
        end = found.end()
    return text[:end], text[end:]


def split_words(text: str, limit: int) -> list[str]:
    """Cut ``text`` before words: each piece has at most ``limit`` characters or is one word, none is lost."""
    pieces: list[str] = []
    for word in re.findall(r"\s*\S+(?:\s+$)?|\s+$", text):
        if pieces and len(pieces[-1]) + len(word) <= limit:
            pieces[-1] += word
        else:
            pieces.append(word)
    return pieces


def _cut(sentence: str, limit: int) -> list[str]:
    if len(sentence) <= limit:
        return [sentence]
    for pattern in (_CLAUSE_END, re.compile(r"\s+")):
        starts = [found.end() for found in pattern.finditer(sentence)]
        fitting = [start for start in starts if limit // 3 < start <= limit]
        if fitting:
            return [sentence[: fitting[-1]].strip(), *_cut(sentence[fitting[-1] :].strip(), SEGMENT_CHARS)]
    return [sentence[:limit], *_cut(sentence[limit:], SEGMENT_CHARS)]
