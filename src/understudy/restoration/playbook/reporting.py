"""An incident's report, from the guard's store alone: it can be written with everything else gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.logs import Redactor
from understudy.restoration.report import IncidentReport, build_report, write_report
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry


def report_of(
    store: GuardStore, incident: str, *, now: datetime, redactor: Redactor | None = None
) -> IncidentReport:
    """Return the report of an incident as its journal stands now; raises :class:`NotFoundError`."""
    row, entries = store.incident(incident), store.entries(incident)
    checklist, smoke = last_verification(entries)
    return build_report(row, entries, checklist=checklist, smoke=smoke, generated_at=now, redactor=redactor)


def write_report_of(
    store: GuardStore, incident: str, folder: Path, *, now: datetime, redactor: Redactor | None = None
) -> tuple[Path, Path]:
    """Write the report's Markdown and JSON into ``folder`` and return their paths.

    Raises
    ------
    ConfigurationError
        The folder cannot be written.
    NotFoundError
        There is no such incident.
    """
    row, entries = store.incident(incident), store.entries(incident)
    checklist, smoke = last_verification(entries)
    return write_report(
        folder, row, entries, checklist=checklist, smoke=smoke, generated_at=now, redactor=redactor
    )


def last_verification(
    entries: list[JournalEntry],
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return checklist and smoke run of the newest verification that the journal holds."""
    for entry in reversed(entries):
        if entry.kind == "outcome" and entry.step == "verification":
            evidence = entry.body.get("evidence") or {}
            if evidence.get("smoke"):
                return evidence.get("checklist"), evidence["smoke"]
    return None, None
