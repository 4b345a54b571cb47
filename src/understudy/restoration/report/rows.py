"""Journal rows as the report reads them, whoever hands them over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from understudy.errors import ValidationError
from understudy.store.journal import JournalEntry, digest, utc

Row = JournalEntry | Mapping[str, Any]


def read_rows(journal: Iterable[Row]) -> list[JournalEntry]:
    """Return ``journal`` as entries, in the order of their sequence.

    A mapping may call the body ``payload`` and the incident ``incident_id``; a body may be JSON text.

    Raises
    ------
    ValidationError
        A row lacks a field, or one is unreadable.
    """
    return sorted((_read(row) for row in journal), key=lambda entry: entry.seq)


def _read(row: Row) -> JournalEntry:
    if isinstance(row, JournalEntry):
        return row
    try:
        body = row["body"] if "body" in row else row["payload"]
        at = row["at"]
        return JournalEntry(
            seq=int(row["seq"]),
            at=at if isinstance(at, datetime) else utc(at),
            incident=row["incident"] if "incident" in row else row["incident_id"],
            kind=str(row["kind"]),
            step=row.get("step"),
            actor=row.get("actor", ""),
            lease_epoch=row.get("lease_epoch"),
            body=dict(json.loads(body) if isinstance(body, str) else body),
            prev_hash=str(row["prev_hash"]),
            hash=str(row["hash"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValidationError(f"This is not a journal row: {error!r}.") from error


def recomputed_hash(entry: JournalEntry) -> str:
    """SHA-256 (hex) that the journal's rule gives ``entry``: over all its other fields."""
    return digest(
        {
            "seq": entry.seq,
            "at": entry.at.isoformat(),
            "incident": entry.incident,
            "kind": entry.kind,
            "step": entry.step,
            "actor": entry.actor,
            "lease_epoch": entry.lease_epoch,
            "body": entry.body,
            "prev_hash": entry.prev_hash,
        }
    )


def chain_problems(entries: Sequence[JournalEntry]) -> list[str]:
    """What is wrong with the rows themselves, one sentence each.

    Rows of other incidents may lie between an incident's own, so only neighbours in sequence are compared.
    """
    problems = [
        f"journal row {entry.seq} was altered: its hash is not that of its content"
        for entry in entries
        if recomputed_hash(entry) != entry.hash
    ]
    for before, after in pairwise(entries):
        if before.seq == after.seq:
            problems.append(f"journal row {after.seq} is there twice")
        elif before.seq + 1 == after.seq and after.prev_hash != before.hash:
            problems.append(f"journal row {after.seq} does not follow row {before.seq}")
    return problems


def walk(value: Any) -> Iterator[Any]:
    """Yield ``value`` and everything inside it."""
    yield value
    if isinstance(value, Mapping):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from walk(item)


def row_holding(entries: Sequence[JournalEntry], sha256: str) -> JournalEntry | None:
    """Return the first row that holds data with this digest, or names it."""
    for entry in entries:
        for value in walk(entry.body):
            if value == sha256 or (isinstance(value, Mapping) and digest(value) == sha256):
                return entry
    return None


def scalars(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the plain values at the top of ``body``."""
    for key, value in body.items():
        if value is None or isinstance(value, (str, int, float, bool)):
            yield key, value
