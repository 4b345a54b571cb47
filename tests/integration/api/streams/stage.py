"""An api in Qwen mode before the real DashScope stand-in, and what a test of streams reads from both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from tests.integration.api.conftest import Api, User
from tests.integration.standins.account import CLONE_MODEL, Account, austen
from understudy.store import generations, tasks, voices
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.generations import GenerationRow
from understudy.store.tasks import TaskRow
from understudy.store.voices import NewVoice

TEXT = "4 7 1 9 3 0"
Eventually = Callable[..., Awaitable[None]]


@dataclass(slots=True)
class Heard:
    """What a client got."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    audio: bytes = b""
    detail: str = ""
    cut: bool = False

    @property
    def task_id(self) -> UUID:
        return UUID(self.headers["X-Task-Id"])

    @property
    def generation_id(self) -> UUID:
        return UUID(self.headers["X-Generation-Id"])


@dataclass(slots=True)
class Stage:
    """Both servers at hand."""

    api: Api
    account: Account
    eventually: Eventually

    async def speakable_voice(self, user: User) -> UUID:
        """A cloned voice that either provider can speak."""
        return UUID(await self.voice(user))

    async def voice(self, user: User) -> str:
        """A cloned voice of this user, enrolled at the stand-in, with its recording."""
        status, body = await self.account.clone()
        assert status == 200, body
        voice_id = uuid4()
        key = f"{user.id}/{voice_id}/reference.wav"
        stored = await self.api.ctx.objects.put(REFERENCES, key, austen(), "audio/wav")
        async with self.api.ctx.database.service() as conn:
            made = await voices.insert_voice(
                conn,
                NewVoice(
                    id=voice_id,
                    user_id=user.id,
                    name="Elinor",
                    language="English",
                    source="uploaded",
                    description=None,
                    reference_object_key=key,
                    reference_transcript="Elinor could sit still no longer.",
                    reference_sha256=stored.sha256,
                    reference_content_type="audio/wav",
                    tts_provider="qwen",
                    provider_voice_id=body["output"]["voice"],
                    provider_target_model=CLONE_MODEL,
                    provider_voice_kind="vc",
                    provider_region="intl",
                ),
            )
        assert made is not None
        return str(made.id)

    async def speak(self, user: User, voice_id: str, text: str = TEXT, **headers: str) -> Heard:
        """One stream, read to its end."""
        body = {"voice_id": voice_id, "text": text, "language": "English"}
        async with user.client.post("/api/generate/stream", json=body, headers=headers) as answer:
            if answer.status != 200:
                return Heard(answer.status, answer.headers, detail=(await answer.json())["detail"])
            heard = Heard(200, answer.headers)
            try:
                async for data in answer.content.iter_any():
                    heard.audio += data
            except aiohttp.ClientError:
                heard.cut = True
            return heard

    async def begin(self, user: User, voice_id: str, text: str = TEXT) -> aiohttp.ClientResponse:
        """One stream of which the head is read; close it."""
        body = {"voice_id": voice_id, "text": text, "language": "English"}
        answer = await user.client.post("/api/generate/stream", json=body)
        assert answer.status == 200, await answer.text()
        return answer

    async def faults(self, **faults: Any) -> None:
        """Set the stand-in's panel."""
        await self.account.faults(self.account.dashscope, **faults)

    async def stats(self) -> dict[str, Any]:
        """What the stand-in counted."""
        return await self.account.stats(self.account.dashscope)

    async def task(self, task_id: UUID) -> TaskRow:
        """A task as it is now."""
        async with self.api.ctx.database.service() as conn:
            row = await tasks.load_task(conn, task_id)
        assert row is not None
        return row

    async def only_task(self, user: User) -> TaskRow:
        """The one task of a user."""
        found = await self.rows("SELECT id FROM public.tasks WHERE user_id = %s", user.id)
        assert len(found) == 1
        return await self.task(found[0]["id"])

    async def generation(self, user: User, generation_id: UUID) -> GenerationRow:
        """A generation as it is now."""
        async with self.api.ctx.database.service() as conn:
            row = await generations.find_generation(conn, user.id, generation_id)
        assert row is not None
        return row

    async def ended(self, task_id: UUID) -> TaskRow:
        """Wait until a task is terminal."""

        async def terminal() -> bool:
            return (await self.task(task_id)).terminal

        # Minutes of speech are made by the stand-in's engine, on a machine that runs other tests as well.
        await self.eventually(terminal, what=f"task {task_id} terminal", within_s=60)
        return await self.task(task_id)

    async def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """What the service reads."""
        async with self.api.ctx.database.service() as conn:
            cursor = await conn.execute(statement.encode(), values)
            return await cursor.fetchall()

    async def calls(self) -> list[dict[str, Any]]:
        """Every provider call on record."""
        return await self.rows("SELECT * FROM understudy.provider_calls ORDER BY id")

    async def stored(self) -> list[str]:
        """Keys of all stored speech."""
        return [item.key async for item in self.api.ctx.objects.list(GENERATIONS)]

    async def provider_left(self, dropped: int) -> None:
        """Wait until the stand-in has seen this many sessions end without their finish."""

        async def seen() -> bool:
            return bool((await self.stats())["sessions_dropped"] == dropped)

        async with asyncio.timeout(1):
            await self.eventually(seen, what="the provider's socket closed")
