"""The provider mode as every process lives with it.

``TTS_PROVIDER_MODE`` in the environment is the durable truth and the start value; one row in Postgres
overrides it live. Each process follows that row by NOTIFY and by a poll every second, says how fresh its
knowledge is, and admits nothing new without the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from understudy.clock import Clock
from understudy.errors import ProviderError, StoreUnavailableError
from understudy.logs import get_logger
from understudy.rollout.cutover import in_cohort
from understudy.settings import Settings
from understudy.store import cutover
from understudy.store import mode as rows
from understudy.store.cutover import CutoverRow
from understudy.store.database import Database
from understudy.store.mode import CutoverEnd

CHANNEL = "understudy_mode"
POLL_INTERVAL_S = 1.0
FRESH_FOR_S = 5.0
"""How long the last value read serves work already admitted (design.md, Provider mode)."""
ENVIRONMENT_ACTOR = "environment"
LIVE_WITHIN_S = 5.0
"""A process that has not reported for so long is not listed as live."""
CHECK_INTERVAL_S = 30.0
"""How often a process asks the known-good provider for a sign of life (one cheap call that bills nothing)."""

MODE_COHORT, CANDIDATE_COHORT = "mode", "candidate"

log = get_logger(__name__)


class ModeState(StrEnum):
    """Whether a process knows the mode, or only remembers it."""

    FRESH = "FRESH"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class ModeView:
    """What one process holds to be the mode at one moment.

    Parameters
    ----------
    age_s
        Seconds since the row was last read.
    env_value
        The environment's value in this process.
    known_good_ok
        Whether the known-good provider passed the last check; ``None`` before the first.
    cohort
        ``candidate`` where a cutover serves this caller; otherwise ``mode``.
    """

    value: str
    epoch: int
    state: ModeState
    age_s: float
    env_value: str
    known_good_ok: bool | None = None
    cohort: str = MODE_COHORT

    @property
    def drifting(self) -> bool:
        """Whether the live value is another than this process's environment says."""
        return self.value != self.env_value


async def adopt_environment(database: Database, env_value: str) -> rows.ModeRow:
    """Settle the row against the environment of a process that starts; return the row in force.

    A *different* environment value than the one the row was written over is the newer command: the playbook's
    hand-typed switch always wins. The same value leaves a live override alone. Where the new environment
    merely agrees with the row (the durable half of a switch already live) only that is recorded.
    """
    async with database.service() as conn:
        row = await rows.read_mode(conn, for_update=True)
        if row is not None and row.env_value == env_value:
            return row
        if row is not None and row.value == env_value:
            await rows.record_environment(conn, env_value)
            return (await rows.read_mode(conn)) or row
        reason = (
            "first start" if row is None else f"TTS_PROVIDER_MODE changed from {row.env_value} to {env_value}"
        )
        return await rows.write_mode(
            conn,
            value=env_value,
            actor=ENVIRONMENT_ACTOR,
            reason=reason,
            incident=None,
            env_value=env_value,
        )


async def set_mode(
    database: Database,
    value: str,
    *,
    actor: str,
    reason: str,
    incident: str | None = None,
    minimum_epoch: int = 0,
    expected_epoch: int | None = None,
    cutover_end: CutoverEnd | None = None,
) -> rows.ModeRow:
    """Override the mode live, in force on every process within a second.

    Parameters
    ----------
    minimum_epoch
        The highest epoch the caller has ever seen: a restored row must not take the mode back.
    expected_epoch
        The epoch that the caller decided upon; ``None`` writes over any.
    cutover_end
        How a cutover that is on ends with it; by default it is superseded.

    Raises
    ------
    ConflictError
        The mode changed since ``expected_epoch``.
    """
    async with database.service() as conn:
        current = await rows.read_mode(conn, for_update=True)
        return await rows.write_mode(
            conn,
            value=value,
            actor=actor,
            reason=reason,
            incident=incident,
            env_value=current.env_value if current else value,
            minimum_epoch=minimum_epoch,
            expected_epoch=expected_epoch,
            cutover=cutover_end,
        )


