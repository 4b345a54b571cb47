"""What `understudy cutover` works with, and what it does with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr

from understudy.cli.account import account
from understudy.cli.environment import chosen
from understudy.cli.guard_home import StoreChoice
from understudy.cli.installation import installed_database, installed_settings
from understudy.clock import Clock, SystemClock
from understudy.environments import Environment, EnvironmentName, find_environment
from understudy.errors import ConfigurationError, ConflictError, StoreUnavailableError
from understudy.providers.base import Operation
from understudy.releases.identity import running_revision
from understudy.resources import playbook_file
from understudy.restoration.cutover import memory, preflight, progress
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import SHORT, Plan, plan_cutover, share_of
from understudy.restoration.cutover.preflight import Check, Rehearsal
from understudy.restoration.cutover.reproducing import Spoken, reproduction_of, speak_clean
from understudy.restoration.guard.heartbeat import STUCK_AFTER_S, read_heartbeat
from understudy.restoration.playbook.policy import Playbook, load_policy
from understudy.restoration.probes import Lane, lane_of, standby_of
from understudy.restoration.probes.budget import BudgetSpentError, DailyBudget
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.probes.runner import PROBE_LIMITS
from understudy.restoration.probes.standby import StandbyProbe
from understudy.restoration.signals.readings import ProbeResult
from understudy.restoration.targets import preflight as settings_preflight
from understudy.restoration.targets.base import Target
from understudy.restoration.targets.choosing import target_of
from understudy.rollout import cutover
from understudy.rollout.mode import LIVE_WITHIN_S
from understudy.settings import Settings
from understudy.speech.carrying import destination_of
from understudy.store import cutover as rows
from understudy.store.cutover import CutoverRow, NewCutover
from understudy.store.database import Database
from understudy.store.guard import GuardStore, open_guard_store
from understudy.store.mode import list_processes, read_mode

#: A judgement of the guard that is older, in seconds, says nothing about now.
JUDGED_WITHIN_S = 20.0
#: A change is in force on every process within a second; so long it is waited for, in seconds.
IN_FORCE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything one command works with."""

    environment: Environment
    home: Path
    settings: Settings
    playbook: Playbook
    store: GuardStore
    database: Database
    target: Target
    clock: Clock

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name.value

    @property
    def moves(self) -> MoveLimits:
        """The limits of moves away."""
        return MoveLimits(self.store, self.playbook.cutover.limits, self.clock, self.name)

    @property
    def actor(self) -> str:
        """The person at this keyboard."""
        return person()

    async def newest(self) -> CutoverRow:
        """Return the newest cutover; :class:`ConflictError` where none was ever begun."""
        async with self.database.service() as conn:
            row = await rows.read_cutover(conn)
        if row is None:
            raise ConflictError("No cutover has ever been begun here: understudy cutover plan")
        return row

    def lane(self, candidate: str | None) -> Lane:
        """Build the candidate: the one that is not known-good, unless another is named."""
        known_good = self.settings.known_good_provider
        name = candidate or standby_of(known_good)
        if name == known_good:
            raise ConfigurationError(f"{name} is the known-good provider; a cutover goes to the other one.")
        return lane_of(name, self.settings, self.clock)

    def plan(self, lane: Lane, owner: str | None) -> tuple[Plan, bool]:
        """Return the plan, and whether its owner was named for it."""
        fallback = self.environment.owner or self.playbook.owner
        answering, named = preflight.owner_of(owner, fallback)
        plan = plan_cutover(
            self.playbook.cutover,
            self.settings,
            destination_of(lane.provider, self.settings),
            environment=self.name,
            owner=answering,
            revision=running_revision(),
        )
        return plan, named or bool(self.environment.owner)


@asynccontextmanager
async def open_desk(home: Path) -> AsyncIterator[Desk]:
    """Open everything; close it afterwards.

    Raises
    ------
    UnderstudyError
        There is no installation, its policy is not valid, or a store cannot be opened.
    """
    settings, clock, environment = installed_settings(home), SystemClock(), chosen()
    playbook, _ = load_policy(settings.playbook_file or playbook_file())
    with open_guard_store(home, settings, clock) as store:
        async with installed_database(settings, command="cutover") as database:
            target = target_of(environment, home, settings, clock)
            yield Desk(environment, home, settings, playbook, store, database, target, clock)


