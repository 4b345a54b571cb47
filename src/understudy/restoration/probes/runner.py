"""Probes as they run beside the guard: three roles, each one at a time, at its interval, in a budget."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import Any

from understudy.clock import Clock
from understudy.errors import (
    ConfigurationError,
    ReadsClosedError,
    StoreUnavailableError,
    UnderstudyError,
)
from understudy.logs import get_logger
from understudy.providers.base import Operation
from understudy.restoration.probes.active import ActiveProbe
from understudy.restoration.probes.budget import BudgetSpentError, DailyBudget
from understudy.restoration.probes.lanes import Lane, standby_of
from understudy.restoration.probes.plan import Memory, ProbePlan
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.probes.security import read_another
from understudy.restoration.probes.standby import StandbyProbe
from understudy.restoration.probes.tenants import ProbeTenants
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.readings import CanaryRead, ProbeReading, ProbeResult
from understudy.restoration.verification.canaries import CanaryIdentities
from understudy.restoration.verification.client import Limits
from understudy.store.mode import ModeRow

RESULTS_KEPT = 20
RESULTS_KEY = "probe_results"
#: Part of an interval by which each turn may come earlier or later: two guards do not march in step.
SPREAD = 0.1
#: Reserved for an utterance whose provider cannot be asked for an estimate: dearer than any.
UNKNOWN_COST_MICROUSD = 10_000
PROBE_LIMITS = Limits(connect_s=5.0, request_s=15.0, task_s=60.0, cleanup_s=10.0, poll_interval_s=0.5)

log = get_logger(__name__)


class Role(StrEnum):
    """What a probe looks at."""

    ACTIVE = "active"
    STANDBY = "standby"
    SECURITY = "security"


class ProbeRunner:
    """Runs the probes of one deployment and remembers what they heard.

    Parameters
    ----------
    switched_on
        ``PROBES=on``.
    base_url
        Where the deployment's API is now.
    identities
        The two canary accounts of a base URL; not those of the smoke suite.
    connect
        The product's database.
    mode
        The mode as the guard last saw it.
    lane
        Builds one provider as configured now; the runner closes it.
    memory
        The guard's own store.
    leads
        Whether this guard may act; of two, one probes.
    """

    def __init__(
        self,
        *,
        plan: ProbePlan,
        switched_on: bool,
        base_url: Callable[[], Awaitable[str]],
        identities: Callable[[str], CanaryIdentities],
        connect: Connect,
        mode: Callable[[], ModeRow | None],
        lane: Callable[[str], Lane],
        memory: Memory,
        clock: Clock,
        random: Random,
        leads: Callable[[], bool] = lambda: True,
        limits: Limits = PROBE_LIMITS,
    ) -> None:
        self.plan = plan
        self.budget = DailyBudget(memory, clock, limit=plan.budget_microusd_per_day)
        self._switched_on = switched_on
        self._mode = mode
        self._lane = lane
        self._memory = memory
        self._clock = clock
        self._random = random
        self._leads = leads
        self._records = records = ProbeRecords(connect)
        self.tenants = ProbeTenants(
            base_url=base_url,
            identities=identities,
            records=records,
            memory=memory,
            clock=clock,
            limits=limits,
            reserve_voice=self._reserve_voice,
        )
        self._active = ActiveProbe(self.tenants, records, memory, clock, text=plan.text)
        self._standby = StandbyProbe(
            records, memory, self.budget, clock, random, text=plan.text, deadline_s=limits.task_s
        )
        #: Active and security probes share the tenants; a role shares nothing with itself.
        self._tenants_busy = asyncio.Lock()
        self._standby_busy = asyncio.Lock()
        self._results = remembered_results(memory)
        self._canary_read: CanaryRead | None = None
        self._held_up: dict[Role, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Probe until ``stop``; an utterance under way is given up and taken away, within its deadline."""
        if self._off() is not None:
            await stop.wait()
            return
        roles = [
            asyncio.create_task(self._keep_on(role, interval_s), name=f"probe-{role}")
            for role, interval_s in (
                (Role.ACTIVE, self.plan.active_interval_s),
                (Role.STANDBY, self.plan.standby_interval_s),
                (Role.SECURITY, self.plan.security_interval_s),
            )
        ]
        try:
            await stop.wait()
        finally:
            for task in roles:
                task.cancel()
            await asyncio.gather(*roles, return_exceptions=True)

    async def _keep_on(self, role: Role, interval_s: float) -> None:
        # The first turn falls anywhere in the interval: a guard that dies often does not probe more for it.
        await self._clock.sleep(interval_s * self._random.random())
        while True:
            if self._leads():
                await self.once(role)
            await self._clock.sleep(interval_s * self._random.uniform(1 - SPREAD, 1 + SPREAD))

    async def once(self, role: Role) -> None:
        """Take one turn of ``role``; never raises for what it meets."""
        try:
            match role:
                case Role.ACTIVE:
                    async with self._tenants_busy:
                        await self._require_reads()
                        await self._speak_active()
                case Role.STANDBY:
                    async with self._standby_busy:
                        await self._speak_standby()
                case Role.SECURITY:
                    async with self._tenants_busy:
                        await self._require_reads()
                        await self._read_another()
        except BudgetSpentError:
            self._hold_up(
                role, f"today's budget of {self.budget.limit / 1_000_000:g} US dollars for probes is spent"
            )
        except UnderstudyError as error:  # nothing was asked: the deployment is not judged by it
            self._hold_up(role, error.message)
        except Exception as error:
            log.exception("probe_broke", role=role.value)
            self._hold_up(role, f"the probe itself broke ({type(error).__name__})")
        else:
            if self._held_up.pop(role, None) is not None:
                log.info("probe_goes_on", role=role.value)

    def reading(self, now: datetime) -> ProbeReading:
        """Return what was heard; no I/O."""
        return ProbeReading(
            at=now,
            active=tuple(self._results[Role.ACTIVE]),
            standby=tuple(self._results[Role.STANDBY]),
            spent_microusd=self.budget.spent(),
            paused=self._off() or (None if self._leads() else "another guard probes") or self.alarm(),
        )

    def canary_read(self) -> CanaryRead | None:
        """Return the newest attempt to read another tenant's; None before the first."""
        return self._canary_read

    def alarm(self) -> str | None:
        """Say why a role that should probe does not, or None."""
        return "; ".join(f"{role}: {reason}" for role, reason in sorted(self._held_up.items())) or None

    def _off(self) -> str | None:
        if not self._switched_on:
            return "PROBES is off"
        return None if self.plan.enabled else "the policy switches probes off"

    def _hold_up(self, role: Role, reason: str) -> None:
        if self._held_up.get(role) != reason:
            log.warning("probe_held_up", role=role.value, reason=reason)
        self._held_up[role] = reason

    async def _require_reads(self) -> None:
        """Raise :class:`ReadsClosedError` while reads are closed: a refusal of ours judges no provider."""
        closed = await self._records.closed_reads()
        if closed:
            raise ReadsClosedError(f"reads are closed: {', '.join(closed)}")

    async def _speak_active(self) -> None:
        mode = self._mode()
        reserved = self.budget.reserve(await self._estimate(mode, Operation.SPEAK))
        try:
            spoken = await self._active.speak(
                provider=mode.value if mode else "unknown", mode_epoch=mode.epoch if mode else 0
            )
        except (BudgetSpentError, ConfigurationError, StoreUnavailableError):
            self.budget.settle(reserved, 0)
            raise
        if spoken.cost_microusd is not None:
            self.budget.settle(reserved, spoken.cost_microusd)
        if spoken.result is not None:
            self._hear(Role.ACTIVE, spoken.result)

    async def _reserve_voice(self) -> None:
        self.budget.reserve(await self._estimate(self._mode(), Operation.ENROLL))

    async def _estimate(self, mode: ModeRow | None, operation: Operation) -> int:
        """What a call of the provider in force may cost at most, in micro-dollars."""
        try:
            provider = self._lane(mode.value).provider if mode else None
        except UnderstudyError:  # its settings cannot be used; the product may still hold better ones
            provider = None
        if provider is None:
            return UNKNOWN_COST_MICROUSD
        try:
            return provider.estimate(operation, text=self.plan.text, kind="vc")
        finally:
            await provider.close()

    async def _read_another(self) -> None:
        if self.tenants.exhibit() is None and self._canary_read is None:
            return  # canary A has said nothing yet: there was nothing to try, which is no blindness
        self._canary_read = await read_another(self.tenants, self._clock)

    async def _speak_standby(self) -> None:
        mode = self._mode()
        if mode is None:
            return
        lane = self._lane(standby_of(mode.value))
        user = self.tenants.known_user
        try:
            result = await self._standby.speak(
                lane, mode_epoch=mode.epoch, user_id=user.user_id if user else None
            )
        finally:
            await lane.provider.close()
        self._hear(Role.STANDBY, result)

    def _hear(self, role: Role, result: ProbeResult) -> None:
        self._results[role].appendleft(result)
        kept = {role.value: [_plain(item) for item in heard] for role, heard in self._results.items()}
        self._memory.remember(RESULTS_KEY, json.dumps(kept))
        if not result.ok:
            log.warning(
                "probe_failed",
                role=role.value,
                provider=result.provider,
                outcome=result.outcome,
                code=result.code,
                detail=result.detail,
            )


def remembered_results(memory: Memory) -> dict[Role, deque[ProbeResult]]:
    """Return the newest results of both roles, newest first; none where none can be read."""
    results: dict[Role, deque[ProbeResult]] = {
        role: deque(maxlen=RESULTS_KEPT) for role in (Role.ACTIVE, Role.STANDBY)
    }
    try:
        known = json.loads(memory.meta(RESULTS_KEY) or "{}")
        for role, heard in results.items():
            heard.extend(
                ProbeResult(**{**item, "at": datetime.fromisoformat(item["at"])})
                for item in known.get(role.value, [])
            )
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("probe_results_unreadable")
    return results


def _plain(result: ProbeResult) -> dict[str, Any]:
    return {**asdict(result), "at": result.at.isoformat()}