class ModeReader:
    """Follows the mode in one process and reports that process's own state.

    Parameters
    ----------
    kind
        ``api``, ``worker`` or ``guard``, as listed in ``understudy.processes``.
    instance
        Identity of this process; a new one each start.
    check
        Asks the known-good provider, cheaply and unbilled. Its last answer is kept in this process, because
        it is needed when there is no store to ask: what fails it is nothing to fall back to.
    revision
        The revision that this process runs; reported with the rest.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        kind: str,
        clock: Clock,
        instance: uuid.UUID | None = None,
        check: Callable[[], Awaitable[object]] | None = None,
        revision: str | None = None,
    ) -> None:
        self.instance = instance or uuid.uuid4()
        self._database = database
        self._env_value = settings.tts_provider_mode
        self._known_good = settings.known_good_provider
        self._secret_digests = settings.secret_digests()
        self._kind = kind
        self._clock = clock
        self._check = check
        self._revision = revision
        self._known_good_ok: bool | None = None
        self._row: rows.ModeRow | None = None
        self._read_at_s = 0.0
        self._cutover: CutoverRow | None = None
        self._stays: frozenset[uuid.UUID] = frozenset()
        self._stays_of: tuple[int, int] | None = None
        #: By this process's monotonic clock: past it nobody watches the cutover.
        self._watched_until_s = 0.0
        self._changed = asyncio.Event()
        self._listening = asyncio.Event()
        self._started_at: datetime = clock.now()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the mode (adopting the environment), then follow it.

        Raises
        ------
        StoreUnavailableError
            The store cannot be reached: without it nothing may be admitted, so the process must not start.
        """
        self._hold(await adopt_environment(self._database, self._env_value))
        await self._refresh()
        await self._report()
        self._tasks = [
            asyncio.create_task(self._poll(), name="mode-poll"),
            asyncio.create_task(self._listen(), name="mode-listen"),
        ]
        if self._check is not None:
            self._tasks.append(asyncio.create_task(self._ask(self._check), name="mode-check"))
        # A switch between the first reading and the LISTEN would wait for the poll: read again after it.
        with contextlib.suppress(TimeoutError, StoreUnavailableError):
            async with asyncio.timeout(POLL_INTERVAL_S):
                await self._listening.wait()
            await self._refresh()

    async def stop(self) -> None:
        """Stop following and take this process off the list."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with contextlib.suppress(StoreUnavailableError):
            async with self._database.service() as conn:
                await rows.remove_process(conn, self.instance)

    def view(self, user_id: uuid.UUID | None = None) -> ModeView:
        """What this process holds now: for everybody, or for the cohort of one tenant.

        Without the store past :data:`FRESH_FOR_S` that is the known-good provider, unless its last check
        failed.
        """
        held = self._view()
        running = self._running()
        if user_id is None or running is None or held.state is ModeState.STALE:
            return held
        if user_id in self._stays or not in_cohort(user_id, running.percent):
            return held
        return replace(held, value=running.candidate, epoch=running.stage_epoch, cohort=CANDIDATE_COHORT)

    def _view(self) -> ModeView:
        ok = self._known_good_ok
        if self._row is None:
            return ModeView(self._known_good, 0, ModeState.STALE, float("inf"), self._env_value, ok)
        age_s = self._clock.monotonic_s() - self._read_at_s
        fresh = age_s <= FRESH_FOR_S
        return ModeView(
            value=self._row.value if fresh or ok is False else self._known_good,
            epoch=self._row.epoch,
            state=ModeState.FRESH if fresh else ModeState.STALE,
            age_s=age_s,
            env_value=self._env_value,
            known_good_ok=ok,
        )

    def serves(self, provider: str) -> bool:
        """Whether anybody new is admitted to that provider now, by the mode or by a cutover."""
        running = self._running()
        return self._view().value == provider or (running is not None and running.candidate == provider)

    def admit(self, user_id: uuid.UUID | None = None) -> ModeView:
        """The mode for one new request, read once and kept by it.

        Parameters
        ----------
        user_id
            Whose request it is: a cutover may serve their cohort. ``None`` asks for everybody's.

        Raises
        ------
        StoreUnavailableError
            The mode is stale: nothing new is admitted without the store.
        """
        view = self.view(user_id)
        if view.state is ModeState.STALE:
            raise StoreUnavailableError(retry_after_s=2)
        return view

    async def changed(self) -> None:
        """Return when another epoch came into force here, of the mode or of a cutover."""
        await self._changed.wait()

    async def refresh(self) -> None:
        """Read the row now: who has just changed it need not wait for the notification.

        Raises
        ------
        StoreUnavailableError
            The store does not answer; what was held stays.
        """
        await self._refresh()
        await self._report()

    def _hold(self, row: rows.ModeRow) -> None:
        self._read_at_s = self._clock.monotonic_s()
        if self._row is not None and row.epoch < self._row.epoch:
            # A restored or replayed row: epochs only grow, so the older one is refused.
            log.error("mode_epoch_went_back", held=self._row.epoch, read=row.epoch)
            return
        if self._row is None or row.epoch != self._row.epoch:
            log.info("mode_in_force", value=row.value, epoch=row.epoch, actor=row.actor)
            self._row = row
            self._tell()
        else:
            self._row = row

    async def _refresh(self) -> None:
        asked_at_s = self._clock.monotonic_s()
        async with self._database.service() as conn:
            row = await rows.read_mode(conn)
            running = await cutover.read_cutover(conn)
            stays = None
            if running is not None and self._stays_of != (running.seq, running.membership):
                stays = await cutover.read_stays(conn)
        if running is not None:
            self._hold_cutover(running, stays, asked_at_s)
        if row is not None:
            self._hold(row)

    def _hold_cutover(
        self, row: CutoverRow, stays: tuple[int, frozenset[uuid.UUID]] | None, asked_at_s: float
    ) -> None:
        held = self._cutover
        if held is not None and row.epoch < held.epoch:
            # As with the mode: what a restore brought back is not followed.
            log.error("cutover_epoch_went_back", held=held.epoch, read=row.epoch)
            return
        if stays is not None:
            self._stays_of, self._stays = (row.seq, stays[0]), stays[1]
        # From before it was asked: the watch never lasts longer here than it does in the database.
        self._watched_until_s = asked_at_s + row.watch_left_s
        self._cutover = row
        if held is None or row.epoch != held.epoch:
            log.info("cutover_held", percent=row.percent, state=row.state, epoch=row.epoch, actor=row.actor)
            self._tell()

    def _running(self) -> CutoverRow | None:
        """The cutover that serves a share of the tenants now."""
        row, mode = self._cutover, self._row
        if row is None or mode is None or not row.in_force(mode.epoch):
            return None
        return row if self._clock.monotonic_s() < self._watched_until_s else None

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _report(self) -> None:
        view = self.view()
        async with self._database.service() as conn:
            await rows.heartbeat_process(
                conn,
                rows.ProcessRow(
                    instance=self.instance,
                    kind=self._kind,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    mode_value=view.value,
                    mode_epoch=view.epoch,
                    mode_state=str(view.state),
                    env_value=view.env_value,
                    started_at=self._started_at,
                    seen_at=self._clock.now(),
                    known_good_ok=view.known_good_ok,
                    secret_digests=self._secret_digests,
                    cutover_epoch=self._cutover.epoch if self._cutover else None,
                    revision=self._revision,
                ),
            )

    async def _poll(self) -> None:
        while True:
            try:
                await self._refresh()
                await self._report()
            except StoreUnavailableError:
                log.warning("mode_store_unreachable", age_s=round(self.view().age_s, 1))
            await self._clock.sleep(POLL_INTERVAL_S)

    async def _ask(self, check: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await check()
                if self._known_good_ok is False:
                    log.info("known_good_check_passed", provider=self._known_good)
                self._known_good_ok = True
            except ProviderError as error:
                # Once, not every time: it may be away for hours.
                if self._known_good_ok is not False:
                    log.warning("known_good_check_failed", provider=self._known_good, code=error.code)
                self._known_good_ok = False
            except Exception:
                # A check that broke by itself says nothing about the provider.
                log.exception("known_good_check_broke", provider=self._known_good)
            await self._clock.sleep(CHECK_INTERVAL_S)

    async def _listen(self) -> None:
        """NOTIFY makes a switch immediate; the poll beside it makes a lost notification harmless."""
        while True:
            with contextlib.suppress(StoreUnavailableError):
                async for _channel, _payload in self._database.listen(CHANNEL, ready=self._listening.set):
                    await self._refresh()
                    await self._report()
            await self._clock.sleep(POLL_INTERVAL_S)
