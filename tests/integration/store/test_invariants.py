"""Each invariant finds what is planted against it once that is old enough, and nothing where all is well."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from understudy.store import invariants
from understudy.store.database import Connection, Database
from understudy.store.invariants import QUERIES, SAMPLE, Broken

pytestmark = pytest.mark.integration

#: When the looks are made: everything planted at NOW is old by then.
LATER = NOW + timedelta(hours=1)
OLD_S = 600.0


async def look(conn: Connection, name: str, *, at: datetime = LATER, older_than_s: float = OLD_S) -> Broken:
    return await invariants.broken(
        conn, name, now=at, older_than_s=older_than_s, span_s=7200.0, timeout_s=5.0, tolerance_percent=5.0
    )


async def breaks(conn: Connection, *expected: str) -> None:
    """Exactly these invariants are broken, and only once what broke them is old enough."""
    found = {name: await look(conn, name) for name in QUERIES}
    assert {name for name, broken in found.items() if broken.count} == set(expected), found
    young = {name: (await look(conn, name, at=NOW + timedelta(seconds=OLD_S))).count for name in QUERIES}
    assert not any(young.values()), young  # of exactly that age: not older


async def test_every_invariant_finds_what_is_planted_against_it(
    database: Database, create_user: CreateUser
) -> None:
    user = await create_user()

    async with database.service() as conn:
        planter = Planter(conn, user)
        await planter.healthy()
        await breaks(conn)

        async def broken_by(name: str, *, sampled: str | None = None) -> None:
            await breaks(conn, name)
            if sampled is not None:
                assert sampled in (await look(conn, name)).sample

        for changes in (
            {"provider_voice_id": None},
            {"provider_target_model": None},
            {"provider_voice_kind": None},
            {"tts_provider": "elsewhere"},
        ):
            async with conn.transaction(force_rollback=True):
                voice = await planter.voice(**changes)
                await broken_by("missing_provider_metadata", sampled=f"voice {voice}")
        for changes in ({"provider_model": None}, {"tts_provider": "elsewhere"}):
            async with conn.transaction(force_rollback=True):
                generation = await planter.generation(**changes)
                await broken_by("missing_provider_metadata", sampled=f"generation {generation}")

        unfinished = {"status": "processing", "audio_object_key": None, "completed_at": None}
        async with conn.transaction(force_rollback=True):  # no task at all
            await broken_by("orphaned_generations", sampled=str(await planter.generation(**unfinished)))
        for ended in ("completed", "failed", "cancelled"):
            async with conn.transaction(force_rollback=True):  # a task that ended otherwise
                generation = await planter.generation(**unfinished)
                await planter.task(generation, status=ended)
                await broken_by("orphaned_generations", sampled=str(generation))

        late = {"status": "processing", "completed_at": None, "deadline_at": NOW}
        async with conn.transaction(force_rollback=True):
            generation = await planter.generation(**unfinished)
            task = await planter.task(generation, **late)
            await broken_by("orphaned_tasks", sampled=str(task))
            await conn.execute("update public.tasks set lease_expires_at = %s where id = %s", (LATER, task))
            await breaks(conn)  # somebody still holds it
        async with conn.transaction(force_rollback=True):  # nobody may end it while writes are frozen
            await planter.task(await planter.generation(**unfinished), **late)
            frozen = {"frozen": True, "actor": "a", "reason": "r", "changed_at": NOW}
            await planter.plant("understudy.write_freeze", frozen)
            await breaks(conn)
        async with conn.transaction(force_rollback=True):  # completed, and its generation is not
            task = await planter.task(await planter.generation(status="failed"))
            await planter.call(task)
            await planter.entry(task)
            await broken_by("orphaned_tasks", sampled=str(task))

        for changes in ({"audio_object_key": ""}, {"audio_sha256": None}):
            async with conn.transaction(force_rollback=True):
                generation = await planter.generation(**changes)
                await broken_by("completed_without_audio", sampled=str(generation))
        async with conn.transaction(force_rollback=True):
            generation = await planter.spoken()
            await planter.sighting("missing", "generations", f"{user}/{generation}.wav")
            await broken_by("completed_without_audio", sampled=str(generation))
            await conn.execute("delete from public.generations where id = %s", (generation,))
            await breaks(conn)  # its owner deleted it

        async with conn.transaction(force_rollback=True):
            await planter.sighting("orphan", "references", "k")
            await broken_by("audio_without_row", sampled="references/k")

        for changes in (
            {"reference_object_key": None},
            {"reference_object_key": ""},
            {"reference_transcript": None},
            {"reference_transcript": ""},
        ):
            async with conn.transaction(force_rollback=True):
                await broken_by("unreadable_references", sampled=str(await planter.voice(**changes)))
        async with conn.transaction(force_rollback=True):
            voice = await planter.voice()
            await planter.sighting("missing", "references", f"{user}/{voice}/reference.wav")
            await broken_by("unreadable_references", sampled=str(voice))

        open_entry = {"state": "reserved", "ended_at": None, "settled_microusd": 0, "calls": 0}
        async with conn.transaction(force_rollback=True):
            await planter.entry(uuid.uuid4(), **open_entry)  # its task is gone
            await broken_by("ledger_unbalanced")
        async with conn.transaction(force_rollback=True):
            await planter.entry(await planter.task(status="failed"), **open_entry)  # its task has ended
            await broken_by("ledger_unbalanced")
        async with conn.transaction(force_rollback=True):  # closed although its task goes on
            task = await planter.task(status="processing", deadline_at=LATER, completed_at=None)
            await planter.call(task)
            await planter.entry(task)
            await broken_by("ledger_unbalanced", sampled=str(task))
        async with conn.transaction(force_rollback=True):  # another sum than its calls
            task = await planter.task()
            await planter.call(task, cost_microusd=31)
            await planter.entry(task)
            await broken_by("ledger_unbalanced", sampled=str(task))

        for counted, expected in ((100, 0), (105, 0), (95, 0), (106, 1), (94, 1)):
            async with conn.transaction(force_rollback=True):
                await planter.call(None, counted_characters=counted)
                assert (await look(conn, "provider_counters")).count == expected

        for _ in range(SAMPLE + 5):
            await planter.voice(provider_voice_id=None)
        found = await look(conn, "missing_provider_metadata")
        assert (found.count, len(found.sample)) == (SAMPLE + 5, SAMPLE)


async def test_a_look_that_takes_too_long_is_ended_by_the_server(database: Database) -> None:
    async with database.service() as holder:
        await holder.execute("lock table public.voices in access exclusive mode")
        with pytest.raises(psycopg.errors.QueryCanceled):
            async with database.service() as conn:
                await invariants.broken(
                    conn,
                    "unreadable_references",
                    now=LATER,
                    older_than_s=0.0,
                    span_s=1.0,
                    timeout_s=0.05,
                )
