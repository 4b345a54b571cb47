"""Before an env switch moves anything: the known-good side speaks, and what it can carry is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from tests.integration.restoration.performing import run_of
from tests.unit.findings import finding_of
from tests.unit.restoration.signals_of import signals
from understudy.clock import SystemClock
from understudy.errors import StoreUnavailableError
from understudy.restoration.actions.env_switch import Precheck
from understudy.restoration.actions.step import Restoration, StepError
from understudy.restoration.guard.warming import warming
from understudy.restoration.signals.readings import IntegrityReading, InvariantReading, ProbeResult
from understudy.settings import settings_from
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.calls import recent_failures
from understudy.store.database import Database
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration

FINDING = finding_of("success_rate/rate", cures=("env_switch",))


def heard(*, ok: bool = True, outcome: str = "ok", code: str | None = None) -> ProbeResult:
    return ProbeResult(
        at=datetime(2026, 11, 29, tzinfo=UTC),
        ok=ok,
        provider="modal",
        latency_ms=120,
        first_audio_ms=90,
        code=code,
        detail="said",
        failure_class=None,
        outcome=outcome,
    )


def prepared(database: Database, home: Path, result: ProbeResult | None = None, **more: Any) -> Restoration:
    async def warm() -> ProbeResult:
        assert result is not None
        return result

    return run_of(database, home, FINDING, warm=warm if result else None, **more)


async def test_it_tells_which_voices_speak_there_and_how_much_work_moves(
    database: Database, create_user: CreateUser, tmp_path: Path
) -> None:
    user = await create_user()
    async with database.service() as conn:
        plant = Planter(conn, user)
        await plant.healthy()
        await plant.voice(reference_sha256=None)
        mute = await plant.voice(reference_transcript="")
        gone = await plant.voice()
        await plant.sighting("missing", "references", f"{user}/{gone}/reference.wav")
        for dispatched in (None, None, NOW):
            await plant.task(
                None,
                status="pending",
                completed_at=None,
                dispatched_at=dispatched,
                deadline_at=NOW + timedelta(hours=1),
            )
    looked = InvariantReading("unreadable_references", NOW, 60.0, count=1, sample=("v",))
    seen = replace(signals(), integrity=IntegrityReading(NOW, (looked,)))
    run = prepared(database, tmp_path, heard(), seen=lambda: seen)
    evidence = await Precheck().act(run, "key")
    assert evidence["provider"] == "modal"
    assert evidence["warm"] == {"ok": True, "latency_ms": 120, "first_audio_ms": 90, "detail": "said"}
    coverage = evidence["voice_coverage"]
    # Of healthy() two are live.
    assert (coverage["live"], coverage["speakable"], coverage["without_digest"]) == (5, 3, 1)
    assert coverage["degrade"] == sorted([str(mute), str(gone)])
    assert coverage["degrading"] == 2
    assert coverage["stored_audio"] == {"broken": 1, "at": NOW.isoformat(), "sample": ["v"]}
    work = evidence["queued_work"]
    # healthy() has one more under way, unsent.
    assert (work["waiting"], work["sent"], work["first"]) == (3, 1, 2)
    assert "re-routed" in work["rule"]


@pytest.mark.parametrize(("outcome", "code"), [("provider_failed", "busy"), ("bad_audio", "bad_audio")])
async def test_a_side_that_answers_its_check_and_does_not_speak_is_not_moved_to(
    database: Database, tmp_path: Path, outcome: str, code: str
) -> None:
    run = prepared(database, tmp_path, heard(ok=False, outcome=outcome, code=code))
    with pytest.raises(StepError, match="does not speak") as refused:
        await Precheck().act(run, "key")
    assert not refused.value.final
    assert refused.value.evidence["warm"]["ok"] is False


async def test_a_slow_side_is_written_down_and_moved_to(database: Database, tmp_path: Path) -> None:
    slow = heard(ok=False, outcome="provider_failed", code="probe_deadline")
    evidence = await Precheck().act(prepared(database, tmp_path, slow), "key")
    assert evidence["warm"]["ok"] is False


async def test_without_the_database_it_moves_and_says_what_is_not_known(
    database: Database, tmp_path: Path
) -> None:
    async def away() -> Database:
        raise StoreUnavailableError

    evidence = await Precheck().act(prepared(database, tmp_path, heard(), connect=away), "key")
    assert evidence["warm"]["ok"] is True
    assert set(evidence["voice_coverage"]) == set(evidence["queued_work"]) == {"unknown"}


@pytest.fixture
def guard_store(tmp_path: Path) -> GuardStore:
    return GuardStore(tmp_path / "guard.sqlite3", SystemClock())


async def test_the_warm_phrase_is_spoken_for_real_and_stays_out_of_users_numbers(
    database: Database, tmp_path: Path, guard_store: GuardStore
) -> None:
    async def connect() -> Database:
        return database

    async with running_standins(tmp_path / "standins", StandInSettings()) as addresses:
        settings = settings_from(
            {
                "MODAL_JOB_SUBMIT": f"{addresses.modal}/job-submit",
                "MODAL_JOB_STATUS": f"{addresses.modal}/job-status",
                "MODAL_JOB_RESULT": f"{addresses.modal}/job-result",
                "MODAL_JOB_CANCEL": f"{addresses.modal}/job-cancel",
                "MODAL_ENDPOINT_VOICE_DESIGN": f"{addresses.modal}/voice-design",
            }
        )
        warm = warming(settings=lambda: settings, store=guard_store, connect=connect, clock=SystemClock())
        # Whatever probes spent today: it is not refused.
        spent = {"day": datetime.now(UTC).date().isoformat(), "microusd": 10**9}
        guard_store.remember("probes_spent", json.dumps(spent))
        result = await warm()
    assert (result.ok, result.provider) == (True, "modal"), result
    async with database.service() as conn:
        cursor = await conn.execute(
            "select provider, operation, synthetic, user_id from understudy.provider_calls"
        )
        (row,) = await cursor.fetchall()
        assert row == {"provider": "modal", "operation": "speak", "synthetic": True, "user_id": None}
        since = datetime.now(UTC) - timedelta(hours=1)
        assert await recent_failures(conn, provider="modal", since=since, limit=5) == []
    # The stand-ins are gone: what nobody answers is a failure of the provider's.
    result = await warm()
    assert (result.ok, result.outcome) == (False, "provider_failed")
    guard_store.close()
