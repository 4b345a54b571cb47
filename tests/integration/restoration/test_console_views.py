"""What the operations console reads: every route is in the contract, and every answer is as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.console_stage import Served, serving
from understudy.errors import StoreUnavailableError
from understudy.restoration.guard.charting import KEPT_S
from understudy.restoration.guard.closure_watch import ClosureWatch
from understudy.restoration.guard.contract import ROUTES
from understudy.restoration.guard.contract.charts import Charts
from understudy.restoration.guard.contract.status import Process, Status
from understudy.restoration.guard.documents import status_document
from understudy.restoration.incidents import IncidentState
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.closed_reads import set_closed
from understudy.store.database import Database
from understudy.store.freeze import write_freeze
from understudy.store.guard import MACHINE_KEY
from understudy.store.mode import ModeRow, ProcessRow, write_mode
from understudy.store.valves import set_valve

pytestmark = pytest.mark.integration

PAGES = ("/operations", "/assets", "/favicon")


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def test_the_contract_has_every_route_and_no_other(served: Served) -> None:
    answered = {
        route for route in served.console.routes if not route[1].startswith(PAGES) and route[1] != "/"
    }
    assert answered == {(route.method, route.path) for route in ROUTES}
    open_ones = {route.path for route in ROUTES if not route.key}
    assert open_ones == {path for path in served.console.open_paths if ("GET", path) in answered} - {
        "/metrics"
    }


async def test_every_answer_is_as_the_contract_says(served: Served) -> None:
    book, incident = served.guard.book, served.incident
    book.append(incident, "begun", body={"action": "env_switch", "attempt": 1, "title": "t"})
    book.move(incident, IncidentState.RESTORING, body={"action": "env_switch", "title": "t"})
    intent = {"action": "env_switch", "attempt": 1, "key": "k", "plan": {"asks": "modal"}, "changes": False}
    book.append(incident, "intent", step="precheck", body=intent)
    mine = {"/me", "/status", "/findings", "/alarms", "/outbox", "/alerts", "/charts", "/health"}
    for route in ROUTES:
        if route.method != "GET" or isinstance(route.answer, str):
            continue
        if route.path in mine or route.path.startswith("/incidents"):
            status, answer = await served.ask("GET", route.path.replace("{id}", incident))
            assert status == 200, route.path
            route.answer.model_validate(answer)
    _, story = await served.ask("GET", f"/incidents/{incident}/timeline")
    running = [line for line in story["lines"] if line["state"] == "running"]
    assert [(line["step"], line["text"]) for line in running] == [("precheck", "ask the side to go back to")]
    assert [line["step"] for line in story["lines"] if line["state"] == "to come"][-4:] == [
        "verification", None, None, None,
    ]  # fmt: skip
    (listed,) = (await served.ask("GET", "/incidents"))[1]["incidents"]
    assert listed["cures"] == [{"action": "env_switch", "title": "t"}]
    assert await served.ask("GET", "/backups") == (200, {"backups": [], "alarm": None, "supported": False})
    _, checklist = await served.ask("GET", f"/incidents/{incident}/checklist")
    assert (checklist["done"], checklist["of"], checklist["rows"][0]["state"]) == (0, 8, "pending")
    for path in ("timeline", "checklist"):
        assert (await served.ask("GET", f"/incidents/x/{path}"))[0] == 404
    assert (await served.ask("GET", "/charts?minutes=4"))[0] == 400


async def test_who_may_approve(served: Served) -> None:
    assert (await served.ask("GET", "/me"))[1] == {"label": "ada", "may_approve": True}
    served.store.add_operator("t" * 40, MACHINE_KEY)
    _, answer = await served.ask("GET", "/me", key="t" * 40)
    assert answer == {"label": MACHINE_KEY, "may_approve": False}
    assert (await served.ask("GET", "/openapi.json", key=""))[1]["openapi"] == "3.1.0"


async def test_each_process_says_whether_it_lags(served: Served) -> None:
    signals = served.guard.view.signals
    assert signals is not None
    now = served.clock.now()
    mode = ModeRow("modal", 5, "guard", "r", None, "qwen", now)
    behind = ProcessRow(UUID(int=1), "api", 7, "h", "qwen", 4, "ready", "qwen", now, now)
    served.guard.view.signals = replace(
        signals, mode=mode, processes=(behind, replace(behind, mode_value="modal", mode_epoch=5))
    )
    document: dict[str, Any] = status_document(served.guard, served.clock)  # type: ignore[arg-type]
    found = [Process.model_validate(process) for process in document["processes"]]
    assert [(process.lagging, process.drifting) for process in found] == [(True, False), (False, True)]


async def test_the_status_says_what_is_closed_and_keeps_it_while_the_database_is_away(
    tmp_path: Path, database: Database
) -> None:
    there = True

    async def connect() -> Database:
        if not there:
            raise StoreUnavailableError("it is away")
        return database

    async with serving(tmp_path, connect) as served:
        watch = ClosureWatch(served.guard.view.keep_closures, connect, served.clock)
        _, status = await served.ask("GET", "/status")
        assert (status["writes_frozen"], status["closures_read_at"]) == (None, None)
        async with database.service() as conn:
            await write_freeze(conn, frozen=True, actor="person:ada", reason="a restore")
            await set_closed(conn, ["voices"], closed=True, actor="person:bob", reason="a leak")
            await set_valve(conn, "generation", closed=True, actor="guard", reason="money")
            await set_valve(conn, "carry-over", closed=True, actor="guard", reason="money")
            await set_valve(conn, "carry-over", closed=False, actor="guard", reason="enough")
        await watch.look()
        told = Status.model_validate((await served.ask("GET", "/status"))[1])
        assert told.writes_frozen is not None
        assert (told.writes_frozen.actor, told.writes_frozen.reason) == ("person:ada", "a restore")
        assert [(one.name, one.actor) for one in told.reads_closed] == [("voices", "person:bob")]
        assert [(one.name, one.reason) for one in told.valves_closed] == [("generation", "money")]
        there = False
        served.clock.advance(60)
        await watch.look()
        later = Status.model_validate((await served.ask("GET", "/status"))[1])
        assert (later.writes_frozen, later.closures_read_at) == (told.writes_frozen, told.closures_read_at)


async def test_charts_keep_what_is_known_while_the_database_is_away(
    tmp_path: Path, database_urls: DatabaseUrls
) -> None:
    database = await Database.connect(database_urls.app, application_name="t")
    there = True

    async def connect() -> Database:
        if not there:
            raise StoreUnavailableError("it is away")
        return database

    async with serving(tmp_path, connect) as served:
        clock: HandClock = served.clock
        at = clock.now() - timedelta(minutes=1)
        spoken = CallRecord(
            at=at, operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900, mode_epoch=4,
            first_audio_ms=310, characters=5, audio_ms=2000, cost_microusd=65, request_id="r",
        )  # fmt: skip
        failed = replace(spoken, outcome="failed", category="c", failure_class="protocol", cost_microusd=0)
        async with database.service() as conn:
            await insert_calls(conn, [spoken, replace(spoken, latency_ms=100), failed])
            await write_mode(
                conn, value="qwen", actor="person:ada", reason="first", incident=None, env_value="qwen"
            )
        first = Charts.model_validate((await served.ask("GET", "/charts"))[1])
        (lane,) = first.lanes
        (point,) = lane.points
        assert (lane.provider, point.calls, point.failed, point.protocol) == ("qwen", 3, 1, 1)
        assert (point.latency_p50_ms, point.latency_p95_ms, point.first_audio_p50_ms) == (100, 900, 310)
        assert (first.source, first.bucket_s, point.cost_microusd) == ("FRESH", 15, 130)
        assert [mark.kind for mark in first.marks] == ["incident", "mode"]
        there = False
        clock.advance(KEPT_S)
        asked = await asyncio.gather(*(served.ask("GET", "/charts") for _ in range(3)))
        later = Charts.model_validate(asked[0][1])
        assert (later.source, later.as_of, later.lanes) == ("STALE", first.as_of, first.lanes)
    await database.close()
