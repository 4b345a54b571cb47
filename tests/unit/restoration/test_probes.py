"""Probes' budget, and the standby probe at a provider that does what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from random import Random

import numpy as np
import pytest

from tests.clocks import HandClock
from understudy.audio.wav import Clip, to_pcm
from understudy.errors import (
    ConfigurationError,
    FailureClass,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
    StoreUnavailableError,
    TargetError,
)
from understudy.providers.base import (
    CREATE_UNKNOWN,
    AudioChunk,
    AudioFormat,
    Capabilities,
    EnrolledVoice,
    Operation,
    Reference,
    SpeakRequest,
    SpeechEvent,
    SpeechFinished,
    VoiceBinding,
)
from understudy.restoration.probes.budget import BudgetSpentError, DailyBudget
from understudy.restoration.probes.lanes import Lane, standby_of
from understudy.restoration.probes.plan import ProbePlan
from understudy.restoration.probes.runner import ProbeRunner, Role
from understudy.restoration.probes.standby import StandbyProbe, enrolment_key, enrolments
from understudy.restoration.signals.readings import ProbeResult
from understudy.restoration.verification.canaries import CanaryIdentities
from understudy.store.calls import CallRecord
from understudy.store.database import Database

pytestmark = pytest.mark.unit

TEXT = ProbePlan().text
LANE = "qwen/intl/vc-model"


class Notebook:
    """A memory; ``on_write`` sees each key before it is kept."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.order: list[str] = []

    def meta(self, key: str) -> str | None:
        return self.kept.get(key)

    def remember(self, key: str, value: str) -> None:
        self.kept[key] = value
        self.order.append(key)


# --- the budget ---------------------------------------------------------------------------------------------


def test_a_budget_holds_what_fits_exactly_and_nothing_more() -> None:
    budget = DailyBudget(Notebook(), HandClock(), limit=100)
    first = budget.reserve(60)
    budget.reserve(40)
    with pytest.raises(BudgetSpentError):
        budget.reserve(1)
    assert budget.spent() == 100
    budget.settle(first, 10)
    assert budget.spent() == 50


def test_a_budget_outlives_the_process_and_begins_anew_at_midnight() -> None:
    memory, clock = Notebook(), HandClock(datetime(2026, 11, 24, 23, 59, 50, tzinfo=UTC))
    yesterday = DailyBudget(memory, clock, limit=100).reserve(90)
    again = DailyBudget(memory, clock, limit=100)
    assert again.spent() == 90
    with pytest.raises(BudgetSpentError):
        again.reserve(20)
    clock.advance(10)
    assert again.spent() == 0
    again.reserve(100)
    again.settle(yesterday, 0)
    assert again.spent() == 100


def test_a_clock_that_goes_back_a_day_does_not_open_the_budget_again() -> None:
    memory, clock = Notebook(), HandClock()
    budget = DailyBudget(memory, clock, limit=100)
    budget.reserve(100)
    clock.advance(-86_400)
    with pytest.raises(BudgetSpentError):
        budget.reserve(1)


@pytest.mark.parametrize("scribble", ["", "no json", "[]", '{"day": "x", "microusd": 1}', '{"day": 3}'])
def test_an_unreadable_note_counts_as_nothing_spent(scribble: str) -> None:
    memory = Notebook()
    memory.kept["probes_spent"] = scribble
    assert DailyBudget(memory, HandClock(), limit=1).spent() == 0


# --- the standby probe --------------------------------------------------------------------------------------


class ToldProvider:
    """Enrols and speaks as told; counts creates."""

    name = "qwen"
    capabilities = Capabilities(
        streaming=True,
        clone=True,
        design=True,
        needs_enrolment=True,
        languages=("English",),
        max_text_chars=2000,
        formats=(AudioFormat.PCM,),
        bills_creates=True,
    )

    def __init__(self, memory: Notebook) -> None:
        self.memory = memory
        self.creates: list[str] = []
        self.made: dict[str, VoiceBinding] = {}
        self.enrol_error: ProviderError | None = None
        self.makes_all_the_same = True
        self.speak_error: ProviderError | None = None
        self.level = 0.2
        self.hang = False

    def estimate(self, operation: Operation, *, text: str = "", kind: str | None = None) -> int:
        return 10_000 if operation is Operation.ENROLL else len(text) * 13

    async def enroll(self, reference: Reference, *, label: str) -> EnrolledVoice:
        known = json.loads(self.memory.kept[enrolment_key(LANE)])
        assert (known["state"], known["label"]) == ("intended", label)  # the intent is written first
        self.creates.append(label)
        binding = VoiceBinding("qwen", f"voice-{label}", "vc-model", "vc", "intl")
        if self.enrol_error is None or self.makes_all_the_same:
            self.made[label] = binding
        if self.enrol_error is not None:
            raise self.enrol_error
        return EnrolledVoice(binding, 10_000)

    async def find_enrolled(self, label: str) -> EnrolledVoice | None:
        return EnrolledVoice(self.made[label], 10_000) if label in self.made else None

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        if self.hang:
            await asyncio.Event().wait()
        if self.speak_error is not None:
            raise self.speak_error
        wave = np.sin(np.arange(48_000) * 0.05) * self.level * 32767
        yield AudioChunk(to_pcm(Clip(wave.astype(np.int16), 24_000)), AudioFormat.PCM, 24_000)
        yield SpeechFinished(len(request.text), 400, "request-1", "vc-model")


