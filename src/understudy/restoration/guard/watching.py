"""What the guard sees: the calls, read in every cycle, and what observers of their own pace saw last.

A slow or broken observer delays nothing: each runs in a task of its own with a deadline for every look. One
that fails, or falls silent, is BLIND for its part until it answers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from understudy.clock import Clock
from understudy.logs import get_logger
from understudy.restoration.signals.observing import NOT_YET
from understudy.restoration.signals.readings import (
    CanaryRead,
    CostReading,
    IntegrityReading,
    PlaybackReading,
    ProbeReading,
    SecurityReading,
    Signals,
    unseen,
)
from understudy.restoration.signals.source import CallSource, Observed

#: Looks that an observer may miss before what it saw last is no longer believed.
MISSED_LOOKS = 3
#: A source has its own deadline for each question; beyond this it hangs.
SOURCE_HANGS_AFTER_S = 10.0

log = get_logger(__name__)

Reading = PlaybackReading | CostReading | IntegrityReading | SecurityReading
R = TypeVar("R", PlaybackReading, CostReading, IntegrityReading, SecurityReading)


@dataclass(frozen=True, slots=True)
class Observer:
    """One part of the signals that is looked at in its own time.

    Parameters
    ----------
    look
        One look; may raise, and may take longer than it should.
    every_s
        Seconds between two looks.
    deadline_s
        A look that takes longer, in seconds, has failed.
    """

    look: Callable[[], Awaitable[Reading]]
    every_s: float
    deadline_s: float


class Probes(Protocol):
    """The canaries."""

    def reading(self, now: datetime) -> ProbeReading:
        """What they heard."""
        ...

    def canary_read(self) -> CanaryRead | None:
        """Whether one of them could read what is the other's."""
        ...


class NoProbes:
    """No canary speaks here."""

    def reading(self, now: datetime) -> ProbeReading:
        """Nothing."""
        return ProbeReading(now, paused="no probe is set up")

    def canary_read(self) -> CanaryRead | None:
        """Nothing."""
        return None


@dataclass(slots=True)
class _Seen:
    reading: Reading | None = None
    problem: str | None = NOT_YET
    at_s: float = 0.0


class Watcher:
    """Assembles :class:`Signals`.

    Parameters
    ----------
    span_s
        How far back the calls are read, in seconds.
    operations
        Operations of which the newest calls are read one by one.
    observers
        By part: ``playback``, ``cost``, ``integrity``, ``security``. One that is left out is BLIND.
    """

    def __init__(
        self,
        source: CallSource,
        clock: Clock,
        *,
        span_s: float,
        operations: Collection[str],
        observers: Mapping[str, Observer],
        probes: Probes | None = None,
    ) -> None:
        self.source = source
        self.observed: Observed | None = None
        self._clock = clock
        self._span_s = span_s
        self._operations = operations
        self._observers = dict(observers)
        self._probes: Probes = probes or NoProbes()
        self._seen = {name: _Seen(at_s=clock.monotonic_s()) for name in self._observers}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep every observer looking until ``stop``."""
        tasks = [
            asyncio.create_task(self._keep_looking(name), name=f"observer-{name}") for name in self._observers
        ]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look_once(self, name: str) -> None:
        """Let one observer look; what goes wrong is its reason to be BLIND. Never raises."""
        observer = self._observers[name]
        seen = self._seen[name]
        reading: Reading | None = None
        try:
            async with asyncio.timeout(observer.deadline_s):
                reading = await observer.look()
            problem = None
        except TimeoutError:
            problem = f"no answer within {observer.deadline_s:g} s"
        except Exception as error:
            log.exception("observer_broke", observer=name)
            problem = f"its observer broke ({type(error).__name__}); the guard's log has it"
        seen.reading, seen.problem, seen.at_s = reading, problem, self._clock.monotonic_s()

    async def signals(self) -> Signals:
        """Look at the calls now and put the newest of everything beside them; never raises."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(SOURCE_HANGS_AFTER_S):
                observed = await self.source.read(span_s=self._span_s, operations=self._operations)
        except TimeoutError:
            return self._without_calls(now, f"the calls were not read within {SOURCE_HANGS_AFTER_S:g} s")
        except Exception as error:
            log.exception("source_broke")
            return self._without_calls(now, f"the calls cannot be read ({type(error).__name__})")
        self.observed = observed
        offset = observed.database_at - observed.at if observed.database_at else None
        return Signals(
            at=observed.at,
            mode=observed.mode,
            processes=observed.processes,
            calls=observed.calls,
            blind=observed.blind,
            clock_offset_s=offset.total_seconds() if offset is not None else None,
            cutover=observed.cutover,
            **self._parts(observed.at),
        )

    def _without_calls(self, now: datetime, reason: str) -> Signals:
        self.observed = None
        return replace(unseen(now, reason), probes=self._probes.reading(now))

    def _parts(self, now: datetime) -> dict[str, Any]:
        blank = unseen(now, "")
        security = self._newest("security", blank.security)
        canary_read = self._probes.canary_read()
        if canary_read is not None:
            security = replace(security, canary_read=canary_read)
        return {
            "playback": self._newest("playback", blank.playback),
            "cost": self._newest("cost", blank.cost),
            "integrity": self._newest("integrity", blank.integrity),
            "security": security,
            "probes": self._probes.reading(now),
        }

    def _newest(self, name: str, blank: R) -> R:
        """What an observer saw last, or why that is not believed."""
        seen, observer = self._seen.get(name), self._observers.get(name)
        if seen is None or observer is None:
            return replace(blank, blind="nothing observes it here")
        silent_s = self._clock.monotonic_s() - seen.at_s
        if silent_s > MISSED_LOOKS * observer.every_s + observer.deadline_s:
            return replace(blank, blind=f"its observer has been silent for {silent_s:.0f} s")
        if not isinstance(seen.reading, type(blank)):
            return replace(blank, blind=seen.problem or "its observer answered with something else")
        return seen.reading

    async def _keep_looking(self, name: str) -> None:
        while True:
            await self.look_once(name)
            await self._clock.sleep(self._observers[name].every_s)
