"""A guard over findings that a test scripts, with actions that only note that they acted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.clocks import HandClock
from understudy.resources import playbook_file
from understudy.restoration.actions.step import Progress, Restoration, Sighting, StepError
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.watching import Observer, Watcher
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.restoration.playbook.policy import Playbook, load_playbook
from understudy.restoration.signals.readings import CallReading, Series
from understudy.restoration.signals.source import Observed
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.targets.base import TargetCapabilities
from understudy.restoration.triggers.verdict import Finding
from understudy.store.calls import Harm
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.mode import ModeRow

PLAYBOOK = load_playbook(playbook_file(), window_s=5)


@dataclass
class FakeStep:
    """Notes that it acted, unless it is told to fail."""

    name: str
    acted: list[str]
    failing: dict[str, StepError]
    changes: bool = True
    required: bool = True
    planned: Mapping[str, Any] = field(default_factory=dict)
    fails_as: str = ""

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        subjects = sorted(doc["subject"] for doc in run.findings_for("throttle_tenant"))
        return {"of": run.finding["trigger"], "subjects": subjects, **self.planned}

    async def look(self, run: Restoration, key: str) -> Sighting:
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:
        broken = self.failing.get(self.fails_as or self.name)
        if broken is not None:
            raise broken
        self.acted.append(self.name)
        return {"findings": len(run.findings)}


class FakeTarget:
    """Has an environment and nothing else."""

    name = "fake"
    kinds = ()
    database = None
    capabilities = TargetCapabilities(live_switch=True, restore_beside=False)

    async def read_env(self, names: Collection[str]) -> dict[str, str]:
        return {}


class FakeSource:
    """Answers with what a test wrote down, or breaks, or hangs."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.mode: ModeRow | None = mode_of("qwen", 3, clock.now())
        self.buckets: dict[Series, tuple[CallWindow, ...]] = {}
        self.blind: str | None = None
        self.error: Exception | None = None
        self.first_failed: datetime | None = None
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def read(self, *, span_s: float, operations: Collection[str]) -> Observed:
        await self.hangs.wait()
        if self.error is not None:
            raise self.error
        now = self.clock.now()
        calls = CallReading(now, now, buckets=self.buckets, blind=self.blind)
        return Observed(at=now, mode=self.mode, processes=(), calls=calls, blind=self.blind)

    async def first_failure(self, series: Series, since: datetime) -> datetime | None:
        await self.hangs.wait()
        if self.error is not None:
            raise self.error
        return self.first_failed

    async def harm(self, operation: str, provider: str, start: datetime, end: datetime) -> Harm:
        if self.error is not None:
            raise self.error
        return Harm(calls=9, failed=9, users=2, users_failed=2, cost_microusd=0)

    async def successes(self, series: Series, since: datetime) -> int:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def mode_of(value: str, epoch: int, at: datetime) -> ModeRow:
    return ModeRow(value, epoch, "test", "a test", None, value, at)


@dataclass
class Post:
    """Everything one guard works with; ``findings`` is what its triggers say."""

    home: Path
    clock: HandClock = field(default_factory=HandClock)
    findings: tuple[Finding, ...] = ()
    acted: list[str] = field(default_factory=list)
    failing: dict[str, StepError] = field(default_factory=dict)
    playbook: Playbook = PLAYBOOK

    def __post_init__(self) -> None:
        self.source = FakeSource(self.clock)

    def guard(self, holder: str = "a", observers: Mapping[str, Observer] | None = None) -> Guard:
        """A guard process that has just started."""
        store = GuardStore(self.home / "guard.sqlite3", self.clock)
        watcher = Watcher(
            self.source,
            self.clock,
            span_s=60,
            operations={"speak"},
            observers=observers or {},
        )
        return Guard(
            book=IncidentBook(store, "local", self.clock),
            playbook=self.playbook,
            target=FakeTarget(),  # type: ignore[arg-type]
            watcher=watcher,
            prepare=self.prepare,
            clock=self.clock,
            holder=holder,
            known_good="modal",
            reports=self.home / "reports",
            poll_interval_s=0.01,
        )

    def prepare(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        nothing: Any = None
        return Restoration(
            incident=row.id, attempt=attempt, title=row.title, finding=finding, known_good="modal",
            target=nothing, connect=nothing, store=nothing, clock=self.clock,
            check_known_good=nothing, verify=nothing, stale_after_s=5,
        )  # fmt: skip

    def judge(self, *_: object, now: datetime, **__: object) -> tuple[Finding, ...]:
        return tuple(replace(finding, evaluated_at=now) for finding in self.findings)

    def actions(self) -> tuple[FakeStep, dict[str, tuple[FakeStep, ...]]]:
        """The evidence step, and each action's steps."""

        def step(name: str, **more: Any) -> FakeStep:
            return FakeStep(name, self.acted, self.failing, **more)

        evidence = step("evidence", changes=False, required=False)
        last = step("read_back", changes=False)
        proof = step("verification", changes=False)
        return evidence, {
            "close_valve": (evidence, step("close_valve"), last),
            "env_switch": (evidence, step("redeploy"), last, proof),
        }


async def settle(guard: Guard) -> IncidentState | None:
    """Cycle until nothing runs beside the loop any more; the newest incident's state."""
    for _ in range(50):
        await guard.cycle()
        if guard._restoring is None or guard._restoring.done():
            before = guard.book.store.head()
            await guard.cycle()
            if guard._restoring is not None:
                await asyncio.wait({guard._restoring})
                await guard.cycle()
            if guard.book.store.head() == before:
                break
        else:
            await asyncio.wait({guard._restoring})
    rows = guard.book.store.incidents()
    return IncidentState(rows[0].state) if rows else None
