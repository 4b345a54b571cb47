"""One incident as the guard journals it, from the finding to the closing, in a real store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.clocks import HandClock
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.checklist import ChecklistResult, derive_checklist
from understudy.restoration.verification.evidence import (
    CheckEvidence,
    Outcome,
    RequestEvidence,
    SmokeResult,
)
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.journal import JournalEntry

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
NAMES = (
    "health",
    "languages",
    "generate",
    "task_polling",
    "clone",
    "design_preview",
    "isolation",
    "error_shape",
)


def check(name: str, *, outcome: Outcome = Outcome.PASSED, provider: str | None = "modal") -> CheckEvidence:
    """Evidence of one check."""
    facts = {"provider": provider} if provider and name in {"languages", "task_polling"} else {}
    request = RequestEvidence("GET", f"/api/{name}", 200, "ab" * 32, 12, START)
    return CheckEvidence(name, outcome, f"The check {name} said so.", (request,), None, 34, START, facts)


def smoke_run(
    checks: Sequence[CheckEvidence] | None = None, *, left_behind: tuple[str, ...] = ()
) -> SmokeResult:
    """A run of the suite, all green unless told otherwise."""
    return SmokeResult(
        base_url="http://127.0.0.1:8000",
        expect_provider="modal",
        provider="modal",
        started_at=START,
        finished_at=START + timedelta(seconds=3),
        checks=tuple(check(name) for name in NAMES) if checks is None else tuple(checks),
        left_behind=left_behind,
    )


@dataclass(slots=True)
class Told:
    """An incident with everything its report is written from."""

    row: IncidentRow
    entries: list[JournalEntry]
    smoke: SmokeResult
    checklist: ChecklistResult
    everything: list[JournalEntry] = field(default_factory=list)


def finding() -> Finding:
    """Two windows below the SLO: 14 of 40 calls failed."""
    windows = tuple(
        CallWindow(START + timedelta(seconds=s), START + timedelta(seconds=s + 60), 20, 7, {"transport": 7})
        for s in (60, 0)
    )
    return Finding(
        trigger="success_rate",
        check="rate",
        verdict=Verdict.FAIL,
        mode="auto",
        cures=("env_switch", "code_rollback"),
        provider="qwen",
        mode_epoch=4,
        subject="speak",
        n=40,
        failures=14,
        evaluated_at=START + timedelta(seconds=121),
        windows=windows,
        bounds={"slo_percent": 99.0},
        window_s=60,
        detail="14 of 40 calls failed: below the SLO of 99 % in 2 consecutive windows of 60 s",
    )


IMPACT = {
    "calls": 60,
    "failed": 21,
    "users": 7,
    "users_failed": 5,
    "cost_microusd": 0,
    "provider": "qwen",
    "from": "2026-01-31T12:00:03+00:00",
    "to": "2026-01-31T12:02:14.500000+00:00",
}


def tell(
    folder: Path,
    *,
    onset: bool = True,
    smoke: SmokeResult | None = None,
    until: str = "CLOSED",
    facts: dict[str, Any] | None = None,
    redeploy: dict[str, Any] | None = None,
) -> Told:
    """Journal an incident up to the state ``until``, beside a closed one that came before it."""
    clock = HandClock(START + timedelta(seconds=121))
    smoke = smoke or smoke_run()
    checklist = derive_checklist(smoke)
    with GuardStore(folder / "guard.sqlite3", clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "guard-1", lifetime_s=3600)
        before = book.open(finding(), onset=None, facts={})
        book.move(before.id, IncidentState.ABORTED, body={"reason": "a drill"})
        begun = START + timedelta(seconds=3) if onset else None
        incident = book.open(finding(), onset=begun, facts=facts or {}, action="env_switch")
        _restore(book, clock, incident.id, until, smoke, checklist, redeploy or {"deployment": "d-1"})
        everything = store.entries()
        entries = store.entries(incident.id)
        return Told(store.incident(incident.id), entries, smoke, checklist, everything)


def _restore(
    book: IncidentBook,
    clock: HandClock,
    incident: str,
    until: str,
    smoke: SmokeResult,
    checklist: ChecklistResult,
    redeploy: dict[str, Any],
) -> None:
    if until == "OPEN":
        return
    clock.advance(1)
    book.move(
        incident,
        IncidentState.RESTORING,
        body={"rung": 1, "action": "env_switch", "rollback_type": "env switch"},
    )
    proof = {"checklist": checklist.to_json(), "smoke": smoke.to_json()}
    steps: tuple[tuple[str, bool, dict[str, Any]], ...] = (
        ("precheck", False, {"provider": "modal", "latency_ms": 21, "detail": "4 URLs answer"}),
        ("live_override", True, {"value": "modal", "epoch": 5}),
        ("durable_env", True, {"TTS_PROVIDER_MODE": "modal"}),
        ("redeploy", True, redeploy),
        ("read_back", False, {"languages_provider": "modal"}),
        ("verification", False, proof),
    )
    for name, changes, evidence in steps:
        book.append(
            incident,
            "intent",
            step=name,
            body={"changes": changes, "plan": {"set": "modal"}, "time_box_s": 30},
        )
        clock.advance(2.5)
        if until == name:
            return
        changed_at = clock.now().isoformat() if changes else None
        book.append(
            incident,
            "outcome",
            step=name,
            body={"ok": True, "changed_at": changed_at, "duration_ms": 2500, "evidence": evidence},
        )
    book.move(incident, IncidentState.MITIGATED, body={"attempt": 1})
    if until == "MITIGATED":
        return
    clock.advance(130)
    book.move(
        incident, IncidentState.RECOVERED, body={"recovery": {"n": 44, "failures": 0}, "impact": IMPACT}
    )
    clock.advance(1)
    book.move(incident, IncidentState.CLOSED, body={"reason": "checklist green and monitoring clean"})
