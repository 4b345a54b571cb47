"""The hash chain: one altered, missing or reordered entry of a journal shows.

Each entry's hash is SHA-256 over the canonical JSON of its fields, the previous entry's hash among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

GENESIS_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal, with its place in the chain."""

    seq: int
    at: datetime
    incident: str
    kind: str
    step: str | None
    actor: str
    lease_epoch: int | None
    body: Mapping[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """Whether the journal is what was written: ``problems`` is empty then. ``head`` is the newest hash."""

    entries: int
    head: str
    problems: tuple[str, ...]


def canonical_json(value: Any) -> str:
    """One spelling for one value: sorted keys, no spaces, UTF-8; NaN is refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=str
    )


def digest(value: Any) -> str:
    """SHA-256 (hex) over :func:`canonical_json`."""
    return sha256(canonical_json(value).encode()).hexdigest()


def check_chain(
    rows: Iterable[Mapping[str, Any]], *, recorded_head: str | None, recorded_states: Mapping[str, str]
) -> ChainVerdict:
    """Recompute every hash, the sequence, the head and each incident's state from the entries alone."""
    problems: list[str] = []
    states: dict[str, str] = {}
    prev_hash, seq = GENESIS_HASH, 0
    for row in rows:
        problems += _check_link(row, seq + 1, prev_hash)
        prev_hash, seq = row["hash"], row["seq"]
        if not row["incident"]:
            continue  # about the guard itself
        states[row["incident"]] = _state_after(row) or states.get(row["incident"], "")
    if recorded_head != (f"{seq}:{prev_hash}" if seq else None):
        problems.append(f"the journal ends at entry {seq}, but its recorded head is {recorded_head}")
    problems += [
        f"incident {name} reads {recorded_states.get(name)}, but its journal says {states.get(name)}"
        for name in sorted(recorded_states.keys() | states.keys())
        if recorded_states.get(name) != states.get(name)
    ]
    return ChainVerdict(entries=seq, head=prev_hash, problems=tuple(problems))


def _check_link(row: Mapping[str, Any], expected_seq: int, prev_hash: str) -> list[str]:
    problems = []
    if row["seq"] != expected_seq:
        problems.append(f"entry {expected_seq} is missing (next is {row['seq']})")
    if row["prev_hash"] != prev_hash:
        problems.append(f"entry {row['seq']} does not follow the entry before it")
    fields = {key: value for key, value in row.items() if key not in {"hash", "body"}}
    try:
        fields["body"] = json.loads(row["body"])
    except ValueError:
        fields["body"] = None
    if digest(fields) != row["hash"]:
        problems.append(f"entry {row['seq']} was altered")
    return problems


def _state_after(row: Mapping[str, Any]) -> str | None:
    try:
        body = json.loads(row["body"])
    except ValueError:
        return None
    state = body.get("to") if row["kind"] in {"opened", "state"} and isinstance(body, dict) else None
    return str(state) if state else None


def utc(text: str) -> datetime:
    """Read a stored ISO 8601 time as UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def entry_of(row: Mapping[str, Any]) -> JournalEntry:
    """Read a stored row."""
    return JournalEntry(
        seq=row["seq"],
        at=utc(row["at"]),
        incident=row["incident"],
        kind=row["kind"],
        step=row["step"],
        actor=row["actor"],
        lease_epoch=row["lease_epoch"],
        body=json.loads(row["body"]),
        prev_hash=row["prev_hash"],
        hash=row["hash"],
    )
