"""Carrying voices over: explicit, inside its budget, resumable, and no voice is paid for twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.scripted_provider import ENROLMENT_COST, Cue
from tests.integration.speech.conftest import TRANSCRIPT, MakeStudio, Studio
from tests.integration.speech.failures import refusal
from understudy.errors import (
    ConfigurationError,
    ConflictError,
    FailureClass,
    ProviderError,
    ProviderUnavailableError,
    StoreUnavailableError,
)
from understudy.providers.base import CREATE_UNKNOWN
from understudy.rollout.freeze import set_freeze
from understudy.speech import voices
from understudy.speech.carrying import Carrier, Outcome, destination_of, label_of
from understudy.speech.context import Caller
from understudy.speech.erasing import erase_account
from understudy.speech.portability import check_portability
from understudy.store import carry_over as rows
from understudy.store.buckets import REFERENCES
from understudy.store.carry_over import Halt, run_lock
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.integration


def carrier(studio: Studio, *, settles_within_s: float = 0.0) -> Carrier:
    ctx = studio.ctx
    return Carrier(
        ctx.database, ctx.objects, studio.qwen, ctx.settings, ctx.clock, settles_within_s=settles_within_s
    )


async def carry(
    studio: Studio, *, most: int = 10**6, settles_within_s: float = 0.0, **chosen: Any
) -> Outcome:
    async with run_lock(studio.ctx.settings.database_url) as lock:
        return await carrier(studio, settles_within_s=settles_within_s).run(
            lock, budget_microusd=most, actor="test", **chosen
        )


async def modal_voices(studio: Studio, count: int) -> list[tuple[Caller, VoiceRow]]:
    callers = [await studio.caller() for _ in range(count)]
    return [(caller, await studio.voice(caller)) for caller in callers]


async def now(studio: Studio, caller: Caller, voice: VoiceRow) -> VoiceRow:
    return await voices.find_voice(studio.ctx, caller, voice.id)


async def intents(studio: Studio) -> list[dict[str, Any]]:
    return await studio.sql("SELECT * FROM understudy.carry_overs ORDER BY intended_at")


def lost() -> ProviderError:
    """A create whose answer never came, and that no look-up found at once."""
    return ProviderUnavailableError(
        failure_class=FailureClass.TRANSPORT, provider="qwen", provider_code=CREATE_UNKNOWN
    )


async def test_a_carried_voice_speaks_on_both_and_its_tenant_pays_nothing_for_it(studio: Studio) -> None:
    ((caller, voice),) = await modal_voices(studio, 1)
    outcome = await carry(studio)
    assert (outcome.carried, outcome.spent_microusd, outcome.complete) == (1, ENROLMENT_COST, True)
    carried = await now(studio, caller, voice)
    assert (carried.tts_provider, carried.provider_voice_kind, carried.provider_region) == (
        "modal",
        "vc",
        "intl",
    )
    assert carried.provider_voice_id
    assert studio.qwen.enrolled[0].transcript == TRANSCRIPT
    async with studio.working():
        on_modal = await studio.ended((await studio.speak(caller, carried)).id)
        await studio.flip("qwen")
        on_qwen = await studio.ended((await studio.speak(caller, carried)).id)
    assert [(task.status, task.provider) for task in (on_modal, on_qwen)] == [
        ("completed", "modal"),
        ("completed", "qwen"),
    ]
    assert studio.qwen.spoken[-1].voice.voice_id == carried.provider_voice_id
    assert (await studio.generation(on_modal)).provider_model == "open-weights"
    (call,) = [row for row in await studio.calls() if row["operation"] == "enroll"]
    assert (call["provider"], call["outcome"], call["billable"]) == ("qwen", "ok", False)
    assert (call["cost_microusd"], call["user_id"]) == (ENROLMENT_COST, caller.user_id)
    again = await carry(studio)
    assert (again.carried, again.spent_microusd, len(studio.qwen.enrolled)) == (0, 0, 1)


async def test_a_plan_says_what_and_why_not_and_spends_nothing(studio: Studio) -> None:
    (_, ready), (_, mute), (gone, lost_one), (_, deleted) = await modal_voices(studio, 4)
    await studio.sql("UPDATE public.voices SET reference_transcript = '' WHERE id = %s", mute.id)
    await studio.ctx.objects.delete(REFERENCES, lost_one.reference_object_key or "")
    await studio.sql("UPDATE public.voices SET deleted_at = now() WHERE id = %s", deleted.id)
    plan = await carrier(studio).plan()
    assert [candidate.voice_id for candidate in plan.ready] == [ready.id]
    assert {(one.voice_id, one.reason) for one in plan.blocked} == {
        (mute.id, "no_transcript"),
        (lost_one.id, "recording_missing"),
    }
    assert (plan.cost_each, plan.cost_microusd) == (ENROLMENT_COST, ENROLMENT_COST)
    one = await carrier(studio).plan(user_id=gone.user_id)
    assert (one.ready, [blocked.voice_id for blocked in one.blocked]) == ([], [lost_one.id])
    assert (studio.qwen.enrolled, await intents(studio)) == ([], [])


async def test_the_budget_is_met_exactly_and_never_exceeded(studio: Studio) -> None:
    owned = await modal_voices(studio, 3)
    (first,) = [owned[1]]
    async with studio.working():
        await studio.ended((await studio.speak(*first)).id)
    outcome = await carry(studio, most=2 * ENROLMENT_COST)
    assert (outcome.carried, outcome.left, outcome.halted) == (2, 1, Halt.BUDGET)
    assert (outcome.spent_microusd, outcome.complete) == (2 * ENROLMENT_COST, False)
    # The one in use comes first.
    assert (await now(studio, *first)).provider_voice_id
    (run,) = await studio.sql("SELECT * FROM understudy.carry_over_runs")
    assert (run["reserved_microusd"], run["budget_microusd"]) == (2 * ENROLMENT_COST,) * 2
    assert len(studio.qwen.enrolled) == len(await intents(studio)) == 2
    nothing = await carry(studio, most=ENROLMENT_COST - 1)
    assert (nothing.carried, nothing.spent_microusd, nothing.halted) == (0, 0, Halt.BUDGET)
    rest = await carry(studio, most=ENROLMENT_COST)
    assert (rest.carried, rest.complete, len(studio.qwen.enrolled)) == (1, True, 3)


async def test_only_one_run_at_a_time(studio: Studio) -> None:
    await modal_voices(studio, 1)
    studio.qwen.gate.clear()
    running = asyncio.create_task(carry(studio))
    await studio.until(lambda: studio.qwen.enrolled, "the first run enrols")
    with pytest.raises(ConflictError, match="Another carry-over"):
        await carry(studio)
    studio.qwen.gate.set()
    assert (await running).carried == 1
    assert len(studio.qwen.enrolled) == 1


async def test_a_run_that_died_after_a_create_is_resumed_without_a_second_bill(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((caller, voice),) = await modal_voices(studio, 1)

    async def die(*_: Any, **__: Any) -> bool:
        raise StoreUnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(rows, "finish", die)
        with pytest.raises(StoreUnavailableError):
            await carry(studio)
    assert [row["state"] for row in await intents(studio)] == ["intended"]
    assert (await now(studio, caller, voice)).provider_voice_id is None
    resumed = await carry(studio, most=0)
    assert (resumed.found, resumed.carried, resumed.spent_microusd, resumed.complete) == (1, 0, 0, True)
    assert (await now(studio, caller, voice)).provider_voice_id
    assert len(studio.qwen.enrolled) == 1
    (call,) = [row for row in await studio.calls() if row["operation"] == "enroll"]
    assert call["cost_microusd"] == ENROLMENT_COST


async def intended(studio: Studio, caller: Caller, voice: VoiceRow) -> None:
    """Leave what a run leaves that dies between its intent and the create."""
    destination = destination_of(studio.qwen, studio.ctx.settings)
    async with studio.ctx.database.service() as conn:
        (candidate,) = await rows.candidates(conn, destination, user_id=caller.user_id)
        run_id = voice.id
        await rows.begin_run(conn, run_id=run_id, provider="qwen", actor="dead", budget=ENROLMENT_COST)
        label = label_of(voice.id, destination)
        await rows.intend(conn, destination, candidate, run_id=run_id, label=label, cost=ENROLMENT_COST)


async def test_an_intent_that_never_left_is_made_once_when_that_is_certain(studio: Studio) -> None:
    ((caller, voice),) = await modal_voices(studio, 1)
    await intended(studio, caller, voice)
    plan = await carrier(studio).plan()
    assert (plan.ready, plan.unsettled) == ([], 1)
    # Younger than a create may take: it might be in the making, so it is looked up and waited for.
    outcome = await carry(studio, settles_within_s=0.5)
    assert (outcome.carried, outcome.spent_microusd, outcome.complete) == (1, ENROLMENT_COST, True)
    assert len(studio.qwen.looked_up) >= 2
    assert len(studio.qwen.enrolled) == 1
    (row,) = await intents(studio)
    assert (row["state"], row["attempts"]) == ("done", 2)
    dead = await studio.sql("SELECT reserved_microusd FROM understudy.carry_over_runs WHERE actor = 'dead'")
    assert dead == [{"reserved_microusd": 0}]


async def test_a_create_whose_answer_was_lost_is_found_and_not_repeated(studio: Studio) -> None:
    ((caller, voice),) = await modal_voices(studio, 1)
    studio.qwen.cues.append(Cue(error=lost, made=True))
    outcome = await carry(studio)
    assert (outcome.found, outcome.carried, outcome.complete) == (1, 0, True)
    assert (outcome.spent_microusd, len(studio.qwen.enrolled)) == (ENROLMENT_COST, 1)
    assert (await now(studio, caller, voice)).provider_voice_id


async def test_a_refused_voice_costs_nothing_and_stops_nobody_else(studio: Studio) -> None:
    await modal_voices(studio, 2)
    studio.qwen.cues.append(Cue(error=refusal))
    outcome = await carry(studio, most=2 * ENROLMENT_COST)
    assert (outcome.carried, len(outcome.failed), outcome.spent_microusd) == (1, 1, ENROLMENT_COST)
    assert not outcome.complete
    again = await carry(studio, most=ENROLMENT_COST)
    assert (again.carried, again.complete, len(studio.qwen.enrolled)) == (1, True, 3)


async def test_a_damaged_recording_is_not_sent(studio: Studio) -> None:
    (_, (_, damaged)) = await modal_voices(studio, 2)
    await studio.sql("UPDATE public.voices SET reference_sha256 = 'other' WHERE id = %s", damaged.id)
    outcome = await carry(studio)
    assert (outcome.carried, [one.voice_id for one in outcome.failed]) == (1, [damaged.id])
    assert "recording_differs" in outcome.failed[0].reason
    assert len(studio.qwen.enrolled) == 1


@pytest.mark.parametrize("held", [Halt.FROZEN, Halt.VALVE])
async def test_a_freeze_and_a_closed_valve_stop_it_before_anything_is_sent(
    studio: Studio, held: Halt
) -> None:
    await modal_voices(studio, 1)
    if held is Halt.FROZEN:
        await set_freeze(studio.ctx.database, frozen=True, actor="ada", reason="restore")
    else:
        await studio.sql(
            "INSERT INTO understudy.valves (name, closed, epoch, actor, reason)"
            " VALUES ('carry-over', true, 1, 'ada', 'costs')"
        )
    outcome = await carry(studio)
    assert (outcome.halted, outcome.left, outcome.spent_microusd) == (held, 1, 0)
    assert (studio.qwen.enrolled, await intents(studio)) == ([], [])


async def test_a_voice_deleted_while_it_is_enrolled_stays_deleted_and_is_told_at_erasure(
    studio: Studio,
) -> None:
    ((caller, voice),) = await modal_voices(studio, 1)
    studio.qwen.gate.clear()
    running = asyncio.create_task(carry(studio))
    await studio.until(lambda: studio.qwen.enrolled, "Qwen enrols")
    await voices.delete_voice(studio.ctx, caller, voice.id)
    studio.qwen.gate.set()
    assert (await running).carried == 0
    (row,) = await intents(studio)
    assert row["state"] == "deleted"
    bound = await studio.sql("SELECT provider_voice_id FROM public.voices WHERE id = %s", voice.id)
    assert bound == [{"provider_voice_id": None}]
    ctx = studio.ctx
    erased = await erase_account(ctx.database, ctx.objects, ctx.clock, caller.user_id, actor="tenant")
    told = [(one["provider"], one["voice_id"]) for one in erased.provider_voices]
    assert told == [("qwen", row["provider_voice_id"])]
    assert await intents(studio) == []


async def test_a_qwen_voice_of_a_model_no_longer_configured_is_enrolled_anew(studio: Studio) -> None:
    await studio.flip("qwen")
    ((caller, voice),) = await modal_voices(studio, 1)
    await studio.sql("UPDATE public.voices SET provider_target_model = 'qwen3-tts-vc-realtime-2025-11-27'")
    with pytest.raises(ConflictError):
        await studio.speak(caller, voice)
    assert (await carry(studio)).carried == 1
    carried = await now(studio, caller, voice)
    assert carried.tts_provider == "qwen"
    assert carried.provider_voice_id != voice.provider_voice_id
    (previous,) = (carried.provider_metadata or {})["previous_bindings"]
    assert (previous["voice_id"], previous["target_model"]) == (
        voice.provider_voice_id,
        "qwen3-tts-vc-realtime-2025-11-27",
    )
    await studio.speak(caller, carried)


async def test_coverage_counts_what_is_used_and_whole_tenants(studio: Studio) -> None:
    (ann, used), (bob, other), (_, unused) = await modal_voices(studio, 3)
    assert unused.id
    async with studio.working():
        for caller, voice in ((ann, used), (bob, other)):
            await studio.ended((await studio.speak(caller, voice)).id)
    await carry(studio, user_id=ann.user_id)
    destination = destination_of(studio.qwen, studio.ctx.settings)
    async with studio.ctx.database.service() as conn:
        found = await rows.coverage(conn, destination, days=30)
        on_modal = await rows.coverage(conn, destination_of(studio.modal, studio.ctx.settings), days=30)
    assert (found.live, found.live_covered, found.used, found.used_covered) == (3, 1, 2, 1)
    assert (found.tenants, found.tenants_covered, found.share) == (2, 1, 0.5)
    assert (on_modal.live_covered, on_modal.share) == (3, 1.0)
    await studio.sql("UPDATE public.generations SET created_at = created_at - interval '31 days'")
    async with studio.ctx.database.service() as conn:
        later = await rows.coverage(conn, destination, days=30)
    assert (later.used, later.share) == (0, 1.0)


async def test_what_a_switch_back_rests_on_is_checked(studio: Studio) -> None:
    owned = await modal_voices(studio, 6)
    (_, whole), (_, keyless), (_, mute), (_, gone), (_, changed), (_, old) = owned
    assert whole.id
    await studio.sql("UPDATE public.voices SET reference_object_key = NULL WHERE id = %s", keyless.id)
    await studio.sql("UPDATE public.voices SET reference_transcript = NULL WHERE id = %s", mute.id)
    await studio.ctx.objects.delete(REFERENCES, gone.reference_object_key or "")
    await studio.sql("UPDATE public.voices SET reference_sha256 = 'other' WHERE id = %s", changed.id)
    await studio.sql("UPDATE public.voices SET reference_sha256 = NULL WHERE id = %s", old.id)
    found = await check_portability(studio.ctx.database, studio.ctx.objects)
    assert {(one.voice_id, str(one.problem)) for one in found.violations} == {
        (keyless.id, "no_recording"),
        (mute.id, "no_transcript"),
        (gone.id, "recording_missing"),
        (changed.id, "recording_differs"),
    }
    assert (found.checked, found.undigested, found.holds) == (6, 1, False)
    # A deleted voice is nobody's loss.
    await studio.sql(
        "UPDATE public.voices SET deleted_at = now() WHERE id = ANY(%s)", [v.id for _, v in owned[1:]]
    )
    after = await check_portability(studio.ctx.database, studio.ctx.objects)
    assert (after.checked, after.holds) == (1, True)


async def test_there_is_nothing_to_carry_to_modal_or_without_carry_over(make_studio: MakeStudio) -> None:
    async with make_studio(voice_carry_over="off") as studio:
        ctx = studio.ctx
        for provider in (studio.modal, studio.qwen):
            with pytest.raises(ConfigurationError):
                Carrier(ctx.database, ctx.objects, provider, ctx.settings, ctx.clock)
