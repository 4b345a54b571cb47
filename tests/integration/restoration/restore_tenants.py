"""What tenants did before a backup, and what they did after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from understudy.clock import SystemClock
from understudy.speech.erasing import erase_account
from understudy.store import sessions
from understudy.store.api_keys import create_key, revoke_key
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Database
from understudy.store.generations import delete_generation
from understudy.store.objects import ObjectStore
from understudy.store.operators import grant_operator, revoke_operator
from understudy.store.tombstones import copy_tombstones
from understudy.store.users import change_user, create_user
from understudy.store.valves import GENERATION, set_valve
from understudy.store.voices import soft_delete_voice

NOW = datetime.now(UTC)


@dataclass
class Tenants:
    """Ids of everything that a test asks about."""

    ann: UUID
    bob: UUID
    kept_voice: UUID
    deleted_voice: UUID
    kept_speech: UUID
    deleted_speech: UUID
    key: UUID
    session: UUID
    tasks: dict[str, UUID]


async def settle(database: Database, objects: ObjectStore) -> Tenants:
    """Everything of before the backup."""
    async with database.service() as conn:
        ann, bob = [
            user.id
            for name in ("ann", "bob")
            if (
                user := await create_user(
                    conn, email=f"{name}@example.org", encrypted_password="old", user_metadata={}, at=NOW
                )
            )
        ]
        key, _ = await create_key(conn, user_id=ann, name="program", at=NOW, expires_at=None)
        session = uuid4()
        await sessions.add_refresh_token(
            conn,
            token_hash="t1",
            user_id=ann,
            session_id=session,
            parent_hash=None,
            created_at=NOW,
            expires_at=NOW + timedelta(days=30),
        )
        await grant_operator(conn, ann, actor="test")
        voices = [uuid4(), uuid4()]
        for voice in voices:
            await conn.execute(
                "insert into public.voices (id, user_id, name, description, reference_object_key,"
                " reference_transcript, consent_statement, consent_at)"
                " values (%s, %s, 'v', 'warm', %s, 'one', 'mine', now())",
                (voice, ann, f"{ann}/{voice}/reference.wav"),
            )
        speech = [uuid4(), uuid4()]
        for one in speech:
            await conn.execute(
                "insert into public.generations"
                " (id, user_id, voice_id, text, status, audio_object_key, completed_at)"
                " values (%s, %s, %s, 'hello', 'completed', %s, now())",
                (one, ann, voices[0], f"{ann}/{one}.wav"),
            )
        tasks = {}
        for name, sent in (
            ("ended", False),
            ("followed", False),
            ("waiting", False),
            ("lost", True),
            ("told", False),
        ):
            tasks[name] = uuid4()
            generation = uuid4()
            await conn.execute(
                "insert into public.generations (id, user_id, voice_id, text) values (%s, %s, %s, 'later')",
                (generation, ann, voices[0]),
            )
            await conn.execute(
                "insert into public.tasks"
                " (id, user_id, type, generation_id, deadline_at, dispatched_at, status)"
                " values (%s, %s, 'generate', %s, now() + interval '1 minute', %s, %s)",
                (tasks[name], ann, generation, NOW if sent else None, "processing" if sent else "pending"),
            )
    for voice in voices:
        await objects.put(REFERENCES, f"{ann}/{voice}/reference.wav", b"v" + voice.bytes, "audio/wav")
    for one in speech:
        await objects.put(GENERATIONS, f"{ann}/{one}.wav", b"s" + one.bytes, "audio/wav")
    return Tenants(ann, bob, voices[0], voices[1], speech[0], speech[1], key.id, session, tasks)


async def go_on(database: Database, objects: ObjectStore, who: Tenants) -> None:
    """Everything of after the backup."""
    async with database.service() as conn:
        await soft_delete_voice(conn, who.ann, who.deleted_voice)
        await delete_generation(conn, who.ann, who.deleted_speech)
        await revoke_key(conn, str(who.key), datetime.now(UTC))
        await sessions.revoke_session(conn, who.session, datetime.now(UTC))
        await revoke_operator(conn, who.ann, actor="test")
        await change_user(conn, who.ann, datetime.now(UTC), encrypted_password="new")
        await conn.execute(
            "update public.voices set consent_at = null, consent_statement = null where id = %s",
            (who.kept_voice,),
        )
        await set_valve(conn, GENERATION, closed=True, actor="ada", reason="too dear")
        await conn.execute(
            "update public.tasks set provider_job_id = 'job-7', dispatched_at = now() where id = %s",
            (who.tasks["followed"],),
        )
        await conn.execute(
            "update public.tasks set dispatched_at = now(), status = 'processing' where id = %s",
            (who.tasks["told"],),
        )
        await conn.execute(
            "update public.generations set status = 'completed', audio_object_key = 'k',"
            " completed_at = now(), duration_seconds = 2"
            " where id = (select generation_id from public.tasks where id = %s)",
            (who.tasks["ended"],),
        )
        await conn.execute(
            "update public.tasks set status = 'completed', result = '{\"done\": true}' where id = %s",
            (who.tasks["ended"],),
        )
        for _ in range(3):
            await conn.execute(
                "insert into public.generations (id, user_id, text) values (%s, %s, 'new')",
                (uuid4(), who.ann),
            )
        await conn.execute(
            "insert into understudy.provider_calls (at, operation, provider, model, outcome, latency_ms,"
            " cost_microusd, mode_epoch) values (clock_timestamp(), 'speak', 'qwen', 'm', 'ok', 5, 4200, 1)"
        )
    await objects.delete(GENERATIONS, f"{who.ann}/{who.deleted_speech}.wav")
    await erase_account(database, objects, SystemClock(), who.bob, actor="tenant")
    await copy_tombstones(database, objects)
