"""What the journal says about an incident; what it does not say is None, never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from understudy.restoration.incidents import IncidentTimes, acknowledged_by, joined_findings, times_of
from understudy.restoration.report.rows import scalars, walk
from understudy.store.journal import JournalEntry

#: Actions and steps -> the words of the template's "Rollback type used".
ROLLBACK_TYPES = {
    "env_switch": "env switch",
    "live_override": "env switch",
    "durable_env": "env switch",
    "code_rollback": "code rollback",
    "db_restore": "db restore",
    "database_restore": "db restore",
}

#: Named intervals: (name, meaning, from, to).
INTERVALS = (
    ("MTTD", "onset to detected", "onset", "detected"),
    ("MTTM", "onset to mitigated", "onset", "mitigated"),
    ("MTTR", "onset to recovered", "onset", "recovered"),
    ("detected to mitigated", "detected to mitigated", "detected", "mitigated"),
    ("detected to verified", "detected to verified", "detected", "verified"),
)

#: Evidence in its own right, printed elsewhere; or digits that count nothing.
NOT_NUMBERS = frozenset(
    {
        "approvals",
        "attempt",
        "checklist",
        "checks",
        "failing_calls",
        "findings",
        "id",
        "lease_epoch",
        "pid",
        "plan",
        "port",
        "processes",
        "requests",
        "rung",
        "seq",
        "signals",
        "smoke",
        "status",
        "steps",
        "tries",
        "workflow_version",
    }
)
MOST_NUMBERS = 120
#: Of a run of windows, the newest ones in which something happened; the journal has them all.
WINDOWS_TOLD = 4
LONGEST_WHAT_CHARS = 240
SENTENCES = ("detail", "problem", "summary", "reason", "note", "text", "message", "error", "title")


@dataclass(frozen=True, slots=True)
class Facts:
    """One incident's journal, read once.

    Parameters
    ----------
    incident
        What the incident's own row says; the journal's word wins where both speak.
    """

    incident: Mapping[str, Any]
    entries: Sequence[JournalEntry]

    def opened(self) -> Mapping[str, Any]:
        """Return the body of the entry that opened the incident."""
        return next((entry.body for entry in self.entries if entry.kind == "opened"), {})

    def text(self, *names: str) -> str | None:
        """Return the first text under one of ``names`` in the opening entry, else in the incident."""
        for source in (self.opened(), self.incident):
            for name in names:
                value = source.get(name)
                if isinstance(value, str) and value.strip():
                    return value
        return None

    def state(self) -> str | None:
        """Return the last state the journal records."""
        moves = [entry.body.get("to") for entry in self.entries if entry.kind in {"opened", "state"}]
        found = next((move for move in reversed(moves) if isinstance(move, str)), None)
        return found or self.incident.get("state")

    def times(self) -> IncidentTimes:
        """Return when each thing happened."""
        return times_of(list(self.entries))

    def finding(self) -> Mapping[str, Any]:
        """Return the finding that opened the incident."""
        found = self.opened().get("finding")
        return found if isinstance(found, Mapping) else {}

    def findings(self) -> list[Mapping[str, Any]]:
        """Return every finding: the one that opened the incident, then those that joined."""
        return joined_findings(self.entries)

    def asked(self) -> list[Mapping[str, Any]]:
        """Return the entries' bodies of what a person was asked to decide and nobody has yet."""
        begun = {entry.body["action"]: entry.seq for entry in self.entries if entry.kind == "begun"}
        return [
            entry.body
            for entry in self.entries
            if entry.kind in {"opened", "joined"}
            and entry.body.get("instruction")
            and begun.get(entry.body.get("action"), 0) < entry.seq
        ]

    def acknowledged(self) -> list[str]:
        """Return who took notice."""
        return acknowledged_by(self.entries)

    def harm(self) -> Mapping[str, Any] | None:
        """Return what users felt over the whole incident, as counted when it had recovered."""
        counted = [entry.body.get("impact") for entry in self.entries if entry.kind == "state"]
        return next((one for one in reversed(counted) if isinstance(one, Mapping)), None)

    def harm_at_start(self) -> Mapping[str, Any] | None:
        """Return what users had felt when the evidence was captured."""
        captured = [
            entry.body.get("evidence")
            for entry in self.entries
            if entry.kind == "outcome" and entry.step == "evidence"
        ]
        found = next((one.get("impact") for one in captured if isinstance(one, Mapping)), None)
        return found if isinstance(found, Mapping) else None

    def unanswered(self) -> dict[str, str]:
        """Return what the evidence could not be asked of, with the reasons."""
        found: dict[str, str] = {}
        for entry in self.entries:
            evidence = entry.body.get("evidence")
            if entry.kind == "outcome" and entry.step == "evidence" and isinstance(evidence, Mapping):
                unknown = evidence.get("unknown")
                found |= unknown if isinstance(unknown, Mapping) else {}
        return found

    def mode_at_start(self) -> str | None:
        """Return the provider mode when the incident opened."""
        named = self.text("mode_at_start", "mode_value", "provider_mode")
        if named is not None:
            return named
        mode = self.opened().get("mode")
        value = mode.get("value") if isinstance(mode, Mapping) else mode
        provider = value or self.finding().get("provider")
        return provider if isinstance(provider, str) else None

    def changes(self) -> list[JournalEntry]:
        """Return the entries that record a change made to the deployment."""
        return [
            entry
            for entry in self.entries
            if entry.kind == "acted" or (entry.kind == "outcome" and entry.body.get("changed_at"))
        ]

    def unfinished(self) -> list[JournalEntry]:
        """Return intents whose outcome was never recorded."""
        open_steps: dict[str | None, JournalEntry] = {}
        for entry in self.entries:
            if entry.kind == "intent":
                open_steps[entry.step] = entry
            elif entry.kind == "outcome":
                open_steps.pop(entry.step, None)
        return list(open_steps.values())

    def failed_steps(self) -> list[JournalEntry]:
        """Return outcomes that are recorded as not ok."""
        return [entry for entry in self.entries if entry.kind == "outcome" and entry.body.get("ok") is False]

    def rollback_types(self) -> list[str]:
        """Return the kinds of rollback that changed something, in the template's words, in order."""
        if not self.changes():
            return []
        named = [
            value["rollback_type"]
            for entry in self.entries
            for value in walk(entry.body)
            if isinstance(value, Mapping) and isinstance(value.get("rollback_type"), str)
        ]
        if not named:
            keys = [str(key) for entry in self.changes() for key in (entry.step, entry.body.get("action"))]
            named = [ROLLBACK_TYPES[key] for key in keys if key in ROLLBACK_TYPES]
        return list(dict.fromkeys(named))


