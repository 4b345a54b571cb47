"""The guard's API, route by route: who may, what it answers, what a person's word leaves in the journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.restoration.console_stage import Served, serving
from understudy.cli import status
from understudy.processes.home import Home
from understudy.restoration.guard import events
from understudy.restoration.guard.contract.status import BeatEvent
from understudy.restoration.incidents import IncidentState

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def test_every_route_wants_a_good_key(served: Served) -> None:
    _, revoked = served.store.operators.create("bob")
    assert (await served.ask("GET", "/status", key=revoked))[0] == 200
    served.store.operators.revoke("bob")
    before = served.store.head()
    wanted = [
        (method, path) for method, path in served.console.routes if path not in served.console.open_paths
    ]
    assert len(wanted) >= 14
    for method, pattern in [*wanted, ("GET", "/nowhere")]:
        path = pattern.replace("{id}", served.incident)
        for key in ("", "wrong", revoked, served.key[:-1], served.key.upper()):
            status, answer = await served.ask(method, path, key=key, body={} if method == "POST" else None)
            assert (status, list(answer)) == (401, ["detail"]), (method, path)
    assert served.store.head() == before
    assert (await served.ask("GET", "/nowhere"))[0] == 404
    assert (await served.ask("GET", "/health", key=""))[0] == 200


async def test_what_is_read(served: Served) -> None:
    _, status = await served.ask("GET", "/status")
    for old in ("verdict", "finding", "windows", "incident", "drift", "alarms", "mode", "processes", "rule"):
        assert old in status
    assert (status["verdict"], status["incident"]["id"]) == ("FAIL", served.incident)
    assert [family["trigger"] for family in status["families"]] == [
        "success_rate", "realtime_failures", "playback", "cost", "data_integrity", "security",
    ]  # fmt: skip
    assert status["families"][0]["detail"] == "9 of 9 calls failed"
    assert status["would_have_fired"] == {"cost/spend_hour": 2}
    assert status["sources"]["calls"]["blind"] == "the database is away"
    assert status["outbox"]["channels"][0]["channel"] == "slack"

    _, listed = await served.ask("GET", "/incidents?limit=1")
    assert ([row["id"] for row in listed["incidents"]], listed["next_offset"]) == ([served.incident], None)
    assert (await served.ask("GET", "/incidents?state=CLOSED"))[1]["incidents"] == []
    for query in ("state=WHAT", "limit=0", "limit=x", "limit=201", "offset=-1"):
        assert (await served.ask("GET", f"/incidents?{query}"))[0] == 400
    _, shown = await served.ask("GET", f"/incidents/{served.incident}")
    assert [entry["kind"] for entry in shown["journal"]] == ["opened"]
    assert (await served.ask("GET", "/incidents/x"))[0] == 404
    assert "Incident title:" in (await served.ask("GET", f"/incidents/{served.incident}/report"))[1]
    assert (await served.ask("GET", "/findings"))[1]["findings"][0]["check"] == "rate"
    assert (await served.ask("GET", "/playbook"))[1]["version"] == 3
    assert (await served.ask("GET", "/alarms"))[1] == {"alarms": {}}
    assert (await served.ask("GET", "/outbox"))[1]["dead_letters"] == []
    _, metrics = await served.ask("GET", "/metrics", key="")
    assert 'understudy_guard_verdict{check="rate",trigger="success_rate"} 4.0' in metrics
    assert "understudy_incidents_open 1.0" in metrics
    assert 'understudy_guard_would_have_fired_total{check="spend_hour",trigger="cost"} 2.0' in metrics


async def test_a_guard_that_completes_no_look_is_not_healthy(served: Served) -> None:
    served.clock.advance(10)
    assert (await served.ask("GET", "/health", key=""))[0] == 200
    served.clock.advance(0.001)
    status, answer = await served.ask("GET", "/health", key="")
    assert (status, answer["ok"]) == (503, False)
    served.heartbeat.beat(leads=True, verdicts={}, incident=None, cycle_ms=1)
    assert (await served.ask("GET", "/health", key=""))[1] == {"ok": True, "leads": True, "cycle_age_s": 0.0}


async def test_what_a_person_writes_is_signed(served: Served) -> None:
    place = f"/incidents/{served.incident}"
    assert (await served.ask("POST", f"{place}/ack"))[0] == 200
    status, entry = await served.ask("POST", f"{place}/note", body={"text": "Qwen says 503"})
    assert (status, entry["actor"], entry["kind"]) == (200, "person:ada", "note")
    for body in ({}, {"text": ""}, {"text": " "}, {"text": 7}, {"text": "x" * 4001}, []):
        assert (await served.ask("POST", f"{place}/note", body=body))[0] == 400
    for raw in (b"{", b"[" * 60_000, b'{"text": "half \\ud800"}', b'{"text": "\\u001b\\u202e"}'):
        assert (await served.ask("POST", f"{place}/note", raw=raw))[0] == 400, raw[:40]
    steering = {"text": "down\x1b[31m\u202e\nsince 3"}
    _, entry = await served.ask("POST", f"{place}/note", body=steering)
    assert entry["body"]["text"] == "down [31m \nsince 3"
    assert (await served.ask("POST", f"{place}/note", raw=b"x" * 100_000))[0] == 413
    assert (await served.ask("POST", f"{place}/close", body={"reason": ""}))[0] == 400
    assert (await served.ask("POST", "/incidents/x/close", body={"reason": "r"}))[0] == 404
    served.guard.book.move(served.incident, IncidentState.HOLD, body={"reason": "r"})
    status, closed = await served.ask("POST", f"{place}/close", body={"reason": "all\x1bwell\n"})
    assert (status, closed["state"], closed["acknowledged_by"]) == (200, "CLOSED", ["person:ada"])
    assert "all well" in (served.home / "reports" / f"{served.incident}.md").read_text()
    assert (await served.ask("POST", f"{place}/ack"))[0] == 409
    kinds = [(entry.kind, entry.actor) for entry in served.store.entries(served.incident)]
    assert kinds[1:] == [
        ("ack", "person:ada"), ("note", "person:ada"), ("note", "person:ada"), ("state", "guard"),
        ("state", "person:ada"),
    ]  # fmt: skip


async def test_alerts_come_in_by_http(served: Served) -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "A", "trigger": "cost"},
        "annotations": {},
        "startsAt": "2026-11-24T12:00:00Z",
        "fingerprint": "f",
    }
    body = {"version": "4", "truncatedAlerts": 3, "alerts": [alert, {**alert, "status": "resolved"}]}
    status, answer = await served.ask("POST", "/alerts/alertmanager", body=body)
    assert (status, answer) == (200, {"firing": 1, "resolved": 1, "truncated": 3, "left_out": 0})
    status, answer = await served.ask("POST", "/alerts/alertmanager", body={"version": "4"})
    assert (status, answer["detail"]) == (400, "alerts is missing, empty or no list.")
    for wrong in (
        b"[" * 60_000,
        json.dumps({"version": "4", "alerts": [{**alert, "labels": {"a": "\ud800"}}]}).encode(),
        json.dumps({"version": "4", "alerts": [{**alert, "fingerprint": "\ud800"}]}).encode(),
        json.dumps({"version": "4", "alerts": [{**alert, "startsAt": "0001-01-01T00:00:00+14:00"}]}).encode(),
    ):
        assert (await served.ask("POST", "/alerts/alertmanager", raw=wrong))[0] == 400, wrong[:100]
    status, _ = await served.ask("POST", "/alerts/alertmanager", raw=b" " * (4 * 1024 * 1024 + 1))
    assert status == 413
    assert served.store.incident(served.incident).state == "OPEN"
    (row,) = (await served.ask("GET", "/alerts"))[1]["alerts"]
    assert (row["status"], row["times"]) == ("resolved", 2)


async def test_events_are_told_as_they_happen_and_resumed_where_they_ended(served: Served) -> None:
    async def listen(last: str | None, count: int) -> list[tuple[str, Any]]:
        headers = {"Authorization": f"Bearer {served.key}"} | ({"Last-Event-ID": last} if last else {})
        found: list[tuple[str, Any]] = []
        async with served.session.get(served.url + "/events", headers=headers) as answer:
            assert answer.content_type == "text/event-stream"
            name = ""
            async for line in answer.content:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "event":
                    name = value
                if key == "data":
                    found.append((name, json.loads(value)))
                if len(found) == count:
                    return found
        return found

    listening = asyncio.create_task(listen(None, 4))
    while served.console._events._listeners == 0:
        await asyncio.sleep(0.01)
    served.guard.book.append(served.incident, "page", body={"about": "a", "message": "m"})
    served.guard.view.paged["drift"] = "they differ"
    served.clock.advance(1)
    first, *more = await asyncio.wait_for(listening, 10)
    told = [first, *more]
    assert [data["kind"] for name, data in told if name == "journal"] == ["page"]
    assert [data["alarms"] for name, data in told if name == "status"][-1] == {"drift": "they differ"}
    (beat,) = (data for name, data in told if name == "beat")
    assert BeatEvent.model_validate(beat).cycle_age_s == 0.0
    (again, *_) = await listen("1", 1)
    assert (again[0], again[1]["seq"]) == ("journal", 2)
    assert (await served.ask("GET", "/events?after=x"))[0] == 400


async def test_a_stream_ends_with_its_key(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_EVERY_S", 0.0)
    _, key = served.store.operators.create("bob")
    headers = {"Authorization": f"Bearer {key}"}
    async with served.session.get(served.url + "/events", headers=headers) as answer:
        seen = await answer.content.readuntil(b"event: beat")
        served.store.operators.revoke("bob")
        async with asyncio.timeout(10):
            seen += await answer.content.read()  # to its end, which is a clean one
    assert b"event: status" in seen
    assert served.console._events._listeners == 0
    assert (await served.ask("GET", "/events", key=key))[0] == 401


async def test_status_finds_a_guard_that_stands_alone_by_its_heartbeat(served: Served) -> None:
    home = Home.at(served.home)
    assert (await status._collect(home))["running"] is False
    (served.home / "run").mkdir()
    home.operator_token_file.write_text(served.key + "\n")
    served.heartbeat.url = served.url
    served.heartbeat.beat(leads=True, verdicts={}, incident=served.incident, cycle_ms=1)
    found = await status._collect(home)
    assert (found["running"], found["supervisor"]) == (True, None)
    assert found["guard"]["incident"]["id"] == served.incident
