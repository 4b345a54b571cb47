"""The incident report as a document: plain data, its digest, its two files.

The document holds its sources (incident, smoke run, checklist), so that everything else in it can be
recomputed from them and the journal.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError, ValidationError
from understudy.logs import Redactor
from understudy.restoration.report.facts import Facts, intervals, numbers, what_happened
from understudy.restoration.report.fields import template_fields, unknowns
from understudy.restoration.report.markdown import to_markdown
from understudy.restoration.report.points import points_of
from understudy.restoration.report.rows import Row, read_rows, row_holding
from understudy.store.journal import JournalEntry, digest

SCHEMA = "understudy.incident-report/1"


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """A finished report; ``document`` is plain data and ends with its own digest."""

    document: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of everything else in the document, as canonical JSON."""
        return str(self.document["sha256"])

    def json(self) -> str:
        """Return the document as text: one spelling, so that every byte is verified."""
        return spelled(self.document)

    def markdown(self) -> str:
        """Return the document for people; derived from the JSON alone."""
        return to_markdown(self.document)


def spelled(document: Mapping[str, Any]) -> str:
    """The one way a report is written."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def build_report(
    incident: Any,
    journal: Iterable[Row],
    *,
    checklist: Mapping[str, Any] | None,
    smoke: Mapping[str, Any] | None,
    generated_at: datetime,
    redactor: Redactor | None = None,
) -> IncidentReport:
    """Write the report of one incident.

    Parameters
    ----------
    incident
        The incident's row, as a dataclass or a mapping: ``id``, ``environment``, ``title``, ``owner``, ...
    journal
        Its journal rows (rows of other incidents are left out).
    checklist, smoke
        ``to_json()`` of the last verification; None when there was none.
    redactor
        Takes secrets out of every text before anything is derived from it.

    Raises
    ------
    ValidationError
        The incident has no id, or a journal row is unreadable.
    """
    clean = redactor or Redactor()
    about = {key: plain(value) for key, value in mapping_of(incident).items()}
    name = about.get("id")
    if not isinstance(name, str):
        raise ValidationError("An incident report needs the incident's id.")
    entries = [entry for entry in read_rows(journal) if entry.incident == name]
    sources = {
        "incident": clean.clean(about),
        "checklist": clean.clean(plain(checklist)),
        "smoke": clean.clean(plain(smoke)),
        "generated_at": generated_at.isoformat(),
    }
    return IncidentReport(compose(sources, [cleaned(entry, clean) for entry in entries]))


def write_report(
    folder: Path,
    incident: Any,
    journal: Iterable[Row],
    *,
    checklist: Mapping[str, Any] | None,
    smoke: Mapping[str, Any] | None,
    generated_at: datetime,
    redactor: Redactor | None = None,
) -> tuple[Path, Path]:
    """Write ``<folder>/<incident>.md`` and ``.json`` (0600, each replaced whole) and return their paths.

    Raises
    ------
    ConfigurationError
        The folder cannot be written.
    """
    report = build_report(
        incident, journal, checklist=checklist, smoke=smoke, generated_at=generated_at, redactor=redactor
    )
    name = report.document["incident"]
    if Path(name).name != name or name in {"", ".", ".."}:
        raise ValidationError(f"The incident's id {name!r} is not a file name.")
    paths = folder / f"{name}.md", folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in zip(paths, (report.markdown(), report.json()), strict=True):
            _replace(path, text)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written ({error.strerror}).") from error
    return paths


def compose(sources: Mapping[str, Any], entries: list[JournalEntry]) -> dict[str, Any]:
    """Derive the whole document; used to write a report and again to verify one.

    Parameters
    ----------
    entries
        The incident's journal without secrets, under its original hashes.
    """
    facts = Facts(sources["incident"], entries)
    smoke, checklist = sources["smoke"], backed(sources["checklist"], sources["smoke"])
    anchor = row_holding(entries, digest(smoke)) if smoke is not None else None
    open_points = [point.sentence() for point in points_of(facts, checklist, smoke)]
    times = facts.times()
    document = {
        "schema": SCHEMA,
        "incident": sources["incident"]["id"],
        "state": facts.state(),
        "fields": template_fields(facts, checklist, smoke, open_points),
        "timeline": [
            {
                "seq": entry.seq,
                "at": entry.at.isoformat(),
                "kind": entry.kind,
                "step": entry.step,
                "actor": entry.actor,
                "what": what_happened(entry),
                "sha256": entry.hash,
            }
            for entry in entries
        ],
        "times": times.document(),
        "intervals": intervals(times),
        "numbers": numbers(entries) + _smoke_numbers(smoke),
        "checklist": checklist,
        "follow_ups": open_points,
        "unknowns": unknowns(facts, checklist, smoke, anchored=anchor is not None),
        "evidence": {
            "journal_rows": len(entries),
            "journal_last_seq": entries[-1].seq if entries else None,
            "journal_last_sha256": entries[-1].hash if entries else None,
            "smoke_sha256": digest(smoke) if smoke is not None else None,
            "smoke_in_journal_seq": anchor.seq if anchor else None,
        },
        "sources": dict(sources),
    }
    return {**document, "sha256": digest(document)}


def backed(checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the checklist with each tick taken back that the evidence beside it does not carry.

    Raises
    ------
    ValidationError
        One of the two is not of the shape their ``to_json`` writes.
    """
    if checklist is None:
        return None
    try:
        checks = {check["name"]: check for check in (smoke or {"checks": []})["checks"]}
        items = [_backed_item(item, checks) for item in checklist["items"]]
    except (KeyError, TypeError) as error:
        raise ValidationError(f"The checklist or its evidence is unreadable: {error!r}.") from error
    sha256 = digest(smoke) if smoke is not None else None
    return {"ok": bool(items) and all(item["ok"] for item in items), "smoke_sha256": sha256, "items": items}


def _backed_item(item: Mapping[str, Any], checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    refs = item["evidence"]
    carried = bool(refs) and all(
        ref["check"] in checks
        and checks[ref["check"]]["ok"] is True
        and digest(checks[ref["check"]]) == ref["sha256"]
        for ref in refs
    )
    if not item["ok"] or carried:
        return dict(item)
    return {**item, "ok": False, "reason": "The evidence it names is missing, failed, or not as it was."}


def _smoke_numbers(smoke: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if smoke is None:
        return []
    return [
        {
            "name": f"smoke {check['name']}: {figure}",
            "value": check[figure],
            "evidence": {"check": check["name"], "sha256": digest(check)},
        }
        for check in smoke["checks"]
        for figure in ("duration_ms", "audio_ms")
        if check[figure] is not None
    ]


def cleaned(entry: JournalEntry, clean: Redactor) -> JournalEntry:
    """Return ``entry`` without secrets, under its original hash."""
    return JournalEntry(
        seq=entry.seq,
        at=entry.at,
        incident=entry.incident,
        kind=entry.kind,
        step=entry.step,
        actor=clean(entry.actor),
        lease_epoch=entry.lease_epoch,
        body=clean.clean(dict(entry.body)),
        prev_hash=entry.prev_hash,
        hash=entry.hash,
    )


def mapping_of(value: Any) -> Mapping[str, Any]:
    """Return a dataclass or mapping as a mapping."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return value
    raise ValidationError("An incident is a dataclass or a mapping.")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back; times become ISO 8601."""
    return json.loads(json.dumps(value, default=_plain_leaf))


def _plain_leaf(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    scratch.replace(path)