def what_happened(entry: JournalEntry) -> str:
    """One line for a journal entry: its own sentence, or its plain values."""
    body = entry.body
    if entry.kind == "ack":
        return "acknowledged"
    moved = " -> ".join(str(body[key]) for key in ("from", "to") if key in body)
    text = ": ".join(part for part in (moved, _ended(body), _said(body)) if part)
    return text if len(text) <= LONGEST_WHAT_CHARS else text[: LONGEST_WHAT_CHARS - 1] + "…"


def _ended(body: Mapping[str, Any]) -> str:
    """How a step ended, where the entry says so."""
    if not isinstance(body.get("ok"), bool):
        return ""
    took = f" in {body['duration_ms']} ms" if isinstance(body.get("duration_ms"), int) else ""
    again = ", resumed after a restart of the guard" if body.get("resumed") is True else ""
    return ("done" if body["ok"] else "failed") + took + again


def _said(body: Mapping[str, Any]) -> str:
    for source in (body.get("finding"), body, body.get("evidence"), body.get("recovery")):
        if isinstance(source, Mapping):
            for name in SENTENCES:
                if isinstance(source.get(name), str):
                    return str(source[name])
    plan = body.get("plan")
    if isinstance(plan, Mapping):
        return ", ".join(f"{key} {_short(value)}" for key, value in plan.items())
    if "ok" in body:
        evidence = body.get("evidence")
        return ", ".join(f"{k}={v}" for k, v in scalars(evidence)) if isinstance(evidence, Mapping) else ""
    return ", ".join(f"{key}={value}" for key, value in scalars(body) if key not in {"from", "to"})


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def intervals(times: IncidentTimes) -> list[dict[str, Any]]:
    """Named intervals in seconds; None where an end is unknown or the clock went backwards."""
    return [
        {"name": name, "meaning": meaning, "seconds": seconds_between(getattr(times, a), getattr(times, b))}
        for name, meaning, a, b in INTERVALS
    ]


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from ``start`` to ``end``, to the millisecond; None when that is not known or negative."""
    if start is None or end is None or end < start:
        return None
    return round((end - start).total_seconds(), 3)


def numbers(entries: Sequence[JournalEntry]) -> list[dict[str, Any]]:
    """Every number that the journal holds as evidence, each with the row it stands in and that row's hash."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        where = f"{entry.kind} {entry.step}" if entry.step else entry.kind
        body = entry.body
        if entry.kind == "outcome" and isinstance(body.get("evidence"), Mapping):
            # The finding is counted where it opened the incident, not where it was captured again.
            body = {**body, "evidence": {k: v for k, v in body["evidence"].items() if k != "finding"}}
        for path, value in _leaves(body, ""):
            found.append(
                {
                    "name": f"{where}: {path}",
                    "value": value,
                    "evidence": {"journal_seq": entry.seq, "sha256": entry.hash},
                }
            )
    return found[:MOST_NUMBERS]


def _leaves(value: Any, path: str) -> list[tuple[str, int | float]]:
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [(path, value)]
    items: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        if value.get("total") == 0:
            return []  # a window in which nothing happened
        items = [
            (str(key), item)
            for key, item in value.items()
            if key not in NOT_NUMBERS and not (str(key).startswith("synthetic_") and item == 0)
        ]
    elif isinstance(value, (list, tuple)):
        items = [(f"[{index}]", item) for index, item in enumerate(value)]
        if path.endswith("windows"):
            busy = [(key, item) for key, item in items if isinstance(item, Mapping) and item.get("total")]
            items = busy[:WINDOWS_TOLD]
    leaves = []
    for key, item in items:
        below = f"{path}{key}" if key.startswith("[") or not path else f"{path}.{key}"
        leaves += _leaves(item, below)
    return leaves
