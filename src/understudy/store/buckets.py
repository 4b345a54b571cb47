"""What may be stored: buckets, keys, sizes and types of audio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from understudy.errors import NotFoundError, PayloadTooLargeError, ValidationError

REFERENCES = "references"
GENERATIONS = "generations"
#: Copies of what was deleted or revoked: they outlive the database, and hold ids only.
TOMBSTONES = "tombstones"

MEGABYTE = 1024 * 1024

_WAV = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_MPEG = ("audio/mpeg", "audio/mp3")
_MP4 = ("audio/mp4", "audio/x-m4a", "audio/m4a")
_OGG = ("audio/ogg",)


@dataclass(frozen=True, slots=True)
class BucketRule:
    """What a bucket accepts: at most ``max_bytes`` an object, of these media types."""

    max_bytes: int
    content_types: frozenset[str]


#: facts/api.md "Rows": references 10 MB, wav, mpeg, mp4/m4a. One hour of 24 kHz 16 bit mono is 165 MB.
BUCKETS = {
    REFERENCES: BucketRule(10 * MEGABYTE, frozenset(_WAV + _MPEG + _MP4)),
    GENERATIONS: BucketRule(256 * MEGABYTE, frozenset(_WAV + _MPEG + _OGG)),
}

#: Not audio, and nobody's: neither collected, nor erased with an account, nor signed for anybody.
_RECORDS = {TOMBSTONES: BucketRule(4 * MEGABYTE, frozenset({"application/json"}))}

_SEGMENT = re.compile(r"(?!.*\.object\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """An object as stored: ``size`` in bytes, ``sha256`` in lower-case hex.

    ``sha256`` is empty for one that somebody put into S3 by hand and that is larger than its bucket allows.
    """

    size: int
    content_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing: ``size`` in bytes, ``modified_at`` when it was last stored."""

    key: str
    size: int
    modified_at: datetime


def bucket_rule(bucket: str) -> BucketRule:
    """Return the rule of ``bucket``; :class:`NotFoundError` for an unknown one."""
    rule = BUCKETS.get(bucket) or _RECORDS.get(bucket)
    if rule is None:
        raise NotFoundError
    return rule


def key_segments(key: str) -> tuple[str, ...]:
    """Split a key into safe path segments; :class:`NotFoundError` for anything else.

    A segment starts with a letter or digit, so ``..``, hidden names, absolute paths, backslashes and NUL
    cannot be written at all.
    """
    segments = tuple(key.split("/"))
    if len(segments) > 8 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise NotFoundError
    return segments


def check_content_type(bucket: str, content_type: str) -> None:
    """Raise :class:`ValidationError` unless the bucket takes this media type."""
    accepted = bucket_rule(bucket).content_types
    if content_type not in accepted:
        raise ValidationError(f"Audio must be one of {', '.join(sorted(accepted))}.")


def check_size(bucket: str, size: int) -> None:
    """Raise :class:`PayloadTooLargeError` when ``size`` bytes are more than the bucket takes."""
    limit = bucket_rule(bucket).max_bytes
    if size > limit:
        raise PayloadTooLargeError(f"Audio must be at most {limit // MEGABYTE} MB.")
