"""How an incident's lines look in a terminal; what they say is :mod:`understudy.restoration.report.lines`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from understudy.restoration.report import lines
from understudy.restoration.report.lines import duration, since_onset

__all__ = ["STATE_STYLES", "Line", "duration", "line_of", "since_onset"]

#: State -> style, everywhere states are shown.
STATE_STYLES = {
    "OPEN": "bold red",
    "RESTORING": "bold yellow",
    "MITIGATED": "bold cyan",
    "RECOVERED": "green",
    "CLOSED": "green",
    "HOLD": "bold yellow",
    "FROZEN": "bold red",
    "ABORTED": "dim",
}
_STYLES = {
    "opened": STATE_STYLES["OPEN"],
    "joined": "red",
    "begun": "bold",
    "intent": "dim",
    "held": "bold yellow",
    "escalated": "bold yellow",
    "plan": "bold yellow",
    "approval": "cyan",
    "abort": "bold red",
    "hold": "bold yellow",
    "resume": "cyan",
    "page": "bold red",
    "ack": "cyan",
    "note": "cyan",
    "alarm": "bold red",
    "alarm_over": "green",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One journal entry as it is shown."""

    at: datetime
    what: str
    said: str
    style: str = ""
    more: str = ""


def line_of(entry: Mapping[str, Any]) -> Line:
    """Return what one entry (as :func:`entry_document` gives it) says, and its style."""
    line = lines.line_of(entry)
    return Line(line.at, line.what, line.said, _style(entry), line.more)


def _style(entry: Mapping[str, Any]) -> str:
    match entry["kind"]:
        case "state":
            return STATE_STYLES.get(str(entry["body"].get("to")), "bold")
        case "outcome":
            return "green" if entry["body"].get("ok") else "bold red"
        case kind:
            return _STYLES.get(kind, "")
