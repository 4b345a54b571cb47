"""Invariants that need more than a query: stored objects, the schema itself, and looks that fail."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.clocks import HandClock
from tests.integration.conftest import CreateUser, DatabaseUrls
from tests.integration.planting import NOW, Planter
from tests.unit.restoration.signals_of import signals
from understudy.errors import StoreUnavailableError
from understudy.logs import Leaks
from understudy.resources import playbook_file
from understudy.restoration.guard.leaking import LeakReport
from understudy.restoration.guard.sources import _observers
from understudy.restoration.guard.watching import NoProbes
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.signals.integrity import IntegrityObserver, Plan
from understudy.restoration.signals.readings import IntegrityReading, InvariantReading
from understudy.restoration.signals.sampling import AudioSampler, ReferenceSampler
from understudy.restoration.signals.schema import CHANGED, SchemaWatch
from understudy.restoration.triggers.data_integrity import judge
from understudy.restoration.triggers.verdict import Verdict
from understudy.settings import settings_from
from understudy.store import schema_watch
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.catalog import Catalog
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.migrations import load_migrations
from understudy.store.objects import LocalObjects
from understudy.store.schema_watch import SchemaLook, look_at_schema
from understudy.store.security_signals import secret_hits

pytestmark = pytest.mark.integration

LATER = NOW + timedelta(hours=1)


class Memory(dict[str, str]):
    def meta(self, key: str) -> str | None:
        return self.get(key)

    def set_meta(self, key: str, value: str) -> None:
        self[key] = value


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects", SecretStr("s" * 32), 60, HandClock(NOW))


async def test_stored_objects_are_all_looked_at_within_the_stated_time(
    database: Database, create_user: CreateUser, objects: LocalObjects
) -> None:
    user = await create_user()

    async def connect() -> Database:
        return database

    keys: dict[uuid.UUID, str] = {}
    async with database.service() as conn:
        planter = Planter(conn, user)
        for _ in range(5):
            voice = await planter.voice(reference_sha256=hashlib.sha256(b"sound").hexdigest())
            keys[voice] = f"{user}/{voice}/reference.wav"
            await objects.put(REFERENCES, keys[voice], b"sound", "audio/wav")
            generation = await planter.generation()
            await objects.put(GENERATIONS, f"{user}/{generation}.wav", b"sound", "audio/wav")
    references = ReferenceSampler(objects, due_s=60, full_pass_s=180)  # 5 rows, three looks: 2 a look
    audio = AudioSampler(objects, due_s=60, full_pass_s=60)  # all of them at each look
    assert [(await references.look(connect, LATER)).count for _ in range(3)] == [0, 0, 0]
    assert (await audio.look(connect, LATER)).count == 0

    damaged, lost = max(keys), min(keys)
    await objects.put(REFERENCES, keys[damaged], b"noise", "audio/wav")
    await objects.delete(REFERENCES, keys[lost])
    await objects.delete(GENERATIONS, f"{user}/{generation}.wav")
    found = [set((await references.look(connect, LATER)).sample) for _ in range(3)]
    assert found[-1] == {str(damaged), str(lost)}  # every voice's turn came, and a broken one stays found
    assert (await audio.look(connect, LATER)).sample == (str(generation),)
    assert (
        await audio.look(connect, NOW - timedelta(hours=1))
    ).count == 1  # asked for again, whatever is new

    await objects.put(REFERENCES, keys[lost], b"sound", "audio/wav")
    async with database.service() as conn:
        await conn.execute("update public.voices set deleted_at = now() where id = %s", (damaged,))
        await conn.execute("delete from public.generations where id = %s", (generation,))
    assert (await references.look(connect, LATER)).count == 0
    assert (await audio.look(connect, LATER)).count == 0
    big = ReferenceSampler(objects, due_s=60, full_pass_s=60)
    assert big._share(100_000) == 500
    assert big.pass_s == 100_000 / 500 * 60  # longer than stated: it says so


async def test_the_live_schema_is_compared_with_what_its_files_give(
    database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    async def counted(url: SecretStr, look: SchemaLook) -> Catalog:
        nonlocal made
        made += 1
        return await schema_watch.expected_of(url, look)

    monkeypatch.setattr("understudy.restoration.signals.schema.expected_of", counted)
    memory = Memory()
    watch = SchemaWatch(lambda: database_urls.owner, memory)
    with capture_logs() as logs:
        assert (await watch.look()).count == 0
    assert logs == []  # what runs on the scratch database happened to nobody
    assert (await watch.look()).count == 0
    assert (await SchemaWatch(lambda: database_urls.owner, memory).look()).count == 0  # a restarted guard
    recorded: dict[str, str] = {one.version: one.sha256 for one in load_migrations()[:-1]}  # one ran since
    by_record = SchemaWatch(lambda: database_urls.owner, memory, recorded_files=lambda: recorded)
    assert (await by_record.look()).count == 0
    changed = min(recorded)
    recorded |= {changed: "x", "20300101000000": "y"}
    assert (await by_record.look()).sample == (
        "migration 20300101000000 of the known-good record is not in the history",
        f"migration {changed} ran with another content than the known-good record's",
    )
    assert made == 1  # one scratch database, once

    async with await psycopg.AsyncConnection.connect(
        database_urls.owner.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("alter table public.voices drop column reference_sha256")
        lost = await watch.look()
        assert lost.sample == ("column public.voices.reference_sha256 is missing",)
        await conn.execute("alter table public.voices add column reference_sha256 text")
        # Of the same columns in another order nothing is missing.
        assert (await watch.look()).count == 0
        await conn.execute("grant select on understudy.ledger to authenticated")
        assert "grant select on understudy.ledger" in (await watch.look()).sample[0]
        await conn.execute("revoke select on understudy.ledger from authenticated")

        [head] = await (
            await conn.execute("select version from understudy.migration_files order by version desc limit 1")
        ).fetchall()
        await conn.execute("update understudy.migration_files set sha256 = 'x' where version = %s", head)
        assert (await watch.look()).sample == (f"migration {head[0]} was edited after it was applied",)
        await conn.execute("delete from understudy.migration_files where version = %s", head)
        await conn.execute(
            "delete from supabase_migrations.schema_migrations where version = '20261126090000'"
        )
        assert "migration 20261126090000 is not in the history" in (await watch.look()).sample
    assert made == 1


async def test_a_role_that_may_not_create_a_database_compares_with_what_was_first_seen(
    database_urls: DatabaseUrls,
) -> None:
    memory = Memory()
    watch = SchemaWatch(lambda: database_urls.app, memory)
    recorded = await look_at_schema(database_urls.app)
    assert (await watch.look()).count == 0
    async with await psycopg.AsyncConnection.connect(
        database_urls.owner.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("alter table public.voices drop column reference_sha256")
    lost = "column public.voices.reference_sha256 is missing"
    assert (await watch.look()).sample == (lost,)
    assert (await SchemaWatch(lambda: database_urls.app, memory).look()).sample == (CHANGED,)
    by_record = SchemaWatch(lambda: database_urls.app, Memory(), recorded=lambda: recorded.live)
    assert (await by_record.look()).sample == (lost,)
    # A record of other files than those applied now says nothing of what they give.
    for files, found in (
        (recorded.hashes, (lost,)),
        ({recorded.files[0].version: recorded.files[0].sha256}, ()),
    ):
        of_files = SchemaWatch(
            lambda: database_urls.app,
            Memory(),
            recorded=lambda: recorded.live,
            recorded_files=lambda files=files: files,  # type: ignore[misc]
        )
        assert (await of_files.look()).sample == found


def told(reading: IntegrityReading) -> dict[str, InvariantReading]:
    return {invariant.name: invariant for invariant in reading.invariants}


async def test_the_policy_s_own_invariants_hold_of_a_healthy_database(
    database: Database, create_user: CreateUser, objects: LocalObjects, database_urls: DatabaseUrls
) -> None:
    user = await create_user()

    async def connect() -> Database:
        return database

    async with database.service() as conn:
        await Planter(conn, user).healthy()
    for key in await missing_objects(database):
        await objects.put(*key, b"sound", "audio/wav")
    async with database.service() as conn:
        digest = hashlib.sha256(b"sound").hexdigest()
        await conn.execute("update public.voices set reference_sha256 = %s", (digest,))
    policy = load_playbook(Path("playbooks/restoration.yaml")).triggers.data_integrity
    clock = HandClock(datetime.now(UTC) + timedelta(minutes=10))
    schema = SchemaWatch(lambda: database_urls.owner, Memory())
    observer = IntegrityObserver(
        connect, clock, plans=policy.plans(), objects=objects, schema=schema, patience_s=60
    )
    first = told(await observer.read())
    assert first.pop("schema_drift").at is None  # a guard that just started has other work
    assert {name: (look.at, look.count, look.blind) for name, look in first.items()} == {
        name: (clock.now(), 0, None) for name in first
    }
    assert len(first) == 8
    clock.advance(60)
    second = told(await observer.read())
    assert (second["schema_drift"].count, second["schema_drift"].blind) == (0, None)
    assert second["schema_drift"].at == clock.now()
    found = judge(policy, signals(integrity=await observer.read()), known_good="modal", now=clock.now())
    assert {finding.verdict for finding in found} == {Verdict.PASS}


async def missing_objects(database: Database) -> list[tuple[str, str]]:
    async with database.service() as conn:
        voices = await (
            await conn.execute(
                "select reference_object_key as key from public.voices where deleted_at is null"
            )
        ).fetchall()
        audio = await (
            await conn.execute(
                "select audio_object_key as key from public.generations where audio_object_key is not null"
            )
        ).fetchall()
    return [(REFERENCES, row["key"]) for row in voices] + [(GENERATIONS, row["key"]) for row in audio]


async def test_looks_are_counted_while_it_lasts_and_blind_when_they_fail(
    database: Database, create_user: CreateUser
) -> None:
    user = await create_user()
    away = False

    async def connect() -> Database:
        if away:
            raise StoreUnavailableError
        return database

    async with database.service() as conn:
        voice = await Planter(conn, user).voice(provider_voice_id=None)
    clock = HandClock(datetime.now(UTC) + timedelta(minutes=10))
    plans = {"missing_provider_metadata": Plan(60, 120), "audio_without_row": Plan(300, 3600)}
    observer = IntegrityObserver(connect, clock, plans=plans, objects=None, schema=None, patience_s=60)
    assert observer.every_s == 60

    first = told(await observer.read())["missing_provider_metadata"]
    assert (first.count, first.since, first.broken_looks) == (1, clock.now(), 1)
    began = clock.now()
    clock.advance(59)
    assert told(await observer.read())["missing_provider_metadata"] == first  # not due
    clock.advance(1)
    second = told(await observer.read())["missing_provider_metadata"]
    assert (second.since, second.broken_looks, second.at) == (began, 2, clock.now())

    away = True
    clock.advance(60)
    blind = told(await observer.read())["missing_provider_metadata"]
    assert blind == replace(second, blind=blind.blind)
    assert blind.blind is not None
    away = False
    async with database.service() as conn:
        await conn.execute("update public.voices set provider_voice_id = 'v' where id = %s", (voice,))
        await conn.execute(
            "insert into understudy.collection_state (started_at) values (%s)", (NOW - timedelta(hours=4),)
        )
    clock.advance(300)
    readings = told(await observer.read())
    healed = readings["missing_provider_metadata"]
    assert (healed.count, healed.since, healed.broken_looks, healed.blind) == (0, None, 0, None)
    assert "last matched" in (readings["audio_without_row"].blind or "")  # the collection runs no more


async def test_a_slow_look_delays_no_other(database: Database, create_user: CreateUser) -> None:
    user = await create_user()

    async def connect() -> Database:
        return database

    async with database.service() as conn:
        await Planter(conn, user).voice(provider_voice_id=None)
    began = datetime.now(UTC) + timedelta(minutes=10)
    clock = HandClock(began)
    plans = {"audio_without_row": Plan(5, 120), "missing_provider_metadata": Plan(5, 120)}
    observer = IntegrityObserver(
        connect, clock, plans=plans, objects=None, schema=None, deadline_s=30, patience_s=0.3
    )
    async with database.service() as holder:
        await holder.execute("lock table understudy.object_sightings in access exclusive mode")
        for looks in (1, 2, 3):
            readings = told(await observer.read())
            assert readings["missing_provider_metadata"].broken_looks == looks
            assert readings["audio_without_row"].at is None
            clock.advance(5)
    readings = told(await observer.read())
    assert readings["audio_without_row"].at == began  # its one look, asked long ago


async def test_secrets_in_the_guard_s_own_log_are_written_once_the_database_can_be_reached(
    database: Database,
) -> None:
    away = True

    async def connect() -> Database:
        if away:
            raise StoreUnavailableError
        return database

    leaks, stop = Leaks(), asyncio.Event()
    report = LeakReport(leaks, connect, HandClock(NOW), instance=uuid.uuid4(), every_s=0.01)

    async def written() -> list[tuple[str, str, str, int]]:
        async with database.service() as conn:
            hits = await secret_hits(conn, NOW - timedelta(minutes=1))
        return sorted((hit.process, hit.where, hit.name, hit.count) for hit in hits)

    leaks.note(["JWT_SECRET", "canary-1"])
    leaks.note(["JWT_SECRET"])
    await report.write()
    assert await written() == []
    away = False
    running = asyncio.create_task(report.run(stop))
    first = [("guard", "log", "JWT_SECRET", 2), ("guard", "log", "canary-1", 1)]
    async with asyncio.timeout(5):
        while await written() != first:
            await asyncio.sleep(0)
    leaks.note(["canary-1"])
    stop.set()
    await asyncio.wait_for(running, 5)
    assert await written() == sorted([*first, ("guard", "log", "canary-1", 1)])


async def test_the_guard_compares_the_live_history_with_its_known_good_record(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    async def connect() -> Database:
        return database

    clock, playbook = HandClock(NOW), load_playbook(playbook_file())
    values = {"DATABASE_URL": database_urls.app, "MIGRATION_DATABASE_URL": database_urls.owner}
    settings = settings_from({name: url.get_secret_value() for name, url in values.items()})
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        store.record_known_good({"migrations": {"files": {"20250101000000": "x"}}}, actor="person:ada")
        integrity = _observers(
            tmp_path,
            settings,
            playbook,
            connect,
            clock=clock,
            store=store,
            probes=NoProbes(),  # type: ignore[arg-type]
        )["integrity"]
        clock.advance(playbook.triggers.data_integrity.schema_drift.due_s)
        async with asyncio.timeout(20):
            seen = None
            while seen is None or seen.at is None:
                reading = await integrity.look()
                assert isinstance(reading, IntegrityReading)
                seen = told(reading)["schema_drift"]
    assert seen.sample == ("migration 20250101000000 of the known-good record is not in the history",)