async def examine(
    desk: Desk,
    plan: Plan,
    lane: Lane,
    *,
    owner_named: bool,
    budget_microusd: int | None,
    probe: bool,
) -> list[Check]:
    """Look at everything that must be so; the probe speaks where it is asked for and nothing else fails."""
    now, policy = desk.clock.now(), desk.playbook.cutover
    heartbeat = read_heartbeat(desk.home)
    incident = desk.store.open_incident_of(desk.name)
    told = await settings_preflight.preflight(desk.settings, environment=desk.name, target=desk.target)
    checks = preflight.of_settings(told)
    checks += preflight.of_guard(
        heartbeat, now=now, fresh_s=STUCK_AFTER_S, open_incident=incident.id if incident else None
    )
    async with desk.database.service() as conn:
        mode = await read_mode(conn)
        checks += await preflight.of_product(conn, desk.target, plan)
        checks += await preflight.of_voices(
            conn,
            plan,
            cost_each_microusd=lane.provider.estimate(Operation.ENROLL),
            budget_microusd=budget_microusd,
        )
    checks += preflight.of_memory(
        desk.store, policy, desk.moves, environment=desk.name, home=desk.home, now=now
    )
    with _staging(desk) as rehearsal:
        checks += preflight.of_rehearsal(
            plan, rehearsal, policy, environment=desk.name, owner_named=owner_named, now=now
        )
    wanted = reproduction_of(
        desk.store,
        desk.name,
        candidate=plan.candidate,
        error=policy.error,
        phrases_at_most=policy.preflight.phrases_at_most,
    )
    spoken = None
    if probe and wanted.phrases and not any(check.ok is False for check in checks):
        spoken = await _speak(desk, lane, wanted.phrases, mode_epoch=mode.epoch if mode else 0)
    checks.append(preflight.of_probe(wanted, spoken, heartbeat, candidate=plan.candidate))
    return checks


async def _speak(desk: Desk, lane: Lane, phrases: int, *, mode_epoch: int) -> Spoken:
    async def connect() -> Database:
        return desk.database

    probes = desk.playbook.probes
    budget = DailyBudget(desk.store, desk.clock, limit=probes.budget_microusd_per_day)
    probe = StandbyProbe(
        ProbeRecords(connect),
        desk.store,
        budget,
        desk.clock,
        Random(),  # noqa: S311  # names of utterances
        text=probes.text,
        deadline_s=PROBE_LIMITS.task_s,
    )

    async def speak() -> ProbeResult:
        return await probe.speak(lane, mode_epoch=mode_epoch, user_id=None)

    try:
        return await speak_clean(phrases, speak)
    except BudgetSpentError:
        return Spoken(0, "today's budget for probes is spent; raise probes.budget_microusd_per_day")


@contextmanager
def _staging(desk: Desk) -> Iterator[Rehearsal | None]:
    """Staging's home and store, for production; nothing elsewhere."""
    if not desk.environment.is_production:
        yield None
        return
    try:
        staging = find_environment(EnvironmentName.STAGING)
        secrets, nothing = staging.present_secrets(), SecretStr("")
        choice = StoreChoice(secrets.get("GUARD_STORE_URL", nothing), secrets.get("DATABASE_URL", nothing))
        store = open_guard_store(staging.home, choice, desk.clock, must_exist=True)
    except (ConfigurationError, StoreUnavailableError) as error:
        yield Rehearsal(desk.home, None, error.message)
        return
    with store:
        yield Rehearsal(staging.home, store)


async def start(
    desk: Desk, plan: Plan, checks: list[Check], *, reason: str, accepted: str | None
) -> CutoverRow:
    """Begin the first stage; the checks are kept with the plan.

    Raises
    ------
    ConflictError
        Something stands in the way, it comes too soon, or moves away are FROZEN.
    """
    standing = preflight.problems(checks, accepted=accepted is not None)
    if standing:
        named = "; ".join(f"{check.name}: {check.detail}" for check in standing)
        raise ConflictError(f"The cutover is not begun. {named}")
    policy = desk.playbook.cutover
    desk.moves.take(f"a cutover to {plan.candidate}", desk.actor)
    looked = [check.document() for check in checks]
    document = {**plan.document, "checks": looked, "accepted": accepted}
    first = policy.stages[0].percent
    return await cutover.start(
        desk.database,
        NewCutover(plan.candidate, first, plan.owner, document, plan.sha256, policy.watched_s),
        share_of(plan.document, first),
        actor=desk.actor,
        reason=reason,
        minimum_epoch=desk.store.highest_mode_epoch(),
    )


