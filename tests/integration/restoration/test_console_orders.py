"""Approvals and orders over the guard's API, signed with the label of the operator's key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.restoration.test_console_routes import Served, served  # noqa: F401  (the fixture)
from understudy.restoration.incidents import IncidentState

pytestmark = pytest.mark.integration

SHA = "ab" * 32


@pytest_asyncio.fixture
async def waiting(served: Served) -> AsyncIterator[Served]:  # noqa: F811  (the fixture)
    """An incident whose code rollback waits for one approval; bob asked for it."""
    body = {
        "action": "code_rollback",
        "attempt": 1,
        "title": "Code rollback",
        "plan": [{"step": "deploy_revision", "changes": True, "time_box_s": 300, "plan": {"revision": "v1"}}],
        "plan_sha256": SHA,
        "approvals": 1,
        "requested_by": "person:bob",
        "proposal": 1,
        "expires_at": (served.clock.now() + timedelta(minutes=15)).isoformat(),
    }
    served.guard.book.append(served.incident, "plan", body=body)
    served.guard.book.move(served.incident, IncidentState.HOLD, body={"reason": "it waits"})
    yield served


def approving(incident: str) -> str:
    return f"/incidents/{incident}/approve"


async def test_a_plan_is_shown_agreed_to_and_signed_with_the_key(waiting: Served) -> None:
    _, shown = await waiting.ask("GET", f"/incidents/{waiting.incident}")
    [plan] = shown["plans"]
    assert (plan["open"], plan["approvals"], plan["approved_by"]) == (True, 1, [])
    assert plan["plan"][0]["plan"] == {"revision": "v1"}
    code, entry = await waiting.ask(
        "POST", approving(waiting.incident), body={"plan": SHA[:12], "reason": ""}
    )
    assert (code, entry["actor"], entry["body"]["plan_sha256"]) == (200, "person:ada", SHA)
    _, shown = await waiting.ask("GET", f"/incidents/{waiting.incident}")
    assert (shown["plans"][0]["open"], shown["plans"][0]["approved_by"]) == (False, ["person:ada"])
    code, refused = await waiting.ask("POST", approving(waiting.incident), body={"plan": SHA})
    assert (code, "agreed to this plan already" in refused["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"plan": "cd" * 32}, 409, "No plan of this incident"),
        ({"plan": "ab"}, 409, "at least 12 digits"),
        ({}, 400, "plan"),
        ([], 400, "plan"),
        ({"plan": SHA, "break_glass": "yes"}, 400, "true or false"),
        ({"plan": SHA, "break_glass": True}, 409, "needs a reason"),
        ({"plan": SHA, "reason": " "}, 400, "reason"),
    ],
)
async def test_what_is_no_agreement_is_refused(waiting: Served, body: Any, code: int, said: str) -> None:
    got, answer = await waiting.ask("POST", approving(waiting.incident), body=body)
    assert (got, said in answer["detail"]) == (code, True), answer
    assert not any(entry.kind == "approval" for entry in waiting.store.entries(waiting.incident))


async def test_who_asked_breaks_the_glass_or_waits_for_somebody_else(waiting: Served) -> None:
    _, bob = waiting.store.operators.create("bob")
    code, refused = await waiting.ask("POST", approving(waiting.incident), key=bob, body={"plan": SHA})
    assert (code, "somebody else must agree" in refused["detail"]) == (409, True)
    body = {"plan": SHA, "break_glass": True, "reason": "nobody else is awake"}
    code, entry = await waiting.ask("POST", approving(waiting.incident), key=bob, body=body)
    assert (code, entry["body"]["break_glass"]) == (200, True)


async def test_an_expired_plan_takes_no_agreement(waiting: Served) -> None:
    waiting.clock.advance(15 * 60)
    code, refused = await waiting.ask("POST", approving(waiting.incident), body={"plan": SHA})
    assert (code, "expired" in refused["detail"]) == (409, True)


async def test_orders_are_written_and_shown_until_they_are_lifted(waiting: Served) -> None:
    path = f"/incidents/{waiting.incident}"
    code, refused = await waiting.ask("POST", f"{path}/hold", body={})
    assert (code, "reason" in refused["detail"]) == (400, True)
    code, entry = await waiting.ask("POST", f"{path}/hold", body={"reason": "wait for the vendor"})
    assert (code, entry["kind"], entry["actor"]) == (200, "hold", "person:ada")
    _, shown = await waiting.ask("GET", path)
    assert shown["order"] == {"kind": "hold", "by": "person:ada", "reason": "wait for the vendor"}
    assert (await waiting.ask("POST", f"{path}/resume", body={"reason": "they answered"}))[0] == 200
    assert (await waiting.ask("GET", path))[1]["order"] is None
    assert (await waiting.ask("POST", f"{path}/abort", body={"reason": "a false alarm"}))[0] == 200
    code, refused = await waiting.ask("POST", f"{path}/abort", body={"reason": "again"})
    assert (code, "aborted it already" in refused["detail"]) == (409, True)
    assert (await waiting.ask("POST", "/incidents/inc-none/hold", body={"reason": "x"}))[0] == 404
