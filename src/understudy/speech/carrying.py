"""Carrying voices over to a provider that enrols: explicit, inside a budget, and resumable at any moment.

Before each billed create an intent is committed, with its cost reserved in the run's budget. A run that died
leaves intents behind; the next one looks those up at the provider, by label, before anything is sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from understudy.clock import Clock
from understudy.errors import ConfigurationError, NotFoundError, ProviderError
from understudy.logs import get_logger
from understudy.providers.base import CREATE_UNKNOWN, EnrolledVoice, Operation, Provider, Reference
from understudy.settings import Settings
from understudy.speech.calls import CallMeter
from understudy.speech.failures import failure_of
from understudy.speech.portability import Problem, problem_of
from understudy.speech.speakable import target_models
from understudy.store import carry_over as rows
from understudy.store.buckets import REFERENCES
from understudy.store.carry_over import Candidate, Destination, Halt, Intent, NewBinding, RunLock
from understudy.store.database import Database
from understudy.store.mode import read_mode
from understudy.store.objects import ObjectStore
from understudy.store.references import StoredReference

#: The vendor's limit on creates (facts/dashscope.md section 5).
CREATES_A_MINUTE = 180
AT_ONCE = 4
#: A create that was sent may still be in the making so long; only then does "not found" mean "not made".
SETTLES_WITHIN_S = 90.0
LOOK_AGAIN_S = 1.0
#: The second is for voices of which the first one learned that they were never made.
PASSES = 2
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A voice that cannot be carried over, and why."""

    voice_id: UUID
    user_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Parameters
    ----------
    cost_each
        Of one enrolment at list price, in micro-dollars.
    unsettled
        Voices that an earlier run may have paid for already: looked up first, at no cost.
    """

    ready: list[Candidate]
    blocked: list[Blocked]
    cost_each: int
    unsettled: int

    @property
    def cost_microusd(self) -> int:
        """Of the whole plan, in micro-dollars."""
        return self.cost_each * len(self.ready)


@dataclass(slots=True)
class Outcome:
    """What a run did; ``spent_microusd`` includes what may have been billed.

    Parameters
    ----------
    carried, found
        Voices enrolled by this run, and those an earlier create had made.
    left
        Planned voices that were not begun, because of ``halted``.
    """

    run_id: UUID
    budget_microusd: int
    spent_microusd: int = 0
    carried: int = 0
    found: int = 0
    failed: list[Blocked] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    unknown: list[UUID] = field(default_factory=list)
    left: int = 0
    halted: Halt | None = None

    @property
    def complete(self) -> bool:
        """Whether every voice of the plan speaks there now."""
        return not (self.failed or self.unknown or self.left)


def destination_of(provider: Provider, settings: Settings) -> Destination:
    """What a voice needs to be spoken by ``provider``."""
    enrols = provider.capabilities.needs_enrolment
    return Destination(
        provider=provider.name,
        models=target_models(settings) if enrols else {},
        region=settings.dashscope_region if enrols else "",
        strict=settings.voice_carry_over == "off",
    )


def label_of(voice_id: UUID, destination: Destination) -> str:
    """Name under which the provider keeps a voice: 16 characters that no two voices, or models, share."""
    named = f"{voice_id}/{destination.models['vc']}/{destination.region}"
    number = int.from_bytes(hashlib.sha256(named.encode()).digest(), "big")
    digits = []
    for _ in range(15):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "c" + "".join(digits)


class Carrier:
    """Plans and runs a carry-over to one provider.

    Parameters
    ----------
    settles_within_s
        Age at which an intent that the provider knows nothing of was never made.

    Raises
    ------
    ConfigurationError
        The provider enrols nothing, or ``VOICE_CARRY_OVER`` is off: there is nothing to carry.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        provider: Provider,
        settings: Settings,
        clock: Clock,
        *,
        settles_within_s: float = SETTLES_WITHIN_S,
    ) -> None:
        if not provider.capabilities.needs_enrolment:
            raise ConfigurationError(
                f"{provider.name} speaks every voice from its stored recording: there is nothing to carry."
            )
        if settings.voice_carry_over == "off":
            raise ConfigurationError("VOICE_CARRY_OVER is off: a carried voice would not be spoken.")
        self._database = database
        self._objects = objects
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._settles_within_s = settles_within_s
        self._destination = destination_of(provider, settings)
        self._next_create_s = 0.0
        self._epoch = 0

    async def plan(self, *, user_id: UUID | None = None, limit: int | None = None) -> Plan:
        """Say which voices would be carried over and which cannot; reads only."""
        async with self._database.service() as conn:
            found = await rows.candidates(conn, self._destination, user_id=user_id, limit=limit)
            pending = {intent.voice_id for intent in await rows.unsettled(conn, self._provider.name)}
        plan = Plan([], [], self._provider.estimate(Operation.ENROLL), len(pending))
        for candidate in found:
            if candidate.voice_id in pending:
                continue
            problem = await self._obstacle(candidate)
            if problem is None:
                plan.ready.append(candidate)
            else:
                plan.blocked.append(Blocked(candidate.voice_id, candidate.user_id, str(problem)))
        return plan

    async def run(
        self,
        lock: RunLock,
        *,
        budget_microusd: int,
        actor: str,
        user_id: UUID | None = None,
        limit: int | None = None,
        progress: Callable[[Outcome], None] = lambda _: None,
    ) -> Outcome:
        """Settle what an earlier run left open, then enrol voices until the budget is used up.

        Raises
        ------
        StoreUnavailableError
            Database or storage is away: start the same command again, nothing is paid twice.
        """
        outcome = Outcome(uuid4(), budget_microusd)
        async with self._database.service() as conn:
            row = await read_mode(conn)
            self._epoch = row.epoch if row else 0
            await rows.begin_run(
                conn, run_id=outcome.run_id, provider=self._provider.name, actor=actor, budget=budget_microusd
            )
        await self._settle_open(outcome)
        queue: list[Candidate] = []
        try:
            for _ in range(PASSES):
                plan = await self.plan(user_id=user_id, limit=limit)
                outcome.blocked = plan.blocked
                queue[:] = reversed(plan.ready)
                outcome.left = len(queue)
                progress(outcome)
                workers = [
                    self._enrol_all(queue, lock, outcome, plan.cost_each, progress) for _ in range(AT_ONCE)
                ]
                for ended in await asyncio.gather(*workers, return_exceptions=True):
                    if isinstance(ended, BaseException):
                        raise ended
                if outcome.halted is not None or not await self._await_settling(outcome, progress):
                    break
        finally:
            outcome.left = len(queue)
            async with self._database.service() as conn:
                outcome.spent_microusd = await rows.end_run(conn, outcome.run_id)
        return outcome

    async def _enrol_all(
        self,
        queue: list[Candidate],
        lock: RunLock,
        outcome: Outcome,
        cost: int,
        progress: Callable[[Outcome], None],
    ) -> None:
        while (candidate := await self._next(queue, outcome)) is not None:
            try:
                halted = await self._enrol(candidate, lock, outcome, cost)
            except BaseException:
                # Nobody else begins another one; what is under way ends well.
                queue.append(candidate)
                outcome.halted = outcome.halted or Halt.BROKEN
                raise
            if halted:
                queue.append(candidate)
            outcome.left = len(queue)
            progress(outcome)

    async def _next(self, queue: list[Candidate], outcome: Outcome) -> Candidate | None:
        if queue:
            await self._pace()
        return queue.pop() if queue and outcome.halted is None else None

    async def _pace(self) -> None:
        """Wait for this create's turn: at most :data:`CREATES_A_MINUTE` start in a minute."""
        now_s = self._clock.monotonic_s()
        turn_s = max(now_s, self._next_create_s)
        self._next_create_s = turn_s + 60.0 / CREATES_A_MINUTE
        if turn_s > now_s:
            await self._clock.sleep(turn_s - now_s)

    async def _enrol(self, candidate: Candidate, lock: RunLock, outcome: Outcome, cost: int) -> bool:
        """Enrol one voice; True where it was not begun because the run halts."""
        try:
            reference = await self._reference(candidate)
        except NotFoundError as error:
            outcome.failed.append(Blocked(candidate.voice_id, candidate.user_id, error.message))
            return False
        await lock.confirm()
        async with self._database.service() as conn:
            intent = await rows.intend(
                conn,
                self._destination,
                candidate,
                run_id=outcome.run_id,
                label=label_of(candidate.voice_id, self._destination),
                cost=cost,
            )
        if isinstance(intent, Halt):
            outcome.halted = intent
            return True
        if intent is not None:
            await self._create(intent, reference, outcome)
        return False

    async def _create(self, intent: Intent, reference: Reference, outcome: Outcome) -> None:
        meter = self._meter(intent)
        try:
            enrolled = await self._provider.enroll(reference, label=intent.label)
        except ProviderError as error:
            if error.provider_code == CREATE_UNKNOWN:
                # It may be billed: reserved it stays, and it is looked up again.
                log.warning("carry_over_unknown", voice_id=str(intent.voice_id))
                return
            failure = failure_of(error)
            async with self._database.service() as conn:
                await rows.fail(conn, intent, failure.code, meter.ended(failure))
            outcome.failed.append(Blocked(intent.voice_id, intent.user_id, failure.sentence))
            return
        meter.cost_microusd = enrolled.cost_microusd
        outcome.carried += await self._bind(intent, enrolled, meter)

    async def _bind(self, intent: Intent, enrolled: EnrolledVoice, meter: CallMeter) -> bool:
        binding = enrolled.binding
        meter.request_id = binding.request_id
        bound = NewBinding(
            voice_id=binding.voice_id or "",
            target_model=binding.target_model or intent.target_model,
            region=binding.region,
            request_id=binding.request_id,
            metadata=dict(binding.metadata),
        )
        async with self._database.service() as conn:
            is_bound = await rows.finish(conn, intent, bound, meter.succeeded())
        if not is_bound:
            log.warning("carried_voice_was_deleted", voice_id=str(intent.voice_id))
        return is_bound

    async def _settle_open(self, outcome: Outcome) -> int:
        """Look up every intent without an end; return how many turned out never to have been made."""
        async with self._database.service() as conn:
            open_ones = await rows.unsettled(conn, self._provider.name)
        found = [(intent, await self._look_up(intent, outcome)) for intent in open_ones]
        outcome.unknown = [intent.voice_id for intent, known in found if known is None]
        return sum(known is False for _, known in found)

    async def _look_up(self, intent: Intent, outcome: Outcome) -> bool | None:
        """Whether the voice of an open intent was made, and settle it; ``None``: nobody knows yet."""
        try:
            made = await self._provider.find_enrolled(intent.label)
        except ProviderError as error:
            log.warning("carry_over_look_up_failed", voice_id=str(intent.voice_id), code=error.code)
            return None
        if made is not None:
            meter = self._meter(intent)
            # Billed by the create whose answer nobody kept.
            meter.cost_microusd = intent.cost_microusd
            outcome.found += await self._bind(intent, made, meter)
            return True
        if intent.age_s < self._settles_within_s:
            return None
        async with self._database.service() as conn:
            await rows.fail(conn, intent, "never_made", None)
        return False

    async def _await_settling(self, outcome: Outcome, progress: Callable[[Outcome], None]) -> int:
        """Look again for what may still be in the making; return how many never were, and can be begun."""
        give_up_at_s = self._clock.monotonic_s() + self._settles_within_s + LOOK_AGAIN_S
        never_made = await self._settle_open(outcome)
        while outcome.unknown and self._clock.monotonic_s() < give_up_at_s:
            progress(outcome)
            await self._clock.sleep(LOOK_AGAIN_S)
            never_made += await self._settle_open(outcome)
        return never_made

    async def _obstacle(self, candidate: Candidate) -> Problem | None:
        """What keeps a voice from being enrolled, as far as can be told without reading its recording."""
        if not candidate.reference_object_key:
            return Problem.NO_RECORDING
        if not candidate.reference_transcript:
            return Problem.NO_TRANSCRIPT
        stored = await self._objects.stat(REFERENCES, candidate.reference_object_key)
        return None if stored is not None else Problem.RECORDING_MISSING

    async def _reference(self, candidate: Candidate) -> Reference:
        stored = StoredReference(
            candidate.voice_id,
            candidate.user_id,
            candidate.reference_object_key,
            candidate.reference_sha256,
            has_transcript=bool(candidate.reference_transcript),
        )
        problem = await problem_of(self._objects, stored)
        if problem is not None or not candidate.reference_object_key:
            raise NotFoundError(f"The stored recording of this voice cannot be used ({problem}).")
        audio = await self._objects.get(REFERENCES, candidate.reference_object_key)
        return Reference(audio, candidate.reference_transcript or "", candidate.language)

    def _meter(self, intent: Intent) -> CallMeter:
        return CallMeter(
            operation=Operation.ENROLL,
            provider=self._provider.name,
            model=intent.target_model,
            user_id=intent.user_id,
            task_id=None,
            mode_epoch=self._epoch,
            started_at=self._clock.now(),
            clock=self._clock,
            # By an operator's order: the tenant does not pay.
            at_our_cost=True,
        )
