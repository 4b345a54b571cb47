"""``understudy usage``, ``budget`` and ``valve``, as an operator types them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.integration.scripted_provider import Cue
from tests.integration.speech.conftest import TEXT, Studio
from tests.integration.speech.failures import wire_cut
from tests.integration.speech.test_keeping_commands import run, told
from understudy.cli.closed_valves import closed_sentence, read_closed
from understudy.cli.usage import instant
from understudy.errors import BudgetExceededError, ValidationError, ValveClosedError
from understudy.money import dollars
from understudy.speech import designs
from understudy.store import calls
from understudy.store.calls import CallRecord

pytestmark = pytest.mark.integration

COST = 13 * len(TEXT)


async def test_usage_tells_tenants_cost_ours_and_what_is_reserved(studio: Studio) -> None:
    await studio.flip("qwen")
    caller, other = await studio.caller(), await studio.caller()
    voice, another = await studio.voice(caller), await studio.voice(other)
    async with studio.working():
        await studio.ended((await studio.speak(caller, voice)).id)
        studio.qwen.cues.append(Cue(error=wire_cut, chunks=1))
        await studio.ended((await studio.speak(caller, voice)).id)
    await studio.speak(other, another)

    found = told(await run(studio, "usage", "--user", str(caller.user_id), "--json"))
    (spoken,) = [row for row in found["usage"] if row["operation"] == "speak"]
    assert spoken["provider"] == "qwen"
    assert (spoken["calls"], spoken["cost_microusd"]) == (1, COST)
    assert (spoken["unpaid_calls"], spoken["ours_microusd"]) == (1, COST)
    assert found["ledger"]["open_tasks"] == 0

    everybody = told(await run(studio, "usage", "--json"))
    assert everybody["ledger"]["open_tasks"] == 1
    assert everybody["ledger"]["open_microusd"] == COST
    assert {one["budget"] for one in everybody["budgets"]} == {"creates-hour", "creates-day"}
    assert all(one["everybody"] for one in everybody["budgets"])

    shown = await run(studio, "usage")
    assert shown.exit_code == 0
    assert f"Reserved for 1 tasks under way: {dollars(COST)}." in shown.stdout
    assert told(await run(studio, "usage", "--since", "2020-01-01", "--json"))["since"].startswith(
        "2020-01-01T00"
    )
    wrong = await run(studio, "usage", "--since", "yesterday")
    assert wrong.exit_code == 1
    assert "write a date" in wrong.stderr


async def test_calls_that_are_counted_otherwise_are_listed(studio: Studio) -> None:
    now = studio.ctx.clock.now()
    same = CallRecord(
        now, "speak", "qwen", "m", "ok", 5, 1, characters=7, counted_characters=7, request_id="same"
    )
    async with studio.ctx.database.service() as conn:
        for record in (
            same,
            dataclasses.replace(same, characters=9, request_id="more", task_id=uuid4()),
            dataclasses.replace(same, counted_characters=None, request_id="by-the-second"),
        ):
            await calls.settle_call(conn, record)
    found = told(await run(studio, "usage", "--disagreements", "--json"))
    assert [
        (row["request_id"], row["characters"], row["counted_characters"]) for row in found["disagreements"]
    ] == [("more", 9, 7)]
    assert "disagreements" not in told(await run(studio, "usage", "--json"))


async def test_a_budget_is_set_shown_and_cleared(studio: Studio) -> None:
    caller = await studio.caller()
    user = str(caller.user_id)
    voice = await studio.voice(caller)
    row = told(
        await run(
            studio, "budget", "set", "generation-day", "5", "--user", user, "--reason", "runaway", "--json"
        )
    )
    assert (row["scope"], row["budget"], row["most"], row["reason"]) == (user, "generation-day", 5, "runaway")
    assert row["actor"].startswith("person:")
    with pytest.raises(BudgetExceededError):
        await studio.speak(caller, voice)
    found = told(await run(studio, "budget", "show", "--user", user, "--json"))
    (day,) = [one for one in found["budgets"] if one["budget"] == "generation-day"]
    assert (day["limit"], day["used"], day["set_by_operator"]) == (5, 0, True)
    assert "set by an operator" in (await run(studio, "budget", "show", "--user", user)).stdout
    assert told(await run(studio, "budget", "show", "--json"))["set"] == found["set"]
    assert told(await run(studio, "budget", "clear", "generation-day", "--user", user, "--json"))["cleared"]
    assert not told(await run(studio, "budget", "clear", "generation-day", "--user", user, "--json"))[
        "cleared"
    ]
    await studio.speak(caller, voice)
    refused = await run(studio, "budget", "set", "generation-day", "5", "--reason", " ")
    assert refused.exit_code == 1
    assert "--reason is empty" in refused.stderr


async def test_a_limit_on_an_account_that_is_not_there_is_refused(studio: Studio) -> None:
    nobody = str(uuid4())
    refused = await run(studio, "budget", "set", "creates-hour", "5", "--user", nobody, "--reason", "typo")
    assert refused.exit_code == 1
    assert f"There is no account {nobody}" in refused.stderr
    assert told(await run(studio, "budget", "show", "--json"))["set"] == []


async def test_a_reason_is_shown_as_it_was_written_and_money_whole(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.working():
        await studio.ended((await studio.speak(caller, voice)).id)
    shown = (await run(studio, "usage")).stdout
    assert dollars(COST) in shown.split("Reserved")[0]

    said = await run(studio, "budget", "set", "generation-day", "1500000", "--reason", "see [/b]")
    assert "generation-day is $1.50 for everybody together now." in said.stdout
    await run(studio, "budget", "set", "creates-hour", "5", "--reason", "[x]")
    shown = (await run(studio, "budget", "show")).stdout
    assert "see [/b]" in shown
    assert "[x]" in shown
    assert "5 creates" in shown.split("set for")[1]
    await run(studio, "valve", "close", "generation", "--reason", "see [/b]")
    assert (await run(studio, "valve", "show")).stdout.count("see [/b]") == 2
    wrong = await run(studio, "usage", "--since", "[/b]")
    assert wrong.exit_code == 1
    assert "--since [/b]: write a date" in wrong.stderr


async def test_a_valve_is_closed_shown_and_opened(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    closed = told(await run(studio, "valve", "close", "design-creates", "--reason", "dear [x]", "--json"))
    assert (closed["closed"], closed["epoch"], closed["changed"]) == (True, 1, True)
    with pytest.raises(ValveClosedError):
        await designs.start_preview(studio.ctx, caller, text="Four.", language=None, instruct="calm")
    shown = told(await run(studio, "valve", "show", "--json"))
    assert {valve["name"]: valve["closed"] for valve in shown["valves"]} == {
        "design-creates": True,
        "carry-over": False,
        "generation": False,
    }
    assert "dear [x]" in (await run(studio, "valve", "show")).stdout
    with monkeypatch.context() as environment:
        environment.setenv("DATABASE_URL", studio.ctx.settings.database_url.get_secret_value())
        [seen] = await read_closed(studio.ctx.settings.understudy_home)
    assert (seen["name"], seen["reason"]) == ("design-creates", "dear [x]")
    assert closed_sentence([seen]).startswith("Closed valves, answered with 429: design-creates (since 20")
    assert closed_sentence([seen]).endswith(": dear [x])")
    again = await run(studio, "valve", "close", "design-creates", "--reason", "too")
    assert "nothing changed" in again.stdout
    opened = told(await run(studio, "valve", "open", "design-creates", "--reason", "over", "--json"))
    assert (opened["closed"], opened["epoch"]) == (False, 2)
    assert len(told(await run(studio, "valve", "show", "--json"))["history"]) == 2
    await designs.start_preview(studio.ctx, caller, text="Four.", language=None, instruct="calm")


def test_an_age_a_date_and_a_time_are_instants() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert instant("24h", now) == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert instant("7d", now) == datetime(2026, 11, 17, 12, tzinfo=UTC)
    assert instant("2026-11-01", now) == datetime(2026, 11, 1, tzinfo=UTC)
    assert instant("2026-11-24T09:00:00+01:00", now) == datetime(2026, 11, 24, 8, tzinfo=UTC)
    for nonsense in ("", "soon", "h", "99999999999d"):
        with pytest.raises(ValidationError):
            instant(nonsense, now)
