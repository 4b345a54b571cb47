"""Rung 0, quarantine and repair: every invariant broken, kept from use, repaired or told, judged again."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from tests.integration.restoration.performing import KilledError, perform, run_of
from tests.integration.scripted_provider import speech_of
from tests.unit.findings import finding_of
from understudy.audio.wav import read_wav, resample, write_wav
from understudy.clock import SystemClock
from understudy.providers.base import Reference
from understudy.providers.qwen.provider import QwenProvider
from understudy.restoration.actions.quarantine_and_repair import STEPS
from understudy.restoration.actions.step import Restoration, StepError
from understudy.restoration.targets.base import TargetCapabilities
from understudy.restoration.verification.recordings import canary_recording
from understudy.settings import Settings, settings_from
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store import quarantine
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Connection, Database
from understudy.store.object_choice import open_objects
from understudy.store.quarantine import KINDS, Entry

pytestmark = pytest.mark.integration

WAV = "audio/wav"
NOWHERE = "http://127.0.0.1:9/"
MODAL = (
    "MODAL_JOB_SUBMIT",
    "MODAL_JOB_STATUS",
    "MODAL_JOB_RESULT",
    "MODAL_JOB_CANCEL",
    "MODAL_ENDPOINT_VOICE_DESIGN",
)
OLD_S = 600.0


@dataclass
class Ward:
    """A database with broken rows, its stored audio, and a clock an hour ahead: all planted is old."""

    database: Database
    user: uuid.UUID
    home: Path
    settings: Settings

    def run(self, *invariants: str, sample: dict[str, list[str]] | None = None) -> Restoration:
        findings = [
            finding_of(
                f"data_integrity/{name}",
                subject=name,
                n=1,
                bounds={"older_than_s": OLD_S, "looks": 1},
                evidence={"sample": (sample or {}).get(name, [])},
            )
            for name in invariants
        ]
        run = run_of(self.database, self.home, *findings, settings=self.settings)
        run.clock.advance(3600)  # type: ignore[attr-defined]
        return run

    async def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        async with self.database.service() as conn:
            return await (await conn.execute(statement.encode(), values)).fetchall()

    async def one(self, table: str, row: uuid.UUID) -> dict[str, Any]:
        (found,) = await self.sql(f"select * from public.{table} where id = %s", row)
        return found

    async def entries(self) -> list[Entry]:
        async with self.database.service() as conn:
            return await quarantine.entries_of(conn, "inc-1")

    async def put(self, bucket: str, key: str, audio: bytes) -> str:
        await open_objects(self.settings, SystemClock()).put(bucket, key, audio, WAV)
        return hashlib.sha256(audio).hexdigest()


@pytest.fixture
def ward_settings(tmp_path: Path) -> Settings:
    return settings_from(
        {
            "UNDERSTUDY_HOME": str(tmp_path),
            "OBJECT_URL_SECRET": "s" * 40,
            "DASHSCOPE_API_KEY": "sk-not-a-key-0000",
            "DASHSCOPE_BASE_URL": NOWHERE,
            **dict.fromkeys(MODAL, NOWHERE),
        }
    )


@pytest_asyncio.fixture
async def ward(
    database: Database, create_user: CreateUser, tmp_path: Path, ward_settings: Settings
) -> AsyncIterator[Ward]:
    yield Ward(database, await create_user(), tmp_path, ward_settings)


def planter(ward: Ward, conn: Connection) -> Planter:
    return Planter(conn, ward.user)


def binding(**more: Any) -> dict[str, Any]:
    known = {"provider": "qwen", "voice_id": "v-1", "target_model": "m-1", "kind": "vc", "region": "intl"}
    return known | {"request_id": "r-1", "metadata": {}} | more


async def test_a_voice_is_bound_again_by_our_own_record_of_its_create(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        voice = await plant.voice(provider_voice_id=None, provider_target_model=None)
        await conn.execute(
            "insert into public.tasks (id, user_id, type, status, provider, metadata, completed_at)"
            " values (gen_random_uuid(), %s, 'clone', 'completed', 'qwen',"
            " jsonb_build_object('voice_id', %s::text, 'label', 'u1', 'binding', %s::jsonb), now())",
            (ward.user, str(voice), json.dumps(binding())),
        )
    evidence = await perform(STEPS, ward.run("missing_provider_metadata"))
    row = await ward.one("voices", voice)
    assert (row["provider_voice_id"], row["provider_target_model"], row["provider_region"]) == (
        "v-1",
        "m-1",
        "intl",
    )
    assert row["quarantined_for"] == []
    (entry,) = await ward.entries()
    assert (entry.outcome, entry.released_by) == ("repaired", "guard")
    assert entry.replaced["provider_voice_id"] is None
    assert evidence["repair"]["outcomes"] == {"repaired": 1}
    assert evidence["recheck"]["invariants"] == {
        "missing_provider_metadata": {"count": 0, "in_quarantine": 0}
    }


async def test_a_voice_is_bound_again_by_the_providers_own_list(ward: Ward, tmp_path: Path) -> None:
    recording = canary_recording()
    async with running_standins(tmp_path / "standins", StandInSettings()) as addresses:
        ward.settings = ward.settings.model_copy(
            update={
                "dashscope_base_url": addresses.dashscope,
                "dashscope_api_key": type(ward.settings.dashscope_api_key)("sk-standin-intl-0001"),
            }
        )
        provider = QwenProvider(ward.settings)
        audio = write_wav(resample(read_wav(recording.audio), 24_000))
        reference = Reference(audio, recording.transcript, recording.language)
        enrolled = await provider.enroll(reference, label="u00000000000000a")
        await provider.close()
        async with ward.database.service() as conn:
            plant = planter(ward, conn)
            voice = await plant.voice(provider_voice_id=None, provider_target_model=None)
            unknown = await plant.voice(provider_voice_id=None)
            for made, label in ((voice, "u00000000000000a"), (unknown, "u00000000000000b")):
                await conn.execute(
                    "insert into public.tasks (id, user_id, type, status, provider, dispatched_at, metadata)"
                    " values (gen_random_uuid(), %s, 'clone', 'failed', 'qwen', now(),"
                    " jsonb_build_object('voice_id', %s::text, 'label', %s::text))",
                    (ward.user, str(made), label),
                )
        evidence = await perform(STEPS, ward.run("missing_provider_metadata"))
    row = await ward.one("voices", voice)
    assert row["provider_voice_id"] == enrolled.binding.voice_id
    assert row["provider_target_model"] == enrolled.binding.target_model
    # Nobody knows the other one: it stays as it is, kept from use, and a person is told.
    left = await ward.one("voices", unknown)
    assert left["provider_voice_id"] is None
    assert left["quarantined_for"] == ["missing_provider_metadata"]
    assert evidence["repair"]["outcomes"] == {"repaired": 1, "needs_enrolment": 1}
    (followup,) = evidence["repair"]["followups"]
    assert followup["blocking"]
    assert str(unknown) in followup["text"]
    assert evidence["recheck"]["invariants"]["missing_provider_metadata"]["in_quarantine"] == 1


async def test_a_generation_is_named_by_its_call_and_one_without_a_call_is_told(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        called, silent = (
            await plant.generation(provider_model=None),
            await plant.generation(provider_model=None),
        )
        await plant.call(await plant.task(called), model="m-7")
    evidence = await perform(STEPS, ward.run("missing_provider_metadata"))
    assert (await ward.one("generations", called))["provider_model"] == "m-7"
    left = await ward.one("generations", silent)
    assert (left["provider_model"], left["status"]) == (None, "completed")
    assert evidence["repair"]["outcomes"] == {"repaired": 1, "unrepaired": 1}


async def test_orphans_end_honestly_and_what_is_stored_is_linked_again(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        open_row = {"status": "pending", "audio_object_key": None, "completed_at": None, "audio_sha256": None}
        lost = await plant.generation(**open_row)
        stored = await plant.generation(**open_row, provider_model=None)
        await plant.call(await plant.task(stored, updated_at=NOW - timedelta(hours=2)), model="m-7")
        overdue = await plant.generation(**open_row)
        task = await plant.task(
            overdue, status="processing", completed_at=None, deadline_at=NOW - timedelta(hours=2)
        )
        await plant.entry(task, state="reserved", ended_at=None, settled_microusd=0, calls=0)
    audio = write_wav(speech_of("one two"))
    digest = await ward.put(GENERATIONS, f"{ward.user}/{stored}.wav", audio)
    evidence = await perform(STEPS, ward.run("orphaned_generations", "orphaned_tasks"))
    row = await ward.one("generations", lost)
    assert row["status"] == "failed"
    assert "fault on our side" in row["error_message"]
    linked = await ward.one("generations", stored)
    assert (linked["status"], linked["audio_sha256"], linked["provider_model"]) == (
        "completed",
        digest,
        "m-7",
    )
    assert linked["duration_seconds"] > 0
    assert [
        (await ward.one("tasks", task))["status"],
        (await ward.one("generations", overdue))["status"],
    ] == [
        "failed",
        "failed",
    ]
    # The reservation ended with its task, by the ledger's own rule.
    (entry,) = await ward.sql("select state from understudy.ledger where task_id = %s", task)
    assert entry["state"] == "released"
    assert set(evidence["recheck"]["invariants"]) == {"orphaned_generations", "orphaned_tasks"}
    assert all(entry.released_at for entry in await ward.entries())


async def test_a_completed_task_whose_speech_is_gone_shows_as_failed_and_is_owed(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        generation = await plant.generation(status="failed", audio_object_key=None)
        task = await plant.task(generation)
        await plant.call(task)
        await plant.entry(task)
    evidence = await perform(STEPS, ward.run("orphaned_tasks"))
    row = await ward.one("tasks", task)
    assert (row["status"], row["quarantined_for"]) == ("completed", ["orphaned_tasks"])
    assert evidence["repair"]["owed_microusd"] == 30
    assert evidence["repair"]["outcomes"] == {"failed": 1}


async def test_lost_audio_is_kept_from_use_and_audio_that_is_there_is_whole_again(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        lost, undigested = await plant.generation(), await plant.generation(audio_sha256=None)
        task = await plant.task(lost)
        await plant.call(task)
        await plant.entry(task)
        await plant.sighting("missing", "generations", f"{ward.user}/{lost}.wav")
        sampled = await plant.generation()
    digest = await ward.put(GENERATIONS, f"{ward.user}/{undigested}.wav", b"RIFF sound")
    ledger = await ward.sql("select * from understudy.ledger")
    # Only the stored audio itself shows that the third one is broken too: a look sampled it.
    run = ward.run("completed_without_audio", sample={"completed_without_audio": [str(sampled)]})
    evidence = await perform(STEPS, run)
    assert (await ward.one("generations", undigested))["audio_sha256"] == digest
    for generation in (lost, sampled):
        row = await ward.one("generations", generation)
        assert (row["status"], row["quarantined_for"]) == ("completed", ["completed_without_audio"])
        assert row["audio_object_key"] is not None
    assert (await ward.one("tasks", task))["quarantined_for"] == ["completed_without_audio"]
    assert evidence["repair"]["outcomes"] == {"repaired": 1, "failed": 2}
    assert evidence["repair"]["owed_microusd"] == 30
    assert await ward.sql("select * from understudy.ledger") == ledger


async def test_voices_whose_recordings_are_unusable_need_enrolment_and_false_alarms_do_not(
    ward: Ward,
) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        mute = await plant.voice(reference_transcript="")
        gone, there, differs = await plant.voice(), await plant.voice(), await plant.voice()
        for voice in (gone, there):
            await plant.sighting("missing", "references", f"{ward.user}/{voice}/reference.wav")
    digest = await ward.put(REFERENCES, f"{ward.user}/{there}/reference.wav", b"RIFF there")
    await ward.put(REFERENCES, f"{ward.user}/{differs}/reference.wav", b"RIFF other")
    async with ward.database.service() as conn:
        await conn.execute("update public.voices set reference_sha256 = %s where id = %s", (digest, there))
    run = ward.run("unreadable_references", sample={"unreadable_references": [str(differs), str(there)]})
    evidence = await perform(STEPS, run)
    assert evidence["repair"]["outcomes"] == {"repaired": 1, "needs_enrolment": 3}
    assert (await ward.one("voices", there))["quarantined_for"] == []
    for voice in (mute, gone, differs):
        assert (await ward.one("voices", voice))["quarantined_for"] == ["unreadable_references"]
    assert {"it has no transcript", "its recording has another digest"} <= {
        (entry.detail or "").partition(":")[0] for entry in await ward.entries()
    }


async def test_audio_without_row_and_money_are_listed_and_left_alone(ward: Ward) -> None:
    key = f"{ward.user}/{uuid.uuid4()}.wav"
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        await plant.sighting("orphan", "generations", key)
        task = await plant.task(await plant.generation())
        await plant.call(task, cost_microusd=70)
        await plant.entry(task)
    await ward.put(GENERATIONS, key, b"RIFF nobody's")
    before = await ward.sql("select * from understudy.ledger")
    evidence = await perform(STEPS, ward.run("audio_without_row", "ledger_unbalanced"))
    assert evidence["repair"]["outcomes"] == {"listed": 2}
    by_kind = {entry.kind: entry for entry in await ward.entries()}
    assert by_kind["object"].subject == f"generations/{key}"
    assert "settled 30, its calls came to 70 micro-dollars" in (by_kind["ledger"].detail or "")
    assert await ward.sql("select * from understudy.ledger") == before
    assert await open_objects(ward.settings, SystemClock()).stat(GENERATIONS, key) is not None


async def test_nothing_is_ever_deleted_and_what_is_whole_is_not_touched(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        await plant.healthy()
        await plant.voice(provider_voice_id=None)
    tables = ("public.voices", "public.generations", "public.tasks", "understudy.ledger")
    before = {table: await ward.sql(f"select * from {table} order by 1") for table in tables}
    await perform(STEPS, ward.run(*KINDS))
    for table in tables:
        after = await ward.sql(f"select * from {table} order by 1")
        assert len(after) == len(before[table])
        changed = [new for new, old in zip(after, before[table], strict=True) if new != old]
        assert len(changed) == (table == "public.voices")


@pytest.mark.parametrize("killed_after", ["quarantine", "repair"])
async def test_killed_after_an_act_it_goes_on_and_enters_nothing_twice(ward: Ward, killed_after: str) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        voices = [await plant.voice(provider_voice_id=None) for _ in range(3)]
    run = ward.run("missing_provider_metadata")
    with pytest.raises(KilledError):
        await perform(STEPS, run, killed_after=killed_after)
    evidence = await perform(STEPS, run)
    entries = await ward.entries()
    assert sorted(entry.subject for entry in entries) == sorted(map(str, voices))
    assert evidence["repair"]["outcomes"] == {"needs_enrolment": 3}
    # And again, from the start, with nothing left to do.
    await perform(STEPS, run)
    assert await ward.entries() == entries


async def test_what_breaks_meanwhile_fails_the_recheck(ward: Ward) -> None:
    run = ward.run("missing_provider_metadata")
    quarantining, repairing, recheck = STEPS
    async with ward.database.service() as conn:
        await planter(ward, conn).voice(provider_voice_id=None)
    await quarantining.act(run, "key")
    await repairing.act(run, "key")
    async with ward.database.service() as conn:
        await planter(ward, conn).voice(provider_voice_id=None)
    with pytest.raises(
        StepError, match=r"1 of missing_provider_metadata\. Whatever writes such rows"
    ) as failed:
        await recheck.act(run, "key")
    assert failed.value.final
    assert not failed.value.hopeless
    assert failed.value.evidence["invariants"]["missing_provider_metadata"] == {
        "count": 1,
        "in_quarantine": 1,
    }


async def test_a_provider_that_does_not_answer_leaves_the_row_for_the_next_attempt(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        voice = await plant.voice(provider_voice_id=None)
        await conn.execute(
            "insert into public.tasks (id, user_id, type, status, provider, dispatched_at, metadata)"
            " values (gen_random_uuid(), %s, 'clone', 'failed', 'qwen', now(),"
            " jsonb_build_object('voice_id', %s::text, 'label', 'u1'))",
            (ward.user, str(voice)),
        )
    with pytest.raises(StepError, match=f"voice {voice}"):
        await perform(STEPS, ward.run("missing_provider_metadata"))
    (entry,) = await ward.entries()
    assert entry.outcome is None
    assert (await ward.one("voices", voice))["quarantined_for"] == ["missing_provider_metadata"]


async def test_asked_for_by_hand_it_looks_at_every_invariant_and_leaves_young_rows_alone(ward: Ward) -> None:
    async with ward.database.service() as conn:
        plant = planter(ward, conn)
        old, young = await plant.voice(provider_voice_id=None), await plant.voice(provider_voice_id=None)
        await conn.execute(
            "update public.voices set created_at = now() + interval '59 minutes' where id = %s", (young,)
        )
        # An upload of two hours ago, whose voice may come yet.
        await plant.sighting("orphan", "references", f"{ward.user}/{uuid.uuid4()}/upload")
    evidence = await perform(STEPS, ward.run())
    assert set(evidence["recheck"]["invariants"]) == set(KINDS)
    assert [entry.subject for entry in await ward.entries()] == [str(old)]


async def test_a_target_with_tables_of_its_own_is_left_to_a_person(ward: Ward) -> None:
    run = ward.run("orphaned_tasks")
    run.target.capabilities = TargetCapabilities(live_switch=False, restore_beside=False)  # type: ignore[misc]
    with pytest.raises(StepError, match="a person looks the rows up") as refused:
        await perform(STEPS, run)
    assert refused.value.hopeless
