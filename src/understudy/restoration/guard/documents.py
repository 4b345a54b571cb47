"""What the guard knows, as plain data: for its API, its events and the commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from understudy.clock import Clock
from understudy.restoration.approvals import plans_document
from understudy.restoration.incidents import acknowledged_by, times_of
from understudy.restoration.orders import standing_order
from understudy.restoration.signals.processes import mode_document, process_document
from understudy.restoration.signals.readings import ProbeReading, ProbeResult
from understudy.restoration.targets.base import MODE_VARIABLE
from understudy.restoration.triggers.verdict import Finding
from understudy.store.guard import TERMINAL_STATES, GuardStore, IncidentRow
from understudy.store.journal import JournalEntry
from understudy.store.mode import ModeRow, ProcessRow

if TYPE_CHECKING:  # commands show documents without the loop and its HTTP client
    from understudy.restoration.guard.heartbeat import Heartbeat
    from understudy.restoration.guard.loop import Guard
    from understudy.restoration.guard.notifying import Notifier
    from understudy.restoration.playbook.policy import PolicyFile

#: Of the policy's SHA-256 so many hexadecimal digits are shown: enough to tell two files apart.
DIGEST_CHARS = 12


def incident_document(store: GuardStore, row: IncidentRow, *, now: datetime) -> dict[str, Any]:
    """Return an incident with its times, its plans and the order that stops it, as plain data."""
    entries = store.entries(row.id)
    order = standing_order(entries) if row.state not in TERMINAL_STATES else None
    return {
        "id": row.id,
        "environment": row.environment,
        "state": row.state,
        "title": row.title,
        "opened_at": row.opened_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "acknowledged_by": acknowledged_by(entries),
        "instruction": instruction_in(entries) if row.state not in TERMINAL_STATES else None,
        "plans": plans_document(entries, now),
        "cures": cures_in(entries),
        "order": {"kind": order.kind, "by": order.actor, "reason": order.body["reason"]} if order else None,
        "times": times_of(entries).document(),
    }


def cures_in(entries: Sequence[JournalEntry]) -> list[dict[str, Any]]:
    """Return the actions that were begun, each once, in order."""
    begun = [entry.body for entry in entries if entry.kind == "begun"]
    titles = {str(body["action"]): body.get("title") or str(body["action"]) for body in begun}
    return [{"action": action, "title": title} for action, title in titles.items()]


def instruction_in(entries: Sequence[JournalEntry]) -> str | None:
    """Return what a person was last told to do."""
    told = (entry.body.get("instruction") for entry in reversed(entries))
    return next((str(text) for text in told if text), None)


def entry_document(entry: JournalEntry) -> dict[str, Any]:
    """Return a journal entry as plain data."""
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "incident": entry.incident,
        "kind": entry.kind,
        "step": entry.step,
        "actor": entry.actor,
        "lease_epoch": entry.lease_epoch,
        "body": dict(entry.body),
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }


def status_document(
    guard: Guard,
    clock: Clock,
    *,
    notifier: Notifier | None = None,
    heartbeat: Heartbeat | None = None,
) -> dict[str, Any]:
    """Everything the guard knows now, in one document."""
    view, book = guard.view, guard.book
    seen, finding = view.signals, view.finding
    mode = seen.mode if seen else None
    incident = book.current()
    lease = book.store.lease(book.environment)
    record = book.store.known_good()
    return {
        "environment": book.environment,
        "now": clock.now().isoformat(),
        "observed_at": seen.at.isoformat() if seen else None,
        "guard": {
            "holder": guard.holder,
            "leads": guard.leads,
            "lease": {
                "holder": lease.holder,
                "epoch": lease.epoch,
                "expires_at": lease.expires_at.isoformat(),
            }
            if lease
            else None,
            "store": book.store.place,
            "cycles": view.cycles,
            "cycle_ms": view.cycle_ms,
            "cycle_age_s": round(heartbeat.age_s(), 3) if heartbeat else None,
        },
        "policy": policy_document(guard.policy_file),
        "known_good": guard.known_good,
        "known_good_record": {"seq": record.seq, "at": record.at.isoformat(), "actor": record.actor}
        if record
        else None,
        "mode": mode_document(mode) if mode else None,
        "highest_mode_epoch": book.store.highest_mode_epoch(),
        "processes": [_process(process, mode) for process in (seen.processes if seen else ())],
        "rule": guard.playbook.triggers.success_rate.rate.model_dump(),
        "verdict": finding.verdict.value if finding else None,
        "finding": finding.document() if finding else None,
        "windows": [window.document() for window in (finding.windows if finding else ())],
        "families": families_document(guard),
        "would_have_fired": dict(view.would_have_fired),
        "disarmed": list(view.disarmed),
        "detectable": view.detectable,
        "sources": seen.document() if seen else None,
        "probes": probes_document(seen.probes) if seen else None,
        "incident": incident_document(book.store, incident, now=clock.now()) if incident else None,
        "recovery": view.recovery.document() if view.recovery and incident else None,
        **closures_document(guard),
        "drift": {
            "variable": MODE_VARIABLE,
            "env_value": view.env_value,
            "row_value": mode.value if mode else None,
            "drifting": guard.drift() is not None,
            "detail": guard.drift(),
        },
        "alarms": alarms_document(guard, notifier, heartbeat),
        "outbox": notifier.document() if notifier else None,
    }


def _process(process: ProcessRow, mode: ModeRow | None) -> dict[str, Any]:
    return {
        **process_document(process),
        "cutover_epoch": process.cutover_epoch,
        "lagging": mode is not None and (process.mode_epoch or 0) < mode.epoch,
        "drifting": process.drifts,
    }


def policy_document(policy: PolicyFile | None) -> dict[str, Any] | None:
    """Return which policy is in force, and whether the file is another by now."""
    if policy is None:
        return None
    return {"file": str(policy.path), "digest": policy.sha256[:DIGEST_CHARS], "changed": policy.changed()}


def closures_document(guard: Guard) -> dict[str, Any]:
    """Return what stands closed: frozen writes, kinds of reads, valves; and when that was read."""
    found = guard.view.closures
    frozen = found.of("writes") if found else []
    return {
        "writes_frozen": {name: frozen[0][name] for name in ("since", "actor", "reason")} if frozen else None,
        "reads_closed": found.of("reads") if found else [],
        "valves_closed": found.of("valve") if found else [],
        "closures_read_at": found.at.isoformat() if found else None,
    }


def families_document(guard: Guard) -> list[dict[str, Any]]:
    """Return each family's verdict, and the finding that says most, in the playbook's order."""
    sentences: dict[str, str] = {family.trigger: family.sentence for family in guard.playbook.families}
    outside = {finding.trigger for finding in guard.view.findings} - sentences.keys()
    return [
        _family(name, sentences.get(name), [f for f in guard.view.findings if f.trigger == name], guard)
        for name in (*sentences, *sorted(outside))
    ]


def _family(name: str, sentence: str | None, findings: list[Finding], guard: Guard) -> dict[str, Any]:
    ordered = sorted(findings, key=lambda f: (f.mode == "shadow", -f.verdict.severity))
    verdict = guard.view.verdicts.get(name)
    if verdict is None and ordered:
        verdict = ordered[0].verdict
    return {
        "trigger": name,
        "sentence": sentence,
        "verdict": verdict.value if verdict else None,
        "detail": ordered[0].detail if ordered else "not looked yet",
        "checks": [
            {
                "check": finding.check,
                "subject": finding.subject,
                "verdict": finding.verdict.value,
                "mode": finding.mode,
                "detail": finding.detail,
            }
            for finding in ordered
        ],
    }


def probes_document(probes: ProbeReading) -> dict[str, Any]:
    """Return what canaries heard, newest first, as plain data."""
    return {
        "active": [_probe(result) for result in probes.active],
        "standby": [_probe(result) for result in probes.standby],
        "spent_microusd": probes.spent_microusd,
        "paused": probes.paused,
    }


def _probe(result: ProbeResult) -> dict[str, Any]:
    return {
        "at": result.at.isoformat(),
        "ok": result.ok,
        "provider": result.provider,
        "latency_ms": result.latency_ms,
        "first_audio_ms": result.first_audio_ms,
        "code": result.code,
        "detail": result.detail,
    }


def alarms_document(guard: Guard, notifier: Notifier | None, heartbeat: Heartbeat | None) -> dict[str, str]:
    """Return what stands wrong now, by name; also where the guard's own voice fails."""
    alarms: dict[str, str | None] = dict(notifier.alarms()) if notifier else {}
    alarms |= heartbeat.alarms() if heartbeat else {}
    return {name: said for name, said in alarms.items() if said} | dict(guard.view.paged)


def summary_document(guard: Guard, notifier: Notifier | None, heartbeat: Heartbeat | None) -> dict[str, Any]:
    """Return what of the status is worth an event when it changes: nothing that changes with every look."""
    view = guard.view
    mode = view.signals.mode if view.signals else None
    incident = guard.book.current()
    return {
        "leads": guard.leads,
        "mode": {"value": mode.value, "epoch": mode.epoch} if mode else None,
        "verdicts": {name: verdict.value for name, verdict in view.verdicts.items()},
        "incident": {"id": incident.id, "state": incident.state} if incident else None,
        "drifting": guard.drift() is not None,
        "writes_frozen": bool(view.closures and view.closures.of("writes")),
        "alarms": alarms_document(guard, notifier, heartbeat),
    }
