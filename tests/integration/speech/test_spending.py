"""What may be spent, over the whole room: races on a budget, closed valves, and every way a task ends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clocks import HandClock
from tests.integration.scripted_provider import DESIGN_COST, Cue
from tests.integration.speech.conftest import TEXT, MakeStudio, Studio
from tests.integration.speech.failures import refusal, wire_cut
from understudy.errors import BudgetExceededError, UnderstudyError, ValveClosedError
from understudy.speech import designs, generations, settling, spending, tasks
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.erasing import erase_account
from understudy.store import budgets, usage, valves
from understudy.store.ledger import EVERYBODY
from understudy.store.synthetic import mark_synthetic
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.integration

#: In the middle of an hour to come: no window ends during a test, and no task is overdue.
HALF_PAST = (datetime.now(UTC) + timedelta(hours=1)).replace(minute=30, second=0, microsecond=0)
COST = 13 * len(TEXT)


def at_half_past(studio: Studio) -> SpeechContext:
    """The studio's context, where it is always half past."""
    return dataclasses.replace(studio.ctx, clock=HandClock(HALF_PAST))


async def design(ctx: SpeechContext, caller: Caller) -> TaskRow:
    return await designs.start_preview(ctx, caller, text="Four.", language="English", instruct="calm")


async def at_once(
    number: int, do: Callable[[int], Awaitable[TaskRow]]
) -> tuple[list[TaskRow], list[UnderstudyError]]:
    """Do it ``number`` times at once; what was admitted, and what was refused."""
    done = await asyncio.gather(*(do(index) for index in range(number)), return_exceptions=True)
    admitted = [one for one in done if isinstance(one, TaskRow)]
    refused = [one for one in done if isinstance(one, UnderstudyError)]
    assert len(admitted) + len(refused) == number, [one for one in done if isinstance(one, Exception)]
    return admitted, refused


async def entries(studio: Studio) -> dict[Any, dict[str, Any]]:
    return {row["task_id"]: row for row in await studio.sql("SELECT * FROM understudy.ledger")}


async def is_balanced(studio: Studio) -> None:
    """No entry is open without its task, and each is settled at the sum of its calls."""
    async with studio.ctx.database.service() as conn:
        assert await usage.unbalanced(conn) == []


# --- races -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["one tenant", "everybody"])
async def test_of_64_designs_at_once_on_a_budget_of_one_exactly_one_is_made(
    make_studio: MakeStudio, whose: str
) -> None:
    limit = {"budget_creates_tenant_hour": 1} if whose == "one tenant" else {"budget_creates_hour": 1}
    async with make_studio(**limit) as studio:
        await studio.flip("qwen")
        ctx = at_half_past(studio)
        callers = [await studio.caller() for _ in range(1 if whose == "one tenant" else 8)]
        admitted, refused = await at_once(64, lambda index: design(ctx, callers[index % len(callers)]))
        assert len(admitted) == 1
        assert len(refused) == 63
        for error in refused:
            assert isinstance(error, BudgetExceededError)
            assert (error.status, error.code, error.retry_after_s) == (429, "budget_exceeded", 1800)
            assert "creates-hour" in error.message
        assert len(await studio.sql("SELECT id FROM public.tasks")) == 1
        async with studio.working():
            await studio.ended(admitted[0].id)
        assert len(studio.qwen.designed) == 1
        assert list(await entries(studio)) == [admitted[0].id]
        await is_balanced(studio)


async def test_a_money_budget_of_three_admits_three_of_64_and_what_is_given_back_admits_more(
    make_studio: MakeStudio,
) -> None:
    limit = {"budget_generation_tenant_day_microusd": 3 * COST, "max_active_generations": 1000}
    async with make_studio(**limit) as studio:
        ctx, caller = at_half_past(studio), await studio.caller()
        voice = await studio.voice(caller)

        async def speak(_: int) -> TaskRow:
            return await generations.start_generation(
                ctx, caller, voice_id=voice.id, text=TEXT, language="English"
            )

        admitted, refused = await at_once(64, speak)
        assert len(admitted) == 3
        assert {type(error) for error in refused} == {BudgetExceededError}
        assert "generation-day" in refused[0].message
        await tasks.cancel_task(ctx, caller, admitted[0].id)
        admitted_again, _ = await at_once(8, speak)
        assert len(admitted_again) == 1
        await is_balanced(studio)


