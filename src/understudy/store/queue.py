"""The task queue: pgqueuer carries task ids to workers; ``public.tasks`` says what they are worth.

Delivery is at least once and may fail altogether: a claim (``store.tasks.claim_task``) makes a second
delivery harmless, and the worker's sweep makes a lost one harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast
from uuid import UUID

import psycopg
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.domain.models import Job
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver, NotifyCallback
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from understudy.errors import StoreUnavailableError

QUEUE_SCHEMA = "queue"
ENTRYPOINT = "speech_task"
CHANNEL = Channel("ch_pgqueuer")

#: With 60 s a turn and tasks that end within 300 s, at most five of a tenant's older tasks go before another
#: tenant's first, however long the queue is. Priorities fit 32 bits until 2094.
TURN_S = 60
_TURNS_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

Connection = AsyncConnection[DictRow]
Handler = Callable[[UUID], Awaitable[None]]


def _settings() -> DBSettings:
    return DBSettings(db_schema=QUEUE_SCHEMA, channel=CHANNEL)


def _queries(driver: Driver) -> Queries:
    settings = _settings()
    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )


class _TwoLaneDriver(Driver):
    """pgqueuer on two connections: one for statements, one for notifications.

    psycopg holds a connection's lock while it waits for notifications, so on one connection every dequeue
    would wait for the next notification, up to a second. Statements alone (``listen`` is ``None``) also run
    inside a transaction of ours, which pgqueuer's own driver refuses.
    """

    def __init__(self, work: Connection, listen: Connection | None) -> None:
        self._work = work
        # The driver reads nothing from rows: its row type is only a name here.
        self._listen = PsycopgDriver(cast("AsyncConnection[Any]", listen)) if listen is not None else None
        self._shutdown = asyncio.Event()
        self._tasks = TaskManager()

    @property
    def shutdown(self) -> asyncio.Event:
        return self._listen.shutdown if self._listen else self._shutdown

    @property
    def tm(self) -> TaskManager:
        return self._listen.tm if self._listen else self._tasks

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        cursor = AsyncRawCursor(self._work, row_factory=dict_row)
        await cursor.execute(query.encode(), args or None)
        return await cursor.fetchall()

    async def execute(self, query: str, *args: object) -> str:
        cursor = AsyncRawCursor(self._work)
        await cursor.execute(query.encode(), args or None)
        return cursor.statusmessage or ""

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        if self._listen is None:
            raise RuntimeError("this driver enqueues only")
        await self._listen.add_listener(channel, callback)

    async def __aenter__(self) -> Self:
        if self._listen is not None:
            await self._listen.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._listen is not None:
            await self._listen.__aexit__(*details)


def turn(admitted_at: datetime, ahead: int) -> int:
    """Priority of a tenant's task that has ``ahead`` of the same tenant's before it.

    Each task in progress puts the next one back by :data:`TURN_S`, so tenants take turns: a tenant's first
    task overtakes another's hundredth. Time goes on all the same, so no task is overtaken for ever.
    """
    return -(int((admitted_at - _TURNS_BEGAN).total_seconds()) + ahead * TURN_S)


async def enqueue(conn: Connection, task_ids: Sequence[UUID], *, priority: int = 0) -> None:
    """Send task ids to the workers when ``conn`` commits; an id already queued is not queued twice.

    Parameters
    ----------
    priority
        As :func:`turn` gives it; 0 goes before all: what was begun once has waited its turn.
    """
    if not task_ids:
        return
    names = [str(task_id) for task_id in task_ids]
    await _queries(_TwoLaneDriver(conn, None)).enqueue(
        [ENTRYPOINT] * len(names),
        [name.encode() for name in names],
        [priority] * len(names),
        dedupe_key=list(names),
        on_conflict="skip",
    )


@dataclass(frozen=True, slots=True)
class Consumption:
    """How one worker takes from the queue.

    Parameters
    ----------
    concurrency
        Tasks it has in hand at most.
    redeliver_after_s
        Seconds without a sign of life after which pgqueuer gives a delivery to another worker.
    """

    application_name: str
    concurrency: int
    redeliver_after_s: float


async def consume(url: SecretStr, handler: Handler, how: Consumption, stop: asyncio.Event) -> None:
    """Give every delivered task id to ``handler`` until ``stop`` is set, then wait for the handlers.

    Raises
    ------
    StoreUnavailableError
        A connection was lost or refused; the caller starts again.
    """
    try:
        async with contextlib.AsyncExitStack() as stack:
            work = await stack.enter_async_context(await _connect(url, how.application_name))
            listen = await stack.enter_async_context(await _connect(url, how.application_name))
            manager = QueueManager(_queries(_TwoLaneDriver(work, listen)), channel=CHANNEL)

            @manager.entrypoint(ENTRYPOINT, accepts_context=False)
            async def deliver(job: Job) -> None:
                if job.payload is not None:
                    await handler(UUID(job.payload.decode()))

            stopper = asyncio.create_task(_set_after(stop, manager.shutdown))
            stack.push_async_callback(_cancelled, stopper)
            # pgqueuer wants room for two batches in hand.
            batch = max(1, how.concurrency // 2)
            await manager.run(
                dequeue_timeout=timedelta(seconds=5),
                batch_size=batch,
                max_concurrent_tasks=max(how.concurrency, 2 * batch),
                shutdown_on_listener_failure=True,
                heartbeat_timeout=timedelta(seconds=how.redeliver_after_s),
            )
    except (psycopg.OperationalError, psycopg.InterfaceError, FailingListenerError) as error:
        raise StoreUnavailableError from error


async def prune_log(conn: Connection, *, older_than_s: float) -> int:
    """Delete pgqueuer's log of finished deliveries past an age; return how many rows went."""
    cursor = await conn.execute(
        SQL(
            "DELETE FROM {log} WHERE aggregated AND created < clock_timestamp() - make_interval(secs => %s)"
        ).format(log=Identifier(QUEUE_SCHEMA, "pgqueuer_log")),
        (older_than_s,),
    )
    return cursor.rowcount


async def _connect(url: SecretStr, application_name: str) -> Connection:
    connection = await AsyncConnection.connect(
        url.get_secret_value(),
        autocommit=True,
        row_factory=dict_row,
        application_name=application_name,
        connect_timeout=5,
    )
    await connection.execute("SET ROLE service_role")
    return connection


async def _set_after(stop: asyncio.Event, then: asyncio.Event) -> None:
    await stop.wait()
    then.set()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