async def go_on(desk: Desk, *, reason: str, leave_behind: str | None) -> CutoverRow:
    """Begin the next stage, where the guard's newest judgement says that it may.

    Raises
    ------
    ConflictError
        It may not, or nobody has judged it lately.
    """
    row = await desk.newest()
    judged = memory.last_judgement(desk.store, desk.name)
    if row.state != "running":
        raise ConflictError(f"Cutover {row.seq} is {row.state}; only a running one goes on.")
    now = desk.clock.now()
    if judged is None or judged["epoch"] != row.epoch or _age_s(judged["at"], now) > JUDGED_WITHIN_S:
        raise ConflictError("No guard has judged this stage lately: understudy status, and then again.")
    standing = [*judged["failing"], *judged["waiting"]]
    if standing:
        raise ConflictError(f"Stage {row.stage + 1} is not done: {'; '.join(standing)}.")
    if judged["left_behind"] and leave_behind is None:
        raise ConflictError(
            f"{judged['left_behind']} tenants use voices that do not speak at {row.candidate}; they would be "
            f"refused. Carry them over (understudy voices carry-over --to {row.candidate}), or say why that "
            f'is right: --leave-behind "..."'
        )
    next_at = desk.moves.next_at()
    if next_at is not None and desk.moves.frozen() is None:
        # Waiting is part of the plan: to ask for a stage too early freezes nothing.
        raise ConflictError(
            f"Stage {row.stage + 2} may begin from {next_at:%Y-%m-%d %H:%M:%S} UTC: the policy limits moves "
            f"away from known-good. Nothing was changed."
        )
    desk.moves.take(f"stage {row.stage + 2} of cutover {row.seq}", desk.actor)
    await progress.go_on(
        desk.database,
        row,
        actor=desk.actor,
        reason=reason if leave_behind is None else f"{reason}; left behind: {leave_behind}",
        watched_s=desk.playbook.cutover.watched_s,
        evidence=judged,
    )
    return await desk.newest()


async def laggards(desk: Desk, epoch: int) -> list[str]:
    """Wait until every live process holds that epoch; return those that do not."""
    deadline_s = desk.clock.monotonic_s() + IN_FORCE_WITHIN_S
    while True:
        async with desk.database.service() as conn:
            live = await list_processes(conn, LIVE_WITHIN_S)
        behind = [
            f"{process.kind} {process.pid}"
            for process in live
            if process.kind in {"api", "worker"}
            and max(process.cutover_epoch or 0, process.mode_epoch or 0) < epoch
        ]
        if not behind or desk.clock.monotonic_s() > deadline_s:
            return behind
        await asyncio.sleep(0.1)


async def describe(desk: Desk) -> dict[str, Any]:
    """Return everything that `cutover status` tells, as plain data."""
    async with desk.database.service() as conn:
        row, mode = await rows.read_cutover(conn), await read_mode(conn)
        stays = await rows.list_stays(conn)
        history = await rows.cutover_history(conn, 20)
    record, clock = desk.moves.record(), memory.stabilization_clock(desk.store, desk.name)
    next_at = desk.moves.next_at()
    counts = clock is not None and mode is not None and (mode.value, mode.epoch) == _of(clock)
    told: dict[str, Any] = plain(
        {
            "environment": desk.name,
            "cutover": asdict(row) if row else None,
            "in_force": row is not None and mode is not None and row.in_force(mode.epoch),
            "mode": {"value": mode.value, "epoch": mode.epoch} if mode else None,
            "judgement": memory.last_judgement(desk.store, desk.name),
            "stays": [asdict(one) for one in stays],
            "moves": {**asdict(record), "next_at": next_at},
            "stabilization": asdict(clock) if clock is not None and counts else None,
            "history": [asdict(change) for change in history],
        }
    )
    return told


def person() -> str:
    """Return who is at this keyboard, as the histories name them."""
    return f"person:{account()}"


def short(plan: Plan) -> str:
    """Return as much of the plan's digest as a person types."""
    return plan.sha256[:SHORT]


def plain(value: Any) -> Any:
    """Return it with times as ISO 8601 and everything else that JSON does not know as text."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _of(clock: memory.StabilizationClock) -> tuple[str, int]:
    return clock.candidate, clock.mode_epoch


def _age_s(at: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(at)).total_seconds()