async def test_by_default_a_tenant_may_make_20_creates_an_hour_and_speak_without_limit(
    make_studio: MakeStudio,
) -> None:
    async with make_studio(max_active_generations=1000) as studio:
        await studio.flip("qwen")
        ctx, caller, other = at_half_past(studio), await studio.caller(), await studio.caller()
        admitted, refused = await at_once(24, lambda _: design(ctx, caller))
        assert (len(admitted), len(refused)) == (20, 4)
        assert await design(ctx, other)
        voice = await studio.voice(other)
        for _ in range(25):
            await studio.speak(other, voice)


async def test_creates_that_are_not_billed_are_not_counted(make_studio: MakeStudio) -> None:
    async with make_studio(budget_creates_tenant_hour=1) as studio:
        ctx, caller = at_half_past(studio), await studio.caller()
        admitted, refused = await at_once(4, lambda _: design(ctx, caller))
        assert (len(admitted), len(refused)) == (4, 0)


async def test_a_canary_is_reserved_never_refused_and_counts_in_no_budget(make_studio: MakeStudio) -> None:
    async with make_studio(budget_creates_tenant_hour=1, budget_creates_hour=1) as studio:
        await studio.flip("qwen")
        ctx, caller = at_half_past(studio), await studio.caller()
        canary = Caller((await studio.caller()).user_id)
        async with studio.ctx.database.service() as conn:
            await mark_synthetic(conn, canary.user_id, "guard")
            await valves.set_valve(conn, valves.DESIGN_CREATES, closed=True, actor="ada", reason="x")
        probes, _ = await at_once(3, lambda _: design(ctx, canary))
        assert len(probes) == 3
        async with studio.ctx.database.service() as conn:
            await valves.set_valve(conn, valves.DESIGN_CREATES, closed=False, actor="ada", reason="x")
        assert await design(ctx, caller)
        async with studio.working():
            for probe in probes:
                await studio.ended(probe.id)
        found = await entries(studio)
        assert all(found[probe.id]["settled_microusd"] == DESIGN_COST for probe in probes)
        await is_balanced(studio)


# --- valves and limits that an operator sets ----------------------------------------------------------------


