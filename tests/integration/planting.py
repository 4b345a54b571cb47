"""Rows of one tenant as the product writes them, and as it never should."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.sql import SQL, Identifier

from understudy.store.database import Connection

NOW = datetime.now(UTC)

Row = Mapping[str, object]


@dataclass
class Planter:
    """Rows of one tenant, as the product writes them unless told otherwise."""

    conn: Connection
    user: uuid.UUID

    async def plant(self, table: str, row: Row) -> None:
        schema, _, name = table.partition(".")
        await self.conn.execute(
            SQL("insert into {} ({}) values ({})").format(
                Identifier(schema, name),
                SQL(", ").join(map(Identifier, row)),
                SQL(", ").join([SQL("%s")] * len(row)),
            ),
            tuple(row.values()),
        )

    async def voice(self, **changes: object) -> uuid.UUID:
        voice = uuid.uuid4()
        made = {
            "id": voice,
            "user_id": self.user,
            "name": f"voice {voice}",
            "reference_object_key": f"{self.user}/{voice}/reference.wav",
            "reference_transcript": "one two",
            "reference_sha256": "0" * 64,
            "tts_provider": "qwen",
            "provider_voice_id": "v",
            "provider_target_model": "m",
            "provider_voice_kind": "vc",
        }
        await self.plant("public.voices", made | changes)
        return voice

    async def generation(self, **changes: object) -> uuid.UUID:
        generation = uuid.uuid4()
        made = {
            "id": generation,
            "user_id": self.user,
            "text": "hello",
            "status": "completed",
            "audio_object_key": f"{self.user}/{generation}.wav",
            "audio_sha256": "0" * 64,
            "tts_provider": "qwen",
            "provider_model": "m",
            "mode_epoch": 1,
            "completed_at": NOW,
        }
        await self.plant("public.generations", made | changes)
        return generation

    async def task(self, generation: uuid.UUID | None = None, **changes: object) -> uuid.UUID:
        task = uuid.uuid4()
        made = {
            "id": task,
            "user_id": self.user,
            "type": "generate",
            "status": "completed",
            "generation_id": generation,
            "provider": "qwen",
            "mode_epoch": 1,
            "updated_at": NOW,
            "completed_at": NOW,
        }
        await self.plant("public.tasks", made | changes)
        return task

    async def entry(self, task: uuid.UUID, **changes: object) -> None:
        made = {
            "task_id": task,
            "user_id": self.user,
            "operation": "speak",
            "provider": "qwen",
            "purse": "generation",
            "reserved_microusd": 50,
            "settled_microusd": 30,
            "calls": 1,
            "state": "settled",
            "at": NOW,
            "ended_at": NOW,
        }
        await self.plant("understudy.ledger", made | changes)

    async def call(self, task: uuid.UUID | None, **changes: object) -> None:
        made = {
            "at": NOW,
            "operation": "speak",
            "provider": "qwen",
            "model": "m",
            "outcome": "ok",
            "latency_ms": 5,
            "characters": 100,
            "counted_characters": 100,
            "cost_microusd": 30,
            "user_id": self.user,
            "task_id": task,
            "mode_epoch": 1,
        }
        await self.plant("understudy.provider_calls", made | changes)

    async def sighting(self, kind: str, bucket: str, key: str) -> None:
        made = {"kind": kind, "bucket": bucket, "key": key, "first_seen_at": NOW, "last_seen_at": NOW}
        await self.plant("understudy.object_sightings", made)

    async def spoken(self) -> uuid.UUID:
        """One utterance, whole."""
        generation = await self.generation()
        task = await self.task(generation)
        await self.call(task)
        await self.entry(task)
        return generation

    async def healthy(self) -> None:
        """All that is allowed to be: other providers, old rows, failures, work under way."""
        await self.voice()
        await self.voice(tts_provider="modal", provider_voice_id=None, provider_target_model=None)
        await self.voice(deleted_at=NOW, provider_voice_id=None, reference_transcript=None)
        await self.spoken()
        # Of before the second provider: no epoch, no model, no digest.
        await self.generation(tts_provider="modal", mode_epoch=None, provider_model=None, audio_sha256=None)
        # Its task was deleted, or has outlived its retention.
        await self.generation()
        failed = await self.generation(status="failed", audio_object_key=None, provider_model=None)
        await self.entry(
            await self.task(failed, status="failed"), settled_microusd=0, calls=0, state="released"
        )
        running = await self.generation(status="pending", audio_object_key=None, completed_at=None)
        task = await self.task(
            running, status="processing", deadline_at=NOW + timedelta(hours=2), completed_at=None
        )
        await self.entry(task, state="reserved", ended_at=None, settled_microusd=0, calls=0)
