"""What the studio's pages ask beyond the contract: where a voice speaks, tasks of now, links, the notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.api.test_long_poll import admitted, become
from tests.integration.api.test_routes import call, clone
from tests.unit.findings import finding_of
from understudy.api import notice_board
from understudy.clock import SystemClock
from understudy.restoration.guard.telling_tenants import TenantNotices
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.rollout.freeze import set_freeze
from understudy.rollout.reads import set_reads
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.tenant_notice import write_notice
from understudy.store.valves import DESIGN_CREATES, set_valve

pytestmark = pytest.mark.integration


async def test_a_voice_says_who_speaks_it_and_how_far_its_carry_over_is(api: Api, user: User) -> None:
    voice_id = UUID(await clone(api, user))

    async def row() -> dict[str, Any]:
        found: dict[str, Any] = (await call(user, "GET", "/api/voices"))["voices"][0]
        names = ("speaks", "speakable", "guidance", "carry_over", "has_preview")
        return {name: found[name] for name in names}

    at_home = {"speaks": ["modal"], "speakable": True, "guidance": None, "has_preview": True}
    assert await row() == at_home | {"carry_over": "needed"}
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "insert into understudy.carry_overs"
            " (voice_id, provider, target_model, region, user_id, run_id, label, state, cost_microusd)"
            " values (%s, 'qwen', %s, 'intl', %s, %s, 'c1', 'failed', 1)",
            (voice_id, api.ctx.settings.qwen_vc_target_model, user.id, uuid4()),
        )
    assert await row() == at_home | {"carry_over": "failed"}
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "update public.voices set provider_voice_id = 'v', provider_target_model = %s,"
            " provider_voice_kind = 'vc', provider_metadata = '{\"carried_over\": {}}'",
            (api.ctx.settings.qwen_vc_target_model,),
        )
    assert await row() == at_home | {"speaks": ["modal", "qwen"], "carry_over": "done"}
    async with api.ctx.database.service() as conn:
        await conn.execute("update public.voices set quarantined_for = '{unreadable_references}'")
    damaged = await row()
    assert (damaged["speaks"], damaged["speakable"], damaged["has_preview"]) == (["qwen"], False, False)
    assert "damaged on our side" in damaged["guidance"]


async def test_a_link_can_be_had_as_json(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    link = await call(user, "GET", f"/api/voices/{voice_id}/preview?redirect=false")
    assert link["expires_in_s"] == api.ctx.settings.object_url_lifetime_s
    async with api.client.get(link["url"]) as answer:
        assert (answer.status, (await answer.read())[:4]) == (200, b"RIFF")
    missing = await call(user, "GET", f"/api/generations/{uuid4()}/audio?redirect=false", 404)
    assert missing == {"detail": "Generation not found."}


async def test_tasks_of_now_survive_a_reload_and_are_their_owners_alone(api: Api, sign_up: SignUp) -> None:
    user, other = await sign_up(), await sign_up()
    under_way, ended, long_ended, deleted = [await admitted(api, user) for _ in range(4)]
    for task_id in (ended, long_ended):
        await become(api, task_id, "failed")
    async with api.ctx.database.service() as conn:
        ago = "update public.tasks set completed_at = now() - make_interval(mins => %s) where id = %s"
        for minutes, task_id in ((59, ended), (61, long_ended)):
            await conn.execute(ago, (minutes, task_id))
        await conn.execute(
            "update public.tasks set metadata = '{\"delete_requested\": true}' where id = %s", (deleted,)
        )
    started = await call(
        user, "POST", "/api/voices/design/preview", json={"text": "One.", "instruct": "deep"}
    )
    listed = (await call(user, "GET", "/api/tasks"))["tasks"]
    assert [task["id"] for task in listed] == [started["task_id"], str(ended), str(under_way)]
    assert listed[0]["brief"] == {"text": "One.", "language": "Auto", "instruct": "deep"}
    assert {**listed[0]} == await call(user, "GET", f"/api/tasks/{started['task_id']}")
    assert (await call(other, "GET", "/api/tasks"))["tasks"] == []
    async with api.client.get("/api/tasks") as answer:
        assert answer.status == 401


async def notice(api: Api) -> dict[str, Any] | None:
    async with api.client.get("/api/notice") as answer:
        assert answer.status == 200
        found: dict[str, Any] | None = (await answer.json())["notice"]
        return found


async def test_tenants_are_told_of_an_incident_until_nobody_tells_it(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_board, "READ_EVERY_S", 0.0)
    clock = SystemClock()
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "a", lifetime_s=60)

        async def connect() -> Database:
            return api.ctx.database

        guard = TenantNotices(book, connect, clock, leads=lambda: True)
        await guard.look()
        assert await notice(api) is None
        incident = book.open(finding_of(), onset=None, facts={})
        await guard.look()
        told = await notice(api)
        assert told is not None
        assert (told["code"], told["writes_frozen"]) == ("degraded", False)
        book.move(incident.id, IncidentState.RESTORING, body={})
        book.append(incident.id, "begun", body={"action": "env_switch"})
        await guard.look()
        told = await notice(api)
        assert told is not None
        assert told["code"] == "stepping_back"
        # Nobody learns from it who speaks, what broke or which incident it is.
        for secret in ("qwen", "modal", "success", incident.id):
            assert secret not in str(told).lower()
        # One that stands by tells nothing, and takes nothing back.
        await TenantNotices(book, connect, clock, leads=lambda: False).look()
        assert (await notice(api) or {})["code"] == "stepping_back"
    # A guard that is gone: the row expires by itself, by the database's own clock.
    wanted = guard._told
    assert wanted is not None
    async with api.ctx.database.service() as conn:
        await write_notice(conn, wanted, lives_s=0.0)
    assert await notice(api) is None


async def test_what_is_paused_here_wins_over_what_the_guard_tells(
    api: Api, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_board, "READ_EVERY_S", 0.0)

    async def code() -> str | None:
        return (await notice(api) or {}).get("code")

    async def becomes(wanted: str) -> None:
        async def is_it() -> bool:
            return await code() == wanted

        await eventually(is_it, what=wanted)

    database = api.ctx.database
    async with database.service() as conn:
        await set_valve(conn, DESIGN_CREATES, closed=True, actor="ada", reason="a bill")
    await becomes("creates_closed")
    await set_reads(database, ["voices"], closed=True, actor="ada", reason="a leak")
    await becomes("reads_closed")
    await set_freeze(database, frozen=True, actor="ada", reason="a restore")
    await becomes("writes_paused")
    told = await notice(api)
    assert told is not None
    assert told["writes_frozen"] is True
    assert "ada" not in str(told)