async def test_a_closed_valve_pauses_billed_designs_and_nothing_else(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.ctx.database.service() as conn:
        row, changed = await valves.set_valve(
            conn, valves.DESIGN_CREATES, closed=True, actor="ada", reason="dear"
        )
        assert changed
        assert row is not None
        again, changed = await valves.set_valve(
            conn, valves.DESIGN_CREATES, closed=True, actor="bob", reason="too"
        )
        assert (again, changed) == (row, False)
    assert await design(studio.ctx, caller)
    await studio.speak(caller, voice)
    await studio.flip("qwen")
    with pytest.raises(ValveClosedError) as refused:
        await design(studio.ctx, caller)
    assert (refused.value.status, refused.value.retry_after_s) == (429, spending.VALVE_RETRY_AFTER_S)
    assert await studio.voice(caller)
    async with studio.ctx.database.service() as conn:
        opened, _ = await valves.set_valve(
            conn, valves.DESIGN_CREATES, closed=False, actor="ada", reason="over"
        )
        assert opened is not None
        assert opened.epoch == row.epoch + 1
        assert [change.closed for change in await valves.valve_history(conn)] == [False, True]
    assert await design(studio.ctx, caller)


async def test_an_operators_limit_throttles_one_tenant_at_once(studio: Studio) -> None:
    ctx, caller, other = at_half_past(studio), await studio.caller(), await studio.caller()
    async with ctx.database.service() as conn:
        await budgets.set_budget(conn, caller.user_id, "generation-day", 1, actor="ada", reason="runaway")
        standing = await budgets.standing(
            conn, caller.user_id, spending.all_caps(ctx.settings), ctx.clock.now()
        )
        everybody = await budgets.standing(conn, EVERYBODY, spending.all_caps(ctx.settings), ctx.clock.now())
    assert [one.budget for one in standing] == ["creates-day", "creates-hour", "generation-day"]
    assert [one.set_by_operator for one in standing] == [False, False, True]
    assert [one.budget for one in everybody] == ["creates-day", "creates-hour"]
    voice, fine = await studio.voice(caller), await studio.voice(other)
    with pytest.raises(BudgetExceededError, match="Your budget for speech this day"):
        await generations.start_generation(ctx, caller, voice_id=voice.id, text=TEXT, language=None)
    assert await studio.speak(other, fine)
    async with ctx.database.service() as conn:
        assert await budgets.clear_budget(conn, caller.user_id, "generation-day")
        assert not await budgets.clear_budget(conn, caller.user_id, "generation-day")
    assert await studio.speak(caller, voice)


# --- every ending -------------------------------------------------------------------------------------------


async def completed(studio: Studio, _: Caller, task: TaskRow) -> None:
    async with studio.working():
        await studio.ended(task.id)


async def refused(studio: Studio, _: Caller, task: TaskRow) -> None:
    for provider in (studio.modal, studio.qwen):
        provider.cues.append(Cue(error=refusal))
    await completed(studio, _, task)


async def truncated(studio: Studio, _: Caller, task: TaskRow) -> None:
    for provider in (studio.modal, studio.qwen):
        provider.cues.append(Cue(error=wire_cut, chunks=1))
    await completed(studio, _, task)


async def cancelled_before_it_was_sent(studio: Studio, caller: Caller, task: TaskRow) -> None:
    await tasks.cancel_task(studio.ctx, caller, task.id)


async def deleted_before_it_was_sent(studio: Studio, caller: Caller, task: TaskRow) -> None:
    await tasks.delete_task(studio.ctx, caller, task.id)


async def sent(studio: Studio, task: TaskRow) -> None:
    async def is_sent() -> bool:
        return (await studio.task(task.id)).dispatched_at is not None

    await studio.until(is_sent, "the task sent")


async def cancelled_while_spoken(studio: Studio, caller: Caller, task: TaskRow) -> None:
    studio.modal.gate.clear()
    studio.qwen.gate.clear()
    async with studio.working():
        await sent(studio, task)
        await tasks.cancel_task(studio.ctx, caller, task.id)
        await studio.ended(task.id)


async def deleted_while_spoken(studio: Studio, caller: Caller, task: TaskRow) -> None:
    studio.modal.gate.clear()
    studio.qwen.gate.clear()
    async with studio.working():
        await sent(studio, task)
        await tasks.delete_task(studio.ctx, caller, task.id)

        async def gone() -> bool:
            return await studio.sql("SELECT id FROM public.tasks WHERE id = %s", task.id) == []

        await studio.until(gone, "the task gone")


async def erased_while_spoken(studio: Studio, caller: Caller, task: TaskRow) -> None:
    studio.modal.gate.clear()
    studio.qwen.gate.clear()
    async with studio.working():
        await sent(studio, task)
        await erase_account(
            studio.ctx.database, studio.ctx.objects, studio.ctx.clock, caller.user_id, actor="tenant"
        )


async def its_row_deleted_by_hand(studio: Studio, _: Caller, task: TaskRow) -> None:
    await studio.sql("UPDATE public.tasks SET dispatched_at = now() WHERE id = %s", task.id)
    await studio.sql("DELETE FROM public.tasks WHERE id = %s", task.id)


async def never_started(studio: Studio, _: Caller, task: TaskRow) -> None:
    await studio.sql("UPDATE public.tasks SET deadline_at = now() WHERE id = %s", task.id)
    assert await settling.reap_overdue(studio.ctx) is not None


async def overdue_in_a_dead_workers_hand(studio: Studio, _: Caller, task: TaskRow) -> None:
    await studio.sql(
        "UPDATE public.tasks SET deadline_at = now(), dispatched_at = now(), status = 'processing',"
        " claimed_by = 'dead', attempts = 1 WHERE id = %s",
        task.id,
    )
    assert await settling.reap_overdue(studio.ctx) is not None


async def interrupted(studio: Studio, _: Caller, task: TaskRow) -> None:
    """A worker died after it had sent it; the next one must not send it twice, where that is billed."""
    await studio.sql(
        "UPDATE public.tasks SET dispatched_at = now(), status = 'processing', claimed_by = 'dead',"
        " attempts = 1, lease_expires_at = now() WHERE id = %s",
        task.id,
    )
    await completed(studio, _, task)


ENDINGS = [
    completed,
    refused,
    truncated,
    cancelled_before_it_was_sent,
    deleted_before_it_was_sent,
    cancelled_while_spoken,
    deleted_while_spoken,
    erased_while_spoken,
    its_row_deleted_by_hand,
    never_started,
    overdue_in_a_dead_workers_hand,
    interrupted,
]
FREE = {
    cancelled_before_it_was_sent,
    deleted_before_it_was_sent,
    never_started,
}
#: Ends of which nobody knows what they cost.
DOUBTFUL = {its_row_deleted_by_hand, overdue_in_a_dead_workers_hand}


@pytest.mark.parametrize("mode", ["modal", "qwen"])
@pytest.mark.parametrize("kind", ["speech", "design"])
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: str(end.__name__))
async def test_no_ending_leaves_a_reservation_open(
    make_studio: MakeStudio, mode: str, kind: str, end: Callable[[Studio, Caller, TaskRow], Awaitable[None]]
) -> None:
    limits = {"budget_generation_tenant_day_microusd": 10**9, "budget_generation_day_microusd": 10**9}
    async with make_studio(**limits) as studio:
        await studio.flip(mode)
        caller = await studio.caller()
        voice: VoiceRow = await studio.voice(caller)
        task = await (studio.speak(caller, voice) if kind == "speech" else design(studio.ctx, caller))
        assert (await entries(studio))[task.id]["state"] == "reserved"
        await is_balanced(studio)
        await end(studio, caller, task)

        found = (await entries(studio))[task.id]
        assert found["state"] == ("released" if end in FREE else "settled")
        if end in DOUBTFUL or (end is interrupted and mode == "qwen"):
            assert (found["settled_microusd"], found["doubt_microusd"]) == (0, found["reserved_microusd"])
        await is_balanced(studio)
        counters = await studio.sql(
            "SELECT c.used, understudy.budget_used(c.scope, c.budget, c.starts_at) AS held"
            " FROM understudy.budget_counters c"
        )
        assert [row for row in counters if row["used"] != row["held"]] == []


async def test_speech_that_broke_off_is_our_cost_and_not_its_tenants(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    task = await studio.speak(caller, voice)
    await truncated(studio, caller, task)
    now = studio.ctx.clock.now()
    async with studio.ctx.database.service() as conn:
        rows = await usage.usage_between(
            conn, caller.user_id, start=now - timedelta(hours=1), end=now + timedelta(hours=1)
        )
    spoken = next(row for row in rows if row.operation == "speak")
    assert (spoken.calls, spoken.cost_microusd, spoken.unpaid_calls) == (0, 0, 1)
    assert spoken.ours_microusd == COST
    (call,) = [call for call in await studio.calls() if call["operation"] == "speak"]
    assert (call["outcome"], call["billable"]) == ("failed", False)
    assert (call["characters"], call["counted_characters"]) == (len(TEXT), len(TEXT))
    assert (await entries(studio))[task.id]["settled_microusd"] == COST
