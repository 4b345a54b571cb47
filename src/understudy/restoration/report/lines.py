"""An incident's journal as lines a tired person reads: when, what, and on what evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Facts of a piece of evidence that are shown on one line.
_FACTS_SHOWN = 4
_PARTS_OF_A_WHOLE = frozenset({"success_rate", "realtime_failures", "playback"})
_CREATES = frozenset({("cost", "design_repeats"), ("cost", "creates_hour")})
_LONGEST_FACT = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One journal entry.

    Parameters
    ----------
    what
        A word or two: the state moved to, ``page``, ``done``, ``FAILED``.
    said
        The sentence.
    more
        What it rests on, in short.
    """

    at: datetime
    what: str
    said: str
    more: str = ""


def since_onset(at: datetime, onset: datetime | None) -> str:
    """Return ``T+42s``, ``T-3s`` or ``T+2m05s``; the time of day where the onset is not known."""
    if onset is None:
        return f"{at:%H:%M:%S}"
    seconds = (at - onset).total_seconds()
    return f"T{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"


def duration(seconds: float) -> str:
    """Return ``4.2s``, ``42s``, ``2m05s``, ``3h07m`` or ``2d04h``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def line_of(entry: Mapping[str, Any]) -> Line:
    """Return what one entry, as plain data with ISO 8601 times, says."""
    at = datetime.fromisoformat(entry["at"])
    if (teller := _LONG.get(entry["kind"])) is not None:
        return teller(at, entry)
    short = _SHORT.get(entry["kind"])
    if short is not None:
        what, pattern = short
        words = defaultdict(str, {name: value for name, value in entry["body"].items() if value is not None})
        who = str(entry["actor"]).removeprefix("person:")
        words |= {"actor": who, "step": entry["step"] or "", "detail": _detail(entry["body"])}
        more = _MORE.get(entry["kind"], _nothing)
        return Line(at, what, pattern.format_map(words), more(entry["body"]))
    body = entry["body"]
    said = str(body.get("detail") or body.get("message") or body.get("reason") or "")
    return Line(at, str(entry["kind"]).replace("_", " "), said, "" if said else facts_of(body))


#: Kind -> word, sentence.
_SHORT = {
    "joined": ("joined", "Fails as well: {detail}"),
    "begun": ("begins", "{action}, attempt {attempt}: {title}"),
    "intent": ("step", "{step}"),
    "held": ("failed", "{action}: {reason}"),
    "escalated": ("next", "{action} instead of {from}: {reason}"),
    "plan": ("plan", "{action}, proposed for approval by {approvals}, asked for by {requested_by}"),
    "abort": ("abort", "{actor}: {reason}"),
    "hold": ("hold", "{actor}: {reason}"),
    "resume": ("resume", "{actor}: {reason}"),
    "page": ("PAGE", "{message}"),
    "ack": ("ack", "{actor} has taken it on"),
    "note": ("note", "{actor}: {text}"),
    "alarm": ("alarm", "{name}: {message}"),
    "alarm_over": ("alarm over", "{name}"),
}


def _opened_line(at: datetime, entry: Mapping[str, Any]) -> Line:
    return Line(at, "OPEN", _detail(entry["body"]), _finding(entry["body"]))


def _approval_line(at: datetime, entry: Mapping[str, Any]) -> Line:
    body, who = entry["body"], str(entry["actor"]).removeprefix("person:")
    how = "breaks the glass for" if body.get("break_glass") else "agrees to"
    reason = f": {body['reason']}" if body.get("reason") else ""
    return Line(at, "approved", f"{who} {how} {body.get('action')}{reason}", _hash(body))


def _state_line(at: datetime, entry: Mapping[str, Any]) -> Line:
    body, to = entry["body"], str(entry["body"].get("to"))
    parts = [body.get("title"), body.get("reason"), body.get("side")]
    if str(entry["actor"]).startswith("person:"):
        parts.append(f"by {entry['actor'].removeprefix('person:')}")
    recovery = body.get("recovery")
    if isinstance(recovery, Mapping):
        parts.append(f"{recovery.get('n')} clean calls, {recovery.get('failures')} failed")
    said = "; ".join(str(part) for part in parts if part)
    return Line(at, to, said, facts_of(body.get("impact")))


def _outcome_line(at: datetime, entry: Mapping[str, Any]) -> Line:
    body = entry["body"]
    spent_ms = body.get("duration_ms", 0)
    took = f"{entry['step']} in {duration(spent_ms / 1000) if spent_ms >= 1000 else f'{spent_ms} ms'}"
    evidence = body.get("evidence")
    more = facts_of(evidence)
    if digest := body.get("evidence_sha256"):
        more = f"{more}  sha256 {str(digest)[:12]}".strip()
    if body.get("ok"):
        return Line(at, "done", took, more)
    return Line(at, "FAILED", f"{took}: {body.get('problem')}", more)


def _detail(body: Mapping[str, Any]) -> str:
    finding = body.get("finding")
    return str(finding.get("detail", "")) if isinstance(finding, Mapping) else ""


def _finding(body: Mapping[str, Any]) -> str:
    finding = body.get("finding")
    if not isinstance(finding, Mapping):
        return ""
    where = f"{finding.get('trigger')}/{finding.get('check') or '-'}"
    if finding.get("provider"):
        where += f" on {finding['provider']} epoch {finding.get('mode_epoch')}"
    where += _counted(finding)
    action = body.get("action")
    acts = f"the guard acts: {action}" if action else "a person must act"
    if action and finding.get("mode") == "pause":
        acts = f"the guard proposes: {action}"
    if body.get("requested_by"):
        where, acts = f"{action}", f"{str(body['requested_by']).removeprefix('person:')} asks for it"
    return f"{where}; {acts}"


def _counted(finding: Mapping[str, Any]) -> str:
    """Return how much was bad, where a part of a whole says it; of other families the sentence does."""
    n, bad, trigger = finding.get("n"), finding.get("failures"), finding.get("trigger")
    if n and trigger in _PARTS_OF_A_WHOLE:
        return f": {bad} of {n}"
    if n and (trigger, finding.get("check")) in _CREATES:
        return f": {n} billed creates, {bad} beyond the limit"
    return ""


def _to_do(body: Mapping[str, Any]) -> str:
    return f"to do: {body['instruction']}" if body.get("instruction") else ""


def facts_of(value: Any) -> str:
    """Return a few facts of a piece of evidence: its sentence if it has one, else its plainest values."""
    if not isinstance(value, Mapping):
        return ""
    if value.get("detail"):
        return str(value["detail"])
    found = [f"{name}={fact}" for name, fact in _plain(value)]
    left = len(found) - _FACTS_SHOWN
    return " ".join(found[:_FACTS_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _plain(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, fact in value.items():
        if name == "actor" or name.endswith("_at"):
            continue  # the line itself says who and when
        if isinstance(fact, Mapping):
            yield name, f"{len(fact)} facts"
        elif isinstance(fact, (list, tuple)):
            yield name, f"{len(fact)} rows"
        elif fact is not None and fact != "":
            text = str(fact)
            yield name, text if len(text) <= _LONGEST_FACT else text[: _LONGEST_FACT - 1] + "…"


def _plan(body: Mapping[str, Any]) -> str:
    box = f"within {body['time_box_s']:g} s" if body.get("time_box_s") else ""
    return " ".join(filter(None, (box, facts_of(body.get("plan")))))


def _agreed(body: Mapping[str, Any]) -> str:
    names = ", ".join(str(name).removeprefix("person:") for name in body.get("approved_by") or ())
    return f"approved by {names}" if names else ""


def _hash(body: Mapping[str, Any]) -> str:
    return f"sha256 {str(body.get('plan_sha256'))[:12]}"


def _nothing(_: Mapping[str, Any]) -> str:
    return ""


#: Kind -> what its line rests on.
_MORE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "joined": _finding,
    "page": _to_do,
    "intent": _plan,
    "begun": _agreed,
    "plan": _hash,
}
_LONG: Mapping[str, Callable[[datetime, Mapping[str, Any]], Line]] = {
    "opened": _opened_line,
    "approval": _approval_line,
    "state": _state_line,
    "outcome": _outcome_line,
}