class Scene:
    """One standby probe with everything around it at hand."""

    def __init__(self, *, limit: int = 1_000_000) -> None:
        self.memory, self.clock = Notebook(), HandClock()
        self.provider = ToldProvider(self.memory)
        self.records: list[CallRecord] = []
        self.budget = DailyBudget(self.memory, self.clock, limit=limit)
        self.deadline_s = 5.0
        self.probe = self.restarted()

    def restarted(self) -> StandbyProbe:
        """The probe of a guard that has just started."""
        self.probe = StandbyProbe(
            self,  # type: ignore[arg-type]  # keeps records as the database would
            self.memory,
            self.budget,
            self.clock,
            Random(7),
            text=TEXT,
            deadline_s=self.deadline_s,
        )
        return self.probe

    async def keep(self, record: CallRecord) -> None:
        self.records.append(record)

    async def speak(self) -> ProbeResult:
        lane = Lane(self.provider, LANE)  # type: ignore[arg-type]
        return await self.probe.speak(lane, mode_epoch=3, user_id=None)


def unavailable(
    code: str | None = None, failure_class: FailureClass = FailureClass.PROVIDER
) -> ProviderError:
    return ProviderUnavailableError(failure_class=failure_class, provider="qwen", provider_code=code)


async def test_a_voice_is_enrolled_once_and_spoken_ever_after() -> None:
    scene = Scene()
    results = [await scene.speak()]
    scene.restarted()
    results += [await scene.speak() for _ in range(3)]
    assert all(result.ok for result in results), results
    assert len(scene.provider.creates) == 1
    assert [record.operation for record in scene.records] == ["enroll", *["speak"] * 4]
    assert all(record.synthetic and not record.billable for record in scene.records)
    assert {record.mode_epoch for record in scene.records} == {3}
    assert scene.budget.spent() == 10_000 + 4 * 400
    assert list(enrolments(scene.memory)) == [LANE]


async def test_a_lost_answer_is_looked_up_and_never_asked_for_again() -> None:
    scene = Scene()
    scene.provider.enrol_error = unavailable(CREATE_UNKNOWN, FailureClass.TRANSPORT)
    lost = await scene.speak()
    assert (lost.ok, lost.code, lost.outcome) == (False, CREATE_UNKNOWN, "provider_failed")
    scene.restarted()
    assert (await scene.speak()).ok
    assert len(scene.provider.creates) == 1


async def test_a_lost_answer_that_made_nothing_is_asked_again_only_when_that_is_sure() -> None:
    scene = Scene()
    scene.provider.enrol_error = unavailable(CREATE_UNKNOWN, FailureClass.TRANSPORT)
    scene.provider.makes_all_the_same = False
    await scene.speak()
    scene.clock.advance(59.9)
    assert (await scene.speak()).code == CREATE_UNKNOWN
    assert len(scene.provider.creates) == 1
    scene.provider.enrol_error = None
    scene.clock.advance(0.2)
    assert (await scene.speak()).ok
    assert len(scene.provider.creates) == 2
    assert len(set(scene.provider.creates)) == 2


async def test_a_probe_killed_while_it_enrols_finds_its_voice_afterwards() -> None:
    scene = Scene()
    scene.provider.enrol_error = asyncio.CancelledError()  # type: ignore[assignment]  # the process ends here
    with pytest.raises(asyncio.CancelledError):
        await scene.speak()
    scene.provider.enrol_error = None
    scene.restarted()
    assert (await scene.speak()).ok
    assert len(scene.provider.creates) == 1


async def test_a_refused_enrolment_leaves_no_intent_and_frees_its_money() -> None:
    scene = Scene()
    scene.provider.enrol_error = ProviderRejectedError(
        failure_class=FailureClass.PROVIDER, provider="qwen", provider_code="InvalidApiKey"
    )
    scene.provider.makes_all_the_same = False
    refused = await scene.speak()
    assert (refused.code, refused.failure_class) == ("InvalidApiKey", "provider")
    assert scene.budget.spent() == 0
    assert enrolments(scene.memory) == {}
    assert [(record.operation, record.outcome) for record in scene.records] == [("enroll", "failed")]


