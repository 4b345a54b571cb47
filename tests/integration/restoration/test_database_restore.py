"""The database restore on a real server: what was lost comes back, what was deleted does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.restore_stage import Stage, drop_restored
from tests.integration.restoration.restore_tenants import Tenants, go_on, settle
from tests.integration.scripted_provider import ScriptedProvider
from understudy.envfile import read_env_file
from understudy.providers.base import Reference
from understudy.providers.prices import PRICES
from understudy.restoration.actions.database_restore import FreezeWrites
from understudy.restoration.actions.held_writes import valves_to_close
from understudy.restoration.actions.restored_database import adopt_or_list
from understudy.restoration.targets.base import DeploymentState
from understudy.store.addresses import database_of
from understudy.store.buckets import REFERENCES
from understudy.store.freeze import read_freeze
from understudy.store.migrations import connect_owner
from understudy.store.mode import read_mode, write_mode
from understudy.store.valves import read_valves

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

RECORDED = Reference(b"", "one", "English")

NAMES = (
    "precheck", "freeze_writes", "dump_broken", "restore_beside", "reapply_migrations", "replay",
    "reconcile", "wake", "swap", "isolation", "verification", "unfreeze",
)  # fmt: skip


@pytest_asyncio.fixture
async def stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    one = Stage(tmp_path / "home", database_urls)
    yield one
    await one.close()
    await drop_restored(database_urls)


async def prepared(stage: Stage) -> Tenants:
    """Tenants, a proven backup, what came after it, and the damage."""
    database = await stage.connect()
    async with database.service() as conn:
        await write_mode(conn, value="qwen", actor="t", reason="r", incident=None, env_value="qwen")
    who = await settle(database, stage.objects)
    made = await stage.local.take_backup("schedule:1", reason="schedule")
    assert (await stage.local.verify_backup(made.id)).verified_at is not None
    await go_on(database, stage.objects, who)
    async with await stage.broken() as conn:
        await conn.execute("alter table public.voices drop column description")
        await conn.execute("drop table understudy.playback_events cascade")
    return who


def evidence(ended: list[Any], step: str) -> dict[str, Any]:
    return next(dict(entry.body["evidence"]) for entry in ended if entry.step == step)


async def test_a_lost_table_and_column_come_back_and_what_was_deleted_does_not(stage: Stage) -> None:
    who = await prepared(stage)
    incident = stage.open()
    ended = await stage.climb(incident)
    assert [(entry.step, entry.body["ok"], entry.body["problem"]) for entry in ended] == [
        (name, True, None) for name in NAMES
    ]

    named = read_env_file(stage.env_file)
    assert database_of(stage.local.settings().database_url).startswith("understudy_r")
    assert named["TTS_PROVIDER_MODE"] == "modal"
    replayed = evidence(ended, "replay")
    assert replayed["sources"]["broken_database"] > 0
    assert replayed["sources"]["copies"] > 0
    rpo = evidence(ended, "reconcile")["rpo"]
    assert rpo["measured"]
    assert rpo["rows"]["public.generations"] == 3
    assert rpo["microusd"] == 4200
    assert evidence(ended, "reconcile")["tasks"] == {"ended": 1, "followed": 1, "waiting": 1, "failed": 2}

    database = await stage.connect()
    async with database.service() as conn:
        assert (await read_mode(conn)).value == "modal"
        assert not (await read_freeze(conn)).frozen
        valves = await read_valves(conn)
        assert {name for name, valve in valves.items() if valve.closed} == {"generation"}  # ada's stays
    async with await stage.owner() as conn:

        async def one(query: str, *values: object) -> Any:
            row = await (await conn.execute(query, values)).fetchone()
            return None if row is None else next(iter(row.values()))

        assert await one("select description from public.voices where id = %s", who.kept_voice) == "warm"
        assert await one("select count(*) from understudy.playback_events") == 0
        assert await one("select deleted_at from public.voices where id = %s", who.deleted_voice) is not None
        assert await one("select deleted_at from public.voices where id = %s", who.kept_voice) is None
        assert await one("select consent_at from public.voices where id = %s", who.kept_voice) is None
        assert await one("select count(*) from public.generations where id = %s", who.deleted_speech) == 0
        assert await one("select revoked_at from understudy.api_keys where id = %s", who.key) is not None
        assert (
            await one("select revoked_at from understudy.refresh_tokens where token_hash = 't1'") is not None
        )
        assert await one("select count(*) from understudy.operators") == 0
        assert await one("select encrypted_password from auth.users where id = %s", who.ann) == "new"
        assert await one("select deleted_at from auth.users where id = %s", who.bob) is not None
        assert await one("select completed_at from understudy.erasures where user_id = %s", who.bob) is None
        states = {
            name: await one("select status from public.tasks where id = %s", i)
            for name, i in who.tasks.items()
        }
        assert states == {
            "ended": "completed", "followed": "processing", "waiting": "pending",
            "lost": "failed", "told": "failed",
        }  # fmt: skip
        assert (
            await one("select provider_job_id from public.tasks where id = %s", who.tasks["followed"])
            == "job-7"
        )


async def test_voices_made_since_are_adopted_where_the_row_tells_enough_and_listed_with_their_cost(
    stage: Stage,
) -> None:
    database = await stage.connect()
    who = await settle(database, stage.objects)
    made = await stage.local.take_backup("schedule:1", reason="schedule")
    await stage.local.begin_restore("k", made.id)
    provider = ScriptedProvider("qwen", streaming=True, jobs=stage.home / "jobs")
    voices = [await provider.enroll(RECORDED, label=f"label{number}") for number in range(3)]
    async with database.service() as conn:
        for number, voice in enumerate(voices[:2]):
            key = f"{who.ann}/{number}/reference.wav"
            await conn.execute(
                "insert into public.voices (id, user_id, name, tts_provider, provider_voice_id,"
                " reference_object_key) values (%s, %s, 'new', 'qwen', %s, %s)",
                (uuid4(), who.ann, voice.binding.voice_id, key),
            )
            if number == 0:  # of the second the recording is lost: it could never speak elsewhere
                await stage.objects.put(REFERENCES, key, b"v", "audio/wav")
    while (await stage.local.restoration("k")).state is DeploymentState.RUNNING:  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
    url = await stage.local.restored("k")
    assert url is not None
    async with await connect_owner(url) as conn, conn.transaction(), database.service() as broken:
        told = await adopt_or_list(conn, broken, provider, stage.objects)
        assert told["adopted"] == [voices[0].binding.voice_id]
        assert {one["voice"] for one in told["orphans"]} == {one.binding.voice_id for one in voices[1:]}
        assert told["orphans_microusd"] == 2 * PRICES.clone_create
        again = await adopt_or_list(conn, broken, provider, stage.objects)
    assert (again["adopted"], again["orphans_total"]) == ([], 2)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("alter table understudy.valve_history drop column reason", "frozen_at"),
        ("drop table public.tasks cascade", "frozen_at"),
        ("drop table understudy.cutover cascade", "frozen_at"),
        ("alter table understudy.write_freeze_history drop column reason", "not_possible"),
    ],
)
async def test_damage_to_what_a_freeze_writes_does_not_stop_the_restore(
    stage: Stage, damage: str, says: str
) -> None:
    database = await stage.connect()
    async with await stage.broken() as conn:
        await conn.execute(damage)
    ended = await stage.climb(stage.open(), steps=(FreezeWrites(),))
    assert [entry.body["ok"] for entry in ended] == [True]
    assert says in evidence(ended, "freeze_writes")
    async with database.service() as conn:
        row = await read_freeze(conn)
        closed = {valve.name for valve in (await read_valves(conn)).values() if valve.closed}
    assert (row is not None and row.frozen) is (says == "frozen_at")
    assert closed == (set() if "valve_history" in damage else set(valves_to_close()))
