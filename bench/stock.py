"""A database with tenants, voices and work in it, for benchmarks that need many of each."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from bench.upstream import clip
from understudy.clock import SystemClock
from understudy.speech.references import digest, reference_key
from understudy.store import generations, queue, tasks
from understudy.store.buckets import REFERENCES
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate
from understudy.store.objects import LocalObjects
from understudy.store.tasks import TaskDraft

TEXT = "one two three"
TRANSCRIPT = "Four seven one."


@dataclass(slots=True)
class Stock:
    """An embedded Postgres as the product runs it, an upstream, and the environment of processes on both."""

    home: Path
    database: Database
    owner_url: SecretStr
    environment: dict[str, str]

    async def owner(self, statement: str, *values: object) -> list[DictRow]:
        """Run a statement as the schema's owner."""
        url = self.owner_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True) as conn:
            cursor = await conn.execute(statement, values or None)
            return await cursor.fetchall() if cursor.description else []

    async def tenants(self, count: int) -> list[tuple[UUID, UUID]]:
        """Make tenants with one voice each; return user and voice."""
        recording = clip()
        objects = LocalObjects(self.home / "objects", SecretStr("o" * 32), 900, SystemClock())
        made = []
        for number in range(count):
            user, voice = uuid4(), uuid4()
            key = reference_key(user, voice)
            await objects.put(REFERENCES, key, recording, "audio/wav")
            await self.owner(
                "insert into auth.users (id, email) values (%s, %s)",
                user,
                f"bench{number}-{user}@example.org",
            )
            await self.owner(
                "insert into public.voices (id, user_id, name, reference_object_key, reference_transcript,"
                " reference_sha256, language) values (%s, %s, 'bench', %s, %s, %s, 'English')",
                *(voice, user, key, TRANSCRIPT, digest(recording)),
            )
            made.append((user, voice))
        return made

    async def admit(self, user: UUID, voice: UUID, count: int = 1) -> list[UUID]:
        """Create generations with their tasks and deliveries, as ``POST /api/generate`` does."""
        made = []
        async with self.database.service() as conn:
            for _ in range(count):
                generation, task = uuid4(), uuid4()
                await generations.insert_generation(
                    conn,
                    generation_id=generation,
                    user_id=user,
                    voice_id=voice,
                    text=TEXT,
                    language="English",
                    provider="modal",
                    mode_epoch=1,
                )
                draft = TaskDraft(
                    id=task,
                    user_id=user,
                    type=tasks.GENERATE,
                    provider="modal",
                    mode_epoch=1,
                    deadline_at=datetime.now(UTC) + timedelta(minutes=10),
                    generation_id=generation,
                    voice_id=voice,
                )
                await tasks.insert_task(conn, draft)
                made.append(task)
            await queue.enqueue(conn, made)
        return made


@asynccontextmanager
async def stock() -> AsyncIterator[Stock]:
    """Open everything on throw-away data."""
    home = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    server = EmbeddedPostgres(home)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.push_async_callback(server.destroy)
        await server.start()
        await migrate(server.migration_database_url)
        upstream = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.upstream", stdout=asyncio.subprocess.PIPE
        )
        stack.push_async_callback(ended, upstream)
        assert upstream.stdout is not None
        address = f"http://127.0.0.1:{int(await upstream.stdout.readline())}"
        database = await Database.connect(server.database_url, application_name="bench")
        stack.push_async_callback(database.close)
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": server.database_url.get_secret_value(),
            "UNDERSTUDY_HOME": str(home),
            "OBJECTS_DIR": str(home / "objects"),
            "TTS_PROVIDER_MODE": "modal",
            "JWT_SECRET": "j" * 32,
            "OBJECT_URL_SECRET": "o" * 32,
            "DASHSCOPE_API_KEY": "sk-nobody-0000",
            "LOG_LEVEL": "warning",
            "MODAL_JOB_SUBMIT": f"{address}/submit",
            "MODAL_JOB_STATUS": f"{address}/status",
            "MODAL_JOB_RESULT": f"{address}/result",
            "MODAL_JOB_CANCEL": f"{address}/cancel",
            "MODAL_ENDPOINT_VOICE_DESIGN": f"{address}/design",
        }
        yield Stock(home, database, server.migration_database_url, environment)


@asynccontextmanager
async def api_process(
    place: Stock, environment: dict[str, str], *, name: str = "api"
) -> AsyncIterator[tuple[int, psutil.Process]]:
    """One api process, serving; its port and the process."""
    ready = place.home / f"{name}.ready"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "serve"),
        *("--port", str(port), "--ready-file", str(ready)),
        env=environment,
    )
    try:
        while not ready.exists():
            if process.returncode is not None:
                sys.exit("the api process did not start")
            await asyncio.sleep(0.05)
        yield port, psutil.Process(process.pid)
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a child and wait for it."""
    if process.returncode is None:
        process.terminate()
    await process.wait()
