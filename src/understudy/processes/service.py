"""One named process that is kept running: started, restarted when it dies, replaced without a gap."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from understudy.clock import Clock
from understudy.errors import ProcessError
from understudy.processes.child import Child, ChildSpec, ChildState, LogFile

#: Waits before each restart: the first at once, then slower, so that a broken program does not spin.
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
#: A process that served this long is healthy again: its next crash restarts at once.
SETTLED_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something the supervisor did or saw, for a person and for the log.

    Parameters
    ----------
    name
        Stable: ``started``, ``crashed``, ``restarted``, ``restart_failed``, ``replaced``, ``stopped``, ...
    message
        One sentence; holds no secret.
    """

    at: datetime
    name: str
    process: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Notify = Callable[[Event], None]
SpecOf = Callable[[uuid.UUID], ChildSpec]


def backoff_s(failures: int) -> float:
    """Seconds to wait before restart number ``failures`` + 1."""
    return BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]


class Service:
    """A named place that one process at a time fills.

    Parameters
    ----------
    spec_of
        The specification of a new process, given its instance id; asked anew each start.
    """

    def __init__(self, name: str, spec_of: SpecOf, *, log: LogFile, clock: Clock, notify: Notify) -> None:
        self.name = name
        #: Held while the process of this place is changed; a restart and a replacement exclude each other.
        self.changing = asyncio.Lock()
        self.current: Child | None = None
        self.restarts = 0
        self._spec_of = spec_of
        self._log = log
        self._clock = clock
        self._notify = notify
        self._others: set[Child] = set()  # not ready yet, or draining
        self._watchers: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._stopping = False

    async def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises
        ------
        ProcessError
            It did not become ready; nothing is left of it.
        """
        async with self.changing:
            fresh = await self.spawn()
            self.promote(fresh)
        self._tell("started", f"{self.name} is ready (process {fresh.pid}).", pid=fresh.pid)

    async def spawn(self, spec_of: SpecOf | None = None) -> Child:
        """A new, ready process beside the current one; the caller holds :attr:`changing`.

        Parameters
        ----------
        spec_of
            Instead of this place's own: of a release that is not in force yet.

        Raises
        ------
        ProcessError
            It did not become ready; it was killed.
        """
        if self._stopping:
            raise ProcessError(f"{self.name} is being stopped.")
        instance = uuid.uuid4()
        spec = (spec_of or self._spec_of)(instance)
        fresh = await Child.start(spec, instance=instance, log=self._log, clock=self._clock)
        self._others.add(fresh)
        try:
            await fresh.wait_ready()
        except BaseException:
            await self.discard(fresh)
            raise
        return fresh

    async def discard(self, child: Child) -> None:
        """Kill a process that never took the place."""
        await child.kill()
        self._others.discard(child)

    def promote(self, fresh: Child) -> Child | None:
        """Give the place to ``fresh`` in one step (no await); returns the process that had it."""
        before, self.current = self.current, fresh
        self._others.discard(fresh)
        if before is not None and before.exit_code is None:
            self._others.add(before)
        watcher = asyncio.create_task(self._keep(fresh), name=f"{self.name}-keep")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return before

    async def retire(self, before: Child, *, within_s: float) -> bool:
        """Drain a replaced process; true when it ended by itself in time."""
        finished = await before.stop(within_s=within_s)
        self._others.discard(before)
        return finished

    async def stop(self) -> None:
        """End every process of this place; drains the current one."""
        self._stopping = True
        for watcher in tuple(self._watchers):
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        running = [*self._others, *([self.current] if self.current else [])]
        await asyncio.gather(*(child.stop() for child in running))
        if self.current is not None:
            self._tell("stopped", f"{self.name} stopped.", pid=self.current.pid)

    def kill(self) -> None:
        """Kill every process of this place now; :meth:`stop` then only collects them."""
        self._stopping = True
        for child in (*self._others, *([self.current] if self.current else [])):
            child.kill_now()

    def rows(self) -> list[dict[str, Any]]:
        """Every process of this place for the control socket: the current one first."""
        living = [*([self.current] if self.current else []), *self._others]
        return [
            {
                "name": self.name,
                "pid": child.pid,
                "instance": str(child.instance),
                "state": str(child.state),
                "started_at": child.started_at.isoformat(),
                "restarts": self.restarts,
                "release": child.spec.release,
                "revision": child.revision,
            }
            for child in living
        ]

    async def _keep(self, child: Child) -> None:
        """Restart ``child``'s place when it dies while it still has the place."""
        await child.wait()
        if self._stopping or self.current is not child:
            return
        served_s = (self._clock.now() - child.started_at).total_seconds()
        self._failures = 0 if served_s >= SETTLED_AFTER_S else self._failures
        child.state = ChildState.FAILED
        self._tell("crashed", child.describe_end(), pid=child.pid)
        while True:
            # The lock is free during the wait: a redeploy may cure what kills the process.
            await self._clock.sleep(backoff_s(self._failures))
            async with self.changing:
                if self._stopping or self.current is not child:
                    return
                self._failures += 1
                try:
                    fresh = await self.spawn()
                except ProcessError as error:
                    reason = error.message
                else:
                    self.restarts += 1
                    self.promote(fresh)
                    self._tell("restarted", f"{self.name} runs again (process {fresh.pid}).", pid=fresh.pid)
                    return
            self._tell("restart_failed", f"{reason} Next try in {backoff_s(self._failures):g} s.")

    def _tell(self, name: str, message: str, **facts: Any) -> None:
        self._notify(Event(self._clock.now(), name, self.name, message, facts))
