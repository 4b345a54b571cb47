"""A whole service on the real stand-ins, asked while one of their faults is turned fully up.

Api, worker and stand-ins run in this process, on an embedded Postgres; deadlines are short, so that what
hangs ends soon. Nothing of the service is replaced.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from psycopg.rows import DictRow, dict_row

from bench.speaking import recording
from understudy.api.app import create_app
from understudy.api.boundary import DrainState
from understudy.api.context import open_context
from understudy.api.server import build_server, open_listener
from understudy.clock import SystemClock
from understudy.demo.story import RECORDINGS
from understudy.settings import Settings, settings_from
from understudy.speech.worker import Worker
from understudy.standins.app import StandInAddresses, running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate

TEXT = "four seven one"
TRANSCRIPT = " ".join(RECORDINGS.values())
#: How long anything asked may take to be over, in seconds; far above the deadlines below.
PATIENCE_S = 40.0
MODAL_PATHS = {
    "MODAL_JOB_SUBMIT": "/job-submit",
    "MODAL_JOB_STATUS": "/job-status",
    "MODAL_JOB_RESULT": "/job-result",
    "MODAL_JOB_CANCEL": "/job-cancel",
    "MODAL_ENDPOINT_VOICE_DESIGN": "/voice-design",
}
DEADLINES = {
    "PROVIDER_CONNECT_TIMEOUT_S": "1",
    "PROVIDER_FIRST_AUDIO_TIMEOUT_S": "2",
    "PROVIDER_CHUNK_GAP_TIMEOUT_S": "1",
    "PROVIDER_TOTAL_TIMEOUT_S": "4",
    "QWEN_CREATE_TIMEOUT_S": "2",
    "MODAL_POLL_INTERVAL_S": "0.1",
    "MODAL_SUBMIT_TIMEOUT_S": "1.5",
    "MODAL_STATUS_TIMEOUT_S": "0.5",
    "MODAL_RESULT_TIMEOUT_S": "1",
    "MODAL_DESIGN_TIMEOUT_S": "4",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one request.

    Parameters
    ----------
    status
        The HTTP status; of what runs as a task, the task's end after it: ``200 failed``.
    words
        The sentence it could read, or what became of the speech.
    """

    status: str
    words: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault, one thing asked, and everything that came of it.

    Parameters
    ----------
    booked
        The ledger holds a cost of it, or may have to: what the provider bills, whoever pays.
    paid
        The tenant's usage rose.
    """

    fault: str
    asked: str
    seen: Seen
    category: str = "-"
    failure_class: str = "-"
    code: str = "-"
    booked: bool = False
    paid: bool = False


@dataclass(frozen=True, slots=True)
class _Money:
    """Micro-dollars of one tenant so far, as :class:`Outcome` tells them apart."""

    booked: int
    paid: int


class Tenant:
    """A tenant with a voice, who asks for one kind of thing."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.user_id = ""
        self.voice = ""

    async def arrive(self) -> None:
        """Sign up and clone a voice."""
        account = {"email": f"{secrets.token_hex(6)}@example.org", "password": secrets.token_hex(9)}
        _, session = await self._call("/auth/v1/signup", account)
        self._http.headers["Authorization"] = f"Bearer {session['access_token']}"
        self.user_id = session["user"]["id"]
        status, made = await self._clone()
        if status != 200:
            raise RuntimeError(f"no voice: {made}")
        self.voice = made["id"]

    async def stream(self) -> Seen:
        """``POST /api/generate/stream``."""
        return await self._hear("/api/generate/stream", {"voice_id": self.voice, "text": TEXT})

    async def speech(self) -> Seen:
        """``POST /v1/audio/speech``."""
        body = {"model": "tts-1", "input": TEXT, "voice": self.voice, "response_format": "mp3"}
        return await self._hear("/v1/audio/speech", body)

    async def generate(self) -> Seen:
        """``POST /api/generate`` and its task to the end."""
        return await self._task(await self._call("/api/generate", {"voice_id": self.voice, "text": TEXT}))

    async def design(self) -> Seen:
        """``POST /api/voices/design/preview`` and its task to the end."""
        brief = {"text": TEXT, "language": "English", "instruct": "a calm old man"}
        return await self._task(await self._call("/api/voices/design/preview", brief))

    async def clone(self) -> Seen:
        """Upload and finalize a clone."""
        status, answer = await self._clone()
        return Seen(str(status), "what it asked for" if status == 200 else _sentence(answer))

    async def _clone(self) -> tuple[int, Any]:
        draft = {"name": "bench", "language": "English", "transcript": TRANSCRIPT}
        _, ticket = await self._call("/api/clone/upload-url", draft)
        async with self._http.put(
            ticket["upload_url"], data=recording(), headers={"Content-Type": "audio/wav"}
        ) as put:
            put.raise_for_status()
        return await self._call("/api/clone/finalize", {**draft, "voice_id": ticket["voice_id"]})

    async def _call(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with self._http.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def _hear(self, path: str, body: dict[str, Any]) -> Seen:
        async with self._http.post(path, json=body) as answer:
            if answer.status != 200:
                return Seen(str(answer.status), _sentence(await answer.json()))
            heard = 0
            try:
                async for chunk in answer.content.iter_any():
                    heard += len(chunk)
            except aiohttp.ClientError:
                return Seen("200", "speech that is cut off" if heard else "a body cut before any speech")
            return Seen("200", "what it asked for" if heard else "an empty body")

    async def _task(self, begun: tuple[int, Any]) -> Seen:
        status, answer = begun
        if status != 200:
            return Seen(str(status), _sentence(answer))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self._http.get(f"/api/tasks/{answer['task_id']}") as poll:
                    task = await poll.json()
                if task["status"] in {"completed", "failed", "cancelled"}:
                    return Seen(f"200, {task['status']}", task["error"] or "what it asked for")
                await asyncio.sleep(0.05)


ASKS: dict[str, Callable[[Tenant], Awaitable[Seen]]] = {
    "stream": Tenant.stream,
    "/v1 speech": Tenant.speech,
    "generate": Tenant.generate,
    "clone": Tenant.clone,
    "design": Tenant.design,
}


def _sentence(answer: Any) -> str:
    """The sentence of an error in either shape."""
    error = answer.get("error")
    return str(error["message"] if isinstance(error, dict) else answer.get("detail"))


class Range:
    """Everything running in one provider's mode; asks under one fault after the other."""

    def __init__(
        self, http: aiohttp.ClientSession, panel: str, owner_url: str, tenants: dict[str, Tenant]
    ) -> None:
        self._http = http
        self._panel = panel
        self._owner_url = owner_url
        self._tenants = tenants

    async def ask(self, fault: str, asked: str) -> Outcome | None:
        """Ask with ``fault`` at 1; ``None`` when the fault had nothing to do with it."""
        tenant = self._tenants[asked]
        before, spent, last = await self._injected(fault), await self._spent(tenant), await self._last_call()
        await self._turn({fault: 1})
        try:
            seen = await ASKS[asked](tenant)
        finally:
            await self._turn({fault: 0})
        await self._settled(tenant)
        if await self._injected(fault) == before:
            return None
        (call,) = await self._rows(
            "select category, failure_class, code from understudy.provider_calls"
            " where id > %s and user_id = %s and outcome <> 'ok' order by id desc limit 1",
            *(last, tenant.user_id),
        ) or ({},)
        after = await self._spent(tenant)
        return Outcome(
            fault,
            asked,
            seen,
            category=call.get("category") or "-",
            failure_class=call.get("failure_class") or "-",
            code=call.get("code") or "-",
            booked=after.booked > spent.booked,
            paid=after.paid > spent.paid,
        )

    async def _turn(self, faults: dict[str, float]) -> None:
        async with self._http.post(f"{self._panel}/_faults", json=faults) as answer:
            answer.raise_for_status()

    async def _injected(self, fault: str) -> int:
        async with self._http.get(f"{self._panel}/_stats") as answer:
            return int((await answer.json())["faults_injected"][fault])

    async def _settled(self, tenant: Tenant) -> None:
        """Wait until nothing of the tenant's is under way any more."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._rows(
                "select 1 as x from public.tasks where user_id = %s"
                " and status not in ('completed', 'failed', 'cancelled')"
                " union all select 1 from understudy.ledger where user_id = %s and state = 'reserved'",
                *(tenant.user_id, tenant.user_id),
            ):
                await asyncio.sleep(0.05)

    async def _spent(self, tenant: Tenant) -> _Money:
        (row,) = await self._rows(
            "select (select coalesce(sum(settled_microusd + doubt_microusd), 0)::bigint"
            " from understudy.ledger where user_id = %s) as booked,"
            " (select coalesce(sum(cost_microusd), 0)::bigint from understudy.provider_calls"
            " where user_id = %s and billable) as paid",
            *(tenant.user_id, tenant.user_id),
        )
        return _Money(int(row["booked"]), int(row["paid"]))

    async def _last_call(self) -> int:
        (row,) = await self._rows("select coalesce(max(id), 0) as last from understudy.provider_calls")
        return int(row["last"])

    async def _rows(self, statement: str, *values: object) -> list[DictRow]:
        async with await psycopg.AsyncConnection.connect(
            self._owner_url, row_factory=dict_row, autocommit=True
        ) as conn:
            return await (await conn.execute(statement, values or None)).fetchall()


def _settings(mode: str, home: Path, server: EmbeddedPostgres, addresses: StandInAddresses) -> Settings:
    return settings_from(
        {
            "DATABASE_URL": server.database_url.get_secret_value(),
            "UNDERSTUDY_HOME": str(home),
            "TTS_PROVIDER_MODE": mode,
            "JWT_SECRET": secrets.token_hex(32),
            "OBJECT_URL_SECRET": secrets.token_hex(32),
            "DASHSCOPE_API_KEY": StandInSettings().dashscope_key.get_secret_value(),
            "DASHSCOPE_BASE_URL": addresses.dashscope,
            **{name: addresses.modal + path for name, path in MODAL_PATHS.items()},
            "BUDGET_CREATES_TENANT_HOUR": "0",
            "BUDGET_CREATES_HOUR": "0",
            **DEADLINES,
        }
    )


@asynccontextmanager
async def fault_range(mode: str, asks: Iterable[str] = tuple(ASKS)) -> AsyncIterator[Range]:
    """Start everything in ``mode``; a tenant for each of ``asks`` has arrived, no fault is on."""
    home = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    server = EmbeddedPostgres(home)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.push_async_callback(server.destroy)
        await server.start()
        await migrate(server.migration_database_url)
        addresses = await stack.enter_async_context(
            running_standins(home / "standins", StandInSettings(modal_containers=64))
        )
        settings = _settings(mode, home, server, addresses)
        ctx = await stack.enter_async_context(open_context(settings, kind="api", clock=SystemClock()))
        listener, stopping = open_listener(None, "127.0.0.1", 0), asyncio.Event()
        app = create_app(ctx, drain=DrainState())
        running = asyncio.gather(
            build_server(app, stopping, drain_deadline_s=2).serve(sockets=[listener]),
            Worker(ctx, "bench").run(stopping),
        )

        async def stop() -> None:
            stopping.set()
            await running

        stack.push_async_callback(stop)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tenants = {}
        for asked in asks:
            timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
            http = await stack.enter_async_context(aiohttp.ClientSession(base, timeout=timeout))
            tenants[asked] = Tenant(http)
            await tenants[asked].arrive()
        plain = await stack.enter_async_context(aiohttp.ClientSession())
        panel = getattr(addresses, {"qwen": "dashscope"}.get(mode, mode))
        yield Range(plain, panel, server.migration_database_url.get_secret_value(), tenants)
