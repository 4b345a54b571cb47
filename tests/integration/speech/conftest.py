"""A whole speech room on a real database: scripted providers, local objects, a live mode, real workers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest_asyncio
from psycopg.rows import dict_row
from pydantic import SecretStr

from tests.integration.conftest import CreateUser, DatabaseUrls
from tests.integration.scripted_provider import ScriptedProvider, speech_of
from understudy.audio.wav import write_wav
from understudy.clock import SystemClock
from understudy.rollout.freeze import FreezeReader
from understudy.rollout.mode import ModeReader, set_mode
from understudy.settings import Settings
from understudy.speech import generations, voices
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.voices import VoiceDraft
from understudy.speech.worker import Worker, WorkerTimes
from understudy.store import generations as generation_rows
from understudy.store import tasks as task_rows
from understudy.store.buckets import REFERENCES
from understudy.store.database import Database
from understudy.store.generations import GenerationRow
from understudy.store.objects import LocalObjects
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow

TRANSCRIPT = "Elinor could sit still no longer."
TEXT = "Four seven one."
#: Short enough that a dead worker is noticed within a test, long enough that a live one is not.
TIMES = WorkerTimes(lease_s=1.0, sweep_interval_s=0.05, undelivered_s=0.5)
WAIT_S = 15.0


def settings_for(url: SecretStr, home: Path, **changes: Any) -> Settings:
    """Settings of a test's processes, untouched by the environment's own files."""
    values: dict[str, Any] = {
        "database_url": url,
        "understudy_home": home,
        "object_url_secret": SecretStr("o" * 32),
        "tts_provider_mode": "modal",
        **changes,
    }
    return Settings(_env_file=None, **values)


@dataclass
class Studio:
    """Everything a test needs at hand."""

    ctx: SpeechContext
    modal: ScriptedProvider
    qwen: ScriptedProvider
    owner_url: SecretStr
    create_user: CreateUser

    async def caller(self) -> Caller:
        """A new tenant."""
        return Caller(await self.create_user())

    async def flip(self, value: str) -> None:
        """Switch the mode and wait until it is in force here."""
        row = await set_mode(self.ctx.database, value, actor="test", reason="test")
        await self.until(lambda: self.ctx.mode.view().epoch >= row.epoch, f"mode {value} in force")

    async def until(self, condition: Callable[[], Any], what: str, within_s: float = WAIT_S) -> None:
        """Wait for a condition, by name."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    result = condition()
                    if isinstance(result, Awaitable):
                        result = await result
                    if result:
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"after {within_s} s still not: {what}") from None

    async def upload(self, caller: Caller, voice_id: UUID, data: bytes | None = None) -> None:
        """Put a recording where the ticket says."""
        key = f"{caller.user_id}/{voice_id}/reference.wav"
        await self.ctx.objects.put(REFERENCES, key, data or write_wav(speech_of(TRANSCRIPT)), "audio/wav")

    async def voice(self, caller: Caller) -> VoiceRow:
        """A cloned voice of the active provider."""
        draft = VoiceDraft("Elinor", "English", TRANSCRIPT)
        ticket = await voices.start_upload(self.ctx, caller, draft)
        await self.upload(caller, ticket.voice_id)
        return await voices.finalize_clone(self.ctx, caller, ticket.voice_id, draft)

    async def speak(self, caller: Caller, voice: VoiceRow, text: str = TEXT) -> TaskRow:
        """Admit a generation."""
        return await generations.start_generation(
            self.ctx, caller, voice_id=voice.id, text=text, language="English"
        )

    async def task(self, task_id: UUID) -> TaskRow:
        """The task as it is now."""
        async with self.ctx.database.service() as conn:
            row = await task_rows.load_task(conn, task_id)
        assert row is not None
        return row

    async def generation(self, task: TaskRow) -> GenerationRow:
        """The generation of a task, as it is now."""
        assert task.generation_id is not None
        async with self.ctx.database.service() as conn:
            row = await generation_rows.find_generation(conn, task.user_id, task.generation_id)
        assert row is not None
        return row

    async def ended(self, task_id: UUID) -> TaskRow:
        """Wait until the task is terminal."""

        async def terminal() -> bool:
            return (await self.task(task_id)).terminal

        await self.until(terminal, f"task {task_id} terminal")
        return await self.task(task_id)

    async def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run a statement as the owner of the database: what no code of the service may do."""
        url = self.owner_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def calls(self) -> list[dict[str, Any]]:
        """Every provider call on record."""
        return await self.sql("SELECT * FROM understudy.provider_calls ORDER BY id")

    @asynccontextmanager
    async def working(
        self, name: str = "worker", times: WorkerTimes = TIMES, **changes: Any
    ) -> AsyncIterator[asyncio.Event]:
        """A running worker; the event stops it, and so does the end of the block."""
        settings = self.ctx.settings.model_copy(update={"drain_deadline_s": 5, **changes})
        ctx = dataclasses.replace(self.ctx, settings=settings)
        stop = asyncio.Event()
        running = asyncio.create_task(Worker(ctx, name, times).run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await running


MakeStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@pytest_asyncio.fixture
async def make_studio(database_urls: DatabaseUrls, create_user: CreateUser, tmp_path: Path) -> MakeStudio:
    """Open a studio with some settings changed."""

    @asynccontextmanager
    async def make(**changes: Any) -> AsyncIterator[Studio]:
        settings = settings_for(database_urls.app, tmp_path / "home", **changes)
        clock = SystemClock()
        database = await Database.connect(
            database_urls.app, application_name="understudy-speech", min_size=8, max_size=16
        )
        modal = ScriptedProvider("modal", False, tmp_path / "modal-jobs", settings.modal_max_text_chars)
        qwen = ScriptedProvider("qwen", True, tmp_path / "qwen-jobs", settings.qwen_max_text_chars)
        mode = ModeReader(database, settings, kind="worker", clock=clock)
        objects = LocalObjects(
            settings.objects_path, settings.object_url_secret, settings.object_url_lifetime_s, clock
        )
        freeze = FreezeReader(database, clock)
        ctx = SpeechContext(database, objects, {"modal": modal, "qwen": qwen}, mode, settings, clock, freeze)
        await mode.start()
        await freeze.start()
        try:
            opened = Studio(ctx, modal, qwen, database_urls.owner, create_user)
            yield opened
            # Whatever a test did to its tasks: no reservation outlives its task.
            open_without_task = await opened.sql(
                "SELECT l.* FROM understudy.ledger l LEFT JOIN public.tasks t ON t.id = l.task_id"
                " WHERE l.state = 'reserved'"
                " AND coalesce(t.status IN ('completed', 'failed', 'cancelled'), true)"
            )
            assert open_without_task == []
        finally:
            await freeze.stop()
            await mode.stop()
            await database.close()

    return make


@pytest_asyncio.fixture
async def studio(make_studio: MakeStudio) -> AsyncIterator[Studio]:
    """The speech room in Modal mode, at its defaults."""
    async with make_studio() as opened:
        yield opened


@pytest_asyncio.fixture
async def wide_studio(make_studio: MakeStudio) -> AsyncIterator[Studio]:
    """The speech room in Modal mode, with room for many generations a tenant."""
    async with make_studio(max_active_generations=1000) as opened:
        yield opened
