"""What `understudy cutover` plans and starts with; what is on, restoration.cutover.desk works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

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
from understudy.restoration.cutover import preflight
from understudy.restoration.cutover.desk import Desk
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
from understudy.settings import Settings
from understudy.speech.carrying import destination_of
from understudy.store.cutover import CutoverRow, NewCutover
from understudy.store.database import Database
from understudy.store.guard import GuardStore, open_guard_store
from understudy.store.mode import read_mode


@dataclass(frozen=True, slots=True)
class Opening:
    """Everything that planning and starting a cutover works with."""

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
    def desk(self) -> Desk:
        """What works with one that is on."""
        return Desk(self.name, self.playbook, self.store, self.database, self.clock, person())

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
async def open_desk(home: Path) -> AsyncIterator[Opening]:
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
            yield Opening(environment, home, settings, playbook, store, database, target, clock)


async def examine(
    opening: Opening,
    plan: Plan,
    lane: Lane,
    *,
    owner_named: bool,
    budget_microusd: int | None,
    probe: bool,
) -> list[Check]:
    """Look at everything that must be so; the probe speaks where it is asked for and nothing else fails."""
    now, policy = opening.clock.now(), opening.playbook.cutover
    heartbeat = read_heartbeat(opening.home)
    incident = opening.store.open_incident_of(opening.name)
    told = await settings_preflight.preflight(
        opening.settings, environment=opening.name, target=opening.target
    )
    checks = preflight.of_settings(told)
    checks += preflight.of_guard(
        heartbeat, now=now, fresh_s=STUCK_AFTER_S, open_incident=incident.id if incident else None
    )
    async with opening.database.service() as conn:
        mode = await read_mode(conn)
        checks += await preflight.of_product(conn, opening.target, plan)
        checks += await preflight.of_voices(
            conn,
            plan,
            cost_each_microusd=lane.provider.estimate(Operation.ENROLL),
            budget_microusd=budget_microusd,
        )
    checks += preflight.of_memory(
        opening.store, policy, opening.desk.moves, environment=opening.name, home=opening.home, now=now
    )
    with _staging(opening) as rehearsal:
        checks += preflight.of_rehearsal(
            plan, rehearsal, policy, environment=opening.name, owner_named=owner_named, now=now
        )
    wanted = reproduction_of(
        opening.store,
        opening.name,
        candidate=plan.candidate,
        error=policy.error,
        phrases_at_most=policy.preflight.phrases_at_most,
    )
    spoken = None
    if probe and wanted.phrases and not any(check.ok is False for check in checks):
        spoken = await _speak(opening, lane, wanted.phrases, mode_epoch=mode.epoch if mode else 0)
    checks.append(preflight.of_probe(wanted, spoken, heartbeat, candidate=plan.candidate))
    return checks


async def _speak(opening: Opening, lane: Lane, phrases: int, *, mode_epoch: int) -> Spoken:
    async def connect() -> Database:
        return opening.database

    probes = opening.playbook.probes
    budget = DailyBudget(opening.store, opening.clock, limit=probes.budget_microusd_per_day)
    probe = StandbyProbe(
        ProbeRecords(connect),
        opening.store,
        budget,
        opening.clock,
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
def _staging(opening: Opening) -> Iterator[Rehearsal | None]:
    """Staging's home and store, for production; nothing elsewhere."""
    if not opening.environment.is_production:
        yield None
        return
    try:
        staging = find_environment(EnvironmentName.STAGING)
        secrets, nothing = staging.present_secrets(), SecretStr("")
        choice = StoreChoice(secrets.get("GUARD_STORE_URL", nothing), secrets.get("DATABASE_URL", nothing))
        store = open_guard_store(staging.home, choice, opening.clock, must_exist=True)
    except (ConfigurationError, StoreUnavailableError) as error:
        yield Rehearsal(opening.home, None, error.message)
        return
    with store:
        yield Rehearsal(staging.home, store)


async def start(
    opening: Opening, plan: Plan, checks: list[Check], *, reason: str, accepted: str | None
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
    policy = opening.playbook.cutover
    opening.desk.moves.take(f"a cutover to {plan.candidate}", person())
    looked = [check.document() for check in checks]
    document = {**plan.document, "checks": looked, "accepted": accepted}
    first = policy.stages[0].percent
    return await cutover.start(
        opening.database,
        NewCutover(plan.candidate, first, plan.owner, document, plan.sha256, policy.watched_s),
        share_of(plan.document, first),
        actor=person(),
        reason=reason,
        minimum_epoch=opening.store.highest_mode_epoch(),
    )


def person() -> str:
    """Return who is at this keyboard, as the histories name them."""
    return f"person:{account()}"


def short(plan: Plan) -> str:
    """Return as much of the plan's digest as a person types."""
    return plan.sha256[:SHORT]