async def test_each_way_to_fail_has_its_outcome() -> None:
    scene = Scene()
    assert (await scene.speak()).ok
    scene.provider.speak_error = unavailable("connection_reset", FailureClass.TRANSPORT)
    broken = await scene.speak()
    assert (broken.outcome, broken.code, broken.failure_class) == (
        "provider_failed", "connection_reset", "transport",
    )  # fmt: skip
    scene.provider.speak_error, scene.provider.level = None, 0.0
    silent = await scene.speak()
    assert (silent.outcome, silent.failure_class) == ("bad_audio", "protocol")
    assert "silence" in silent.detail
    assert [record.outcome for record in scene.records[-2:]] == ["failed", "failed"]
    assert len(scene.provider.creates) == 1


async def test_a_provider_that_hangs_is_given_up_and_its_money_stays_reserved() -> None:
    scene = Scene()
    scene.deadline_s = 0.01
    scene.restarted()
    scene.provider.hang = True
    late = await scene.speak()
    assert (late.outcome, late.code, late.failure_class) == ("provider_failed", "probe_deadline", "transport")
    assert scene.budget.spent() == 10_000 + len(TEXT) * 13


async def test_a_spent_budget_asks_nobody() -> None:
    scene = Scene(limit=9_999)
    with pytest.raises(BudgetSpentError):
        await scene.speak()
    assert (scene.provider.creates, scene.records) == ([], [])


async def test_a_voice_that_the_provider_dropped_is_made_again_not_more_than_once_a_day() -> None:
    scene = Scene()
    assert (await scene.speak()).ok
    scene.provider.made.clear()
    scene.provider.speak_error = ProviderRejectedError(failure_class=FailureClass.PROVIDER, provider="qwen")
    await scene.speak()
    assert list(enrolments(scene.memory)) == [LANE]  # it was made today
    scene.clock.advance(86_400)
    await scene.speak()
    assert enrolments(scene.memory) == {}
    scene.provider.speak_error = None
    assert (await scene.speak()).ok
    assert len(scene.provider.creates) == 2


def test_who_does_not_serve_stands_by() -> None:
    assert (standby_of("qwen"), standby_of("modal")) == ("modal", "qwen")


# --- the runner ---------------------------------------------------------------------------------------------


class YieldingClock(HandClock):
    """Lets the others run whenever someone sleeps."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


class CountedRunner(ProbeRunner):
    """Counts turns instead of taking them, and ends after twenty."""

    turns: list[Role]
    stop: asyncio.Event

    async def once(self, role: Role) -> None:
        self.turns.append(role)
        if len(self.turns) >= 20:
            self.stop.set()


def counted(*, leads: bool = True, switched_on: bool = True, **plan: float) -> CountedRunner:
    async def nowhere() -> str:
        raise TargetError("nowhere")

    async def no_database() -> Database:
        raise StoreUnavailableError

    def no_lane(name: str) -> Lane:
        raise ConfigurationError(name)

    runner = CountedRunner(
        plan=ProbePlan(**plan),  # type: ignore[arg-type]  # intervals and a switch
        switched_on=switched_on,
        base_url=nowhere,
        identities=lambda _: CanaryIdentities.fresh(),
        connect=no_database,
        mode=lambda: None,
        lane=no_lane,
        memory=Notebook(),
        clock=YieldingClock(),
        random=Random(1),
        leads=lambda: leads,
    )
    runner.turns, runner.stop = [], asyncio.Event()
    return runner


async def test_every_role_takes_its_turns_until_it_is_stopped() -> None:
    runner = counted()
    await asyncio.wait_for(runner.run(runner.stop), 5)
    assert set(runner.turns) == set(Role)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("probe-")] == []


async def test_who_does_not_lead_or_is_switched_off_does_not_probe_and_says_so() -> None:
    for runner, reason in (
        (counted(leads=False), "another guard probes"),
        (counted(switched_on=False), "PROBES is off"),
        (counted(enabled=False), "the policy switches probes off"),
    ):
        running = asyncio.create_task(runner.run(runner.stop))
        for _ in range(50):
            await asyncio.sleep(0)
        assert runner.turns == []
        assert runner.reading(HandClock().now()).paused == reason
        runner.stop.set()
        await asyncio.wait_for(running, 5)


async def test_a_deployment_that_cannot_be_found_is_not_judged() -> None:
    runner = counted()
    await ProbeRunner.once(runner, Role.ACTIVE)
    reading = runner.reading(HandClock().now())
    assert (reading.active, reading.spent_microusd, reading.paused) == ((), 0, "active: nowhere")
