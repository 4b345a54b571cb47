"""The worker: drives every task to a terminal state, whether or not anyone polls.

The queue tells it of tasks within milliseconds; a sweep finds those that the queue lost, that were never
delivered, and that a dead worker held. Nothing is spoken without a claim on the task's own row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from understudy.cancelling import checkpoint
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.speech.claiming import Holdings
from understudy.speech.collecting import Collector
from understudy.speech.context import SpeechContext
from understudy.speech.driving import Driver
from understudy.speech.holding import Held, Stop
from understudy.speech.settling import end_abandoned_stream, reap_overdue
from understudy.store import queue, tasks, tombstones
from understudy.store.queue import Consumption
from understudy.store.tasks import TaskRow

RECONSUME_S = 1.0
PRUNE_INTERVAL_S = 600.0
COLLECTION_CHECK_S = 300.0
#: A deletion of the last seconds is lost with a database that is lost: the copies are read then.
TOMBSTONES_EVERY_S = 5.0
TOMBSTONES_FORGOTTEN_EVERY_S = 86_400.0
KEEP_DELIVERIES_S = 86_400.0
#: After the drain deadline: time to close providers and give tasks back.
RELEASE_DEADLINE_S = 10.0
CONSUMER_STOP_S = 3.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """Seconds that decide how fast a worker's death, or the queue's, is made good.

    Parameters
    ----------
    lease_s
        A dead worker's tasks are taken over after this long.
    undelivered_s
        A pending task this old is taken without waiting for the queue.
    """

    lease_s: float = 15.0
    sweep_interval_s: float = 1.0
    undelivered_s: float = 5.0


class Worker:
    """Drives tasks until told to stop, then drains.

    Parameters
    ----------
    name
        Shown in ``tasks.claimed_by``, with a part that is new each start.
    """

    def __init__(self, ctx: SpeechContext, name: str, times: WorkerTimes | None = None) -> None:
        self._ctx = ctx
        self._times = times or WorkerTimes()
        self._name = name
        self._holdings = Holdings(ctx, name, self._times.lease_s)
        self._slots = asyncio.Semaphore(ctx.settings.worker_concurrency)
        self._attending: dict[UUID, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then claim nothing, finish what can be in time, release the rest."""
        self._stop = stop
        background = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("leases", self._every(self._times.lease_s / 3, self._holdings.extend_leases)),
                ("cancellations", self._holdings.hear_cancellations()),
                ("sweep", self._every(self._times.sweep_interval_s, self._sweep)),
                ("prune", self._every(PRUNE_INTERVAL_S, self._prune)),
                ("collect", self._every(COLLECTION_CHECK_S, self._collect)),
                ("tombstones", self._every(TOMBSTONES_EVERY_S, self._copy_tombstones)),
                ("old tombstones", self._every(TOMBSTONES_FORGOTTEN_EVERY_S, self._forget_tombstones)),
            )
        ]
        consumer = asyncio.create_task(self._consume(), name="consume")
        log.info("worker_started", worker=self._holdings.worker)
        try:
            waiting = asyncio.create_task(stop.wait())
            # A background loop that ends is a bug: it must take the process down, not leave it deaf.
            done, _ = await asyncio.wait({waiting, *background}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            await self._drain()
            for task in done - {waiting}:
                task.result()
        finally:
            waiting.cancel()
            for task in (*background, *self._attending.values()):
                task.cancel()
            await asyncio.gather(*background, *self._attending.values(), return_exceptions=True)
            # Its last act is to write down which deliveries are done.
            await asyncio.wait({consumer}, timeout=CONSUMER_STOP_S)
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
            log.info("worker_stopped", worker=self._holdings.worker)

    async def _drain(self) -> None:
        deadline_s = float(self._ctx.settings.drain_deadline_s)
        log.info("worker_draining", held=len(self._holdings), deadline_s=deadline_s)
        if await self._idle_within(deadline_s):
            return
        log.warning("worker_releasing", held=len(self._holdings))
        self._holdings.stop_all(Stop.RELEASED)
        await self._idle_within(RELEASE_DEADLINE_S)

    async def _idle_within(self, seconds: float) -> bool:
        if not self._attending:
            return True
        _, pending = await asyncio.wait(set(self._attending.values()), timeout=seconds)
        return not pending

    async def _consume(self) -> None:
        """Take from the queue; start again whenever its connection is lost."""
        how = Consumption(
            application_name=f"understudy-{self._name}-queue",
            concurrency=self._ctx.settings.worker_concurrency,
            redeliver_after_s=self._times.lease_s,
        )
        while not self._stop.is_set():
            try:
                await queue.consume(self._ctx.settings.database_url, self._deliver, how, self._stop)
            except StoreUnavailableError:
                log.warning("queue_lost")
            except Exception:
                # Without the queue the sweep still works; the queue must come back by itself.
                log.exception("queue_broke")
            if not self._stop.is_set():
                await self._ctx.clock.sleep(RECONSUME_S)

    async def _deliver(self, task_id: UUID) -> None:
        """Attend to a task the queue names, and hold its delivery until done: that paces the queue."""
        attending = self._attend_once(task_id)
        await asyncio.wait({attending})

    def _attend_once(self, task_id: UUID) -> asyncio.Task[None]:
        """Attend to a task in a task of its own, so that the queue's end does not end the speech."""
        running = self._attending.get(task_id)
        if running is None:
            running = asyncio.create_task(self._attend(task_id), name=f"attend-{task_id}")
            self._attending[task_id] = running
            running.add_done_callback(lambda _: self._attending.pop(task_id, None))
        return running

    async def _attend(self, task_id: UUID) -> None:
        async with self._slots:
            if self._stop.is_set():
                return
            try:
                held = await self._holdings.take(task_id)
                if held is None:
                    return
                try:
                    await self._drive(held)
                finally:
                    self._holdings.drop(held)
            except Exception:
                # The lease expires and another attempt follows; one task never takes the worker down.
                log.exception("driver_broke", task_id=str(task_id))

    async def _drive(self, held: Held) -> None:
        task = held.task
        with (
            self._ctx.metrics.task(task.type, task.provider),
            self._ctx.tracing.span(f"task {task.type}") as span,
        ):
            span.put(
                understudy__task_id=str(task.id),
                understudy__task_type=task.type,
                understudy__provider=task.provider,
                understudy__attempt=task.attempts,
                understudy__mode_epoch=task.mode_epoch or 0,
            )
            await Driver(self._ctx, held).run()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailableError:
                log.warning("store_away", work=work.__name__)
            except Exception:
                log.exception("round_broke", work=work.__name__)
            checkpoint()
            await self._ctx.clock.sleep(seconds)

    async def _sweep(self) -> None:
        """Fail what is overdue, and attend to what the queue did not bring; not while writes are frozen."""
        if self._ctx.freeze.frozen:
            return
        while (overdue := await reap_overdue(self._ctx)) is not None:
            self._holdings.stop(overdue.id, Stop.LOST)
            await self._cancel_job(overdue)
        while (abandoned := await end_abandoned_stream(self._ctx)) is not None:
            await self._cancel_job(abandoned)
        if self._stop.is_set():
            return
        free = self._ctx.settings.worker_concurrency - len(self._attending)
        if free <= 0:
            return
        async with self._ctx.database.service() as conn:
            due = await tasks.due_tasks(conn, undelivered_s=self._times.undelivered_s, limit=free)
        for task_id in due:
            if task_id not in self._attending:
                log.warning("task_redispatched", task_id=str(task_id))
                self._attend_once(task_id)

    async def _cancel_job(self, task: TaskRow) -> None:
        if task.provider_job_id:
            with contextlib.suppress(Exception):
                await self._ctx.provider(task.provider).cancel(task.provider_job_id)

    async def _collect(self) -> None:
        """Collect once an hour in the whole deployment, and never while a restoration holds the writes."""
        if not self._ctx.freeze.frozen:
            ctx = self._ctx
            await Collector(ctx.database, ctx.objects, ctx.settings, ctx.clock).run_if_due()

    async def _prune(self) -> None:
        async with self._ctx.database.service() as conn:
            await queue.prune_log(conn, older_than_s=KEEP_DELIVERIES_S)

    async def _copy_tombstones(self) -> None:
        await tombstones.copy_tombstones(self._ctx.database, self._ctx.objects)

    async def _forget_tombstones(self) -> None:
        """Not while a restoration may still need them."""
        if not self._ctx.freeze.frozen:
            before = self._ctx.clock.now() - tombstones.KEPT
            await tombstones.forget_old(self._ctx.database, self._ctx.objects, before)
