"""Rung 0, one tenant throttled: capped where the findings say, refused with 429, undone by a person."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.conftest import CreateUser
from tests.integration.restoration.performing import KilledError, document_of, perform, run_of, typed
from tests.unit.findings import finding_of
from understudy.restoration.actions.step import Restoration, StepError
from understudy.restoration.actions.throttle_tenant import BUDGET, STEPS, cap_of
from understudy.restoration.targets.base import TargetCapabilities
from understudy.restoration.triggers.verdict import Finding
from understudy.settings import settings_from
from understudy.store.budgets import BudgetRow, list_budgets, set_budget
from understudy.store.database import Database
from understudy.store.ledger import Refusal, Terms, reserve

pytestmark = pytest.mark.integration

AT = datetime.now(UTC)


def runaway(user: UUID, *, characters: int = 600_000, usual: float | None = None) -> Finding:
    """One tenant spoke so many characters in an hour, at 10 micro-dollars each."""
    return finding_of(
        "cost/runaway_characters",
        mode="pause",
        cures=("throttle_tenant",),
        subject=str(user),
        n=characters,
        failures=characters,
        bounds={"hard_limit": 500_000, "floor": 50_000},
        evidence={"cost_microusd": characters * 10, "usual_characters": usual},
    )


def spending(user: UUID | None, *, spent: int = 60_000_000) -> Finding:
    """All together spent so much, of which one tenant nine tenths (if one did)."""
    most = {"user": str(user), "cost_microusd": spent * 9 // 10} if user else None
    return finding_of(
        "cost/spend_hour",
        mode="pause",
        cures=("close_valve", "throttle_tenant"),
        n=spent,
        bounds={"hard_limit_microusd": 50_000_000, "floor_microusd": 10_000_000},
        evidence={"most_of_it": most},
    )


async def budget_of(database: Database, user: UUID) -> BudgetRow | None:
    async with database.service() as conn:
        rows = {row.scope: row for row in await list_budgets(conn) if row.budget == BUDGET}
    return rows.get(user)


async def ask(database: Database, user: UUID, amount: int) -> Refusal | None:
    """What an admission of speech for so much is told; the reservation itself is rolled back."""
    terms = Terms("speak", "qwen", amount, billed_create=False, at=AT, limits={})
    task = uuid4()
    async with database.service() as conn:
        await conn.execute(
            "insert into public.tasks (id, user_id, type) values (%s, %s, 'generate')", (task, user)
        )
        return await reserve(conn, task_id=task, user_id=user, terms=terms)


async def test_a_runaway_tenant_is_capped_at_what_never_trips_and_others_are_not(
    database: Database, create_user: CreateUser, tmp_path: Path
) -> None:
    tenant, other = await create_user(), await create_user()
    evidence = await perform(STEPS, run_of(database, tmp_path, runaway(tenant)))
    row = await budget_of(database, tenant)
    assert row is not None
    assert (row.most, row.actor) == (500_000, "guard")
    assert "inc-1" in row.reason
    (told,) = evidence["read_back"]["tenants"]
    assert (told["user"], told["most_microusd"], told["used_microusd"]) == (str(tenant), 500_000, 0)
    assert evidence["read_back"]["undo"] == [f"understudy budget clear {BUDGET} --user {tenant}"]
    assert await ask(database, tenant, 400_000) is None
    refused = await ask(database, tenant, 400_000)
    assert refused is not None
    assert (refused.budget, refused.everybody, refused.used) == (BUDGET, False, 400_000)
    assert refused.ends_at is not None
    assert await ask(database, other, 10**9) is None


@pytest.mark.parametrize("killed_after", ["throttle", None])
async def test_performed_twice_or_killed_in_between_it_is_set_once(
    database: Database, create_user: CreateUser, tmp_path: Path, killed_after: str | None
) -> None:
    tenant = await create_user()
    run = run_of(database, tmp_path, runaway(tenant))
    if killed_after:
        with pytest.raises(KilledError):
            await perform(STEPS, run, killed_after=killed_after)
    else:
        await perform(STEPS, run)
    first = await budget_of(database, tenant)
    assert first is not None
    await perform(STEPS, run)
    assert await budget_of(database, tenant) == first


async def test_a_lower_limit_of_an_operator_stays_and_a_higher_one_is_on_record(
    database: Database, create_user: CreateUser, tmp_path: Path
) -> None:
    strict, loose = await create_user(), await create_user()
    async with database.service() as conn:
        await set_budget(conn, strict, BUDGET, 7, actor="ada", reason="test")
        # 0 lifts the limit: it is the loosest of all.
        await set_budget(conn, loose, BUDGET, 0, actor="ada", reason="lifted")
    await perform(STEPS, run_of(database, tmp_path, runaway(strict), runaway(loose)))
    kept, capped = await budget_of(database, strict), await budget_of(database, loose)
    assert kept is not None
    assert (kept.most, kept.actor) == (7, "ada")
    assert capped is not None
    assert capped.most == 500_000
    assert "before it was 0 by ada" in capped.reason


async def test_the_cap_never_raises_what_the_settings_allow(
    database: Database, create_user: CreateUser, tmp_path: Path
) -> None:
    tenant = await create_user()
    settings = settings_from({"BUDGET_GENERATION_TENANT_HOUR_MICROUSD": "1234"})
    await perform(STEPS, run_of(database, tmp_path, runaway(tenant), settings=settings))
    row = await budget_of(database, tenant)
    assert row is not None
    assert row.most == 1234


def test_how_much_a_tenant_keeps() -> None:
    tenant = uuid4()
    caps = [
        cap_of(finding.document())
        for finding in (
            runaway(tenant),
            runaway(tenant, usual=90_000.0),
            runaway(tenant, usual=10.0),
            spending(tenant),
        )
    ]
    # Ten a character; of the money as a whole, 10 dollars never trip and others spent 6 of them.
    assert [cap.most if cap else None for cap in caps] == [500_000, 900_000, 500_000, 4_000_000]
    assert cap_of(spending(None).document()) is None


async def refused(run: Restoration) -> str:
    with pytest.raises(StepError) as error:
        await perform(STEPS, run)
    assert error.value.hopeless
    return error.value.message


async def test_where_nobody_stands_out_nobody_is_capped(database: Database, tmp_path: Path) -> None:
    assert "No one tenant stands out" in await refused(run_of(database, tmp_path, spending(None)))
    async with database.service() as conn:
        assert await list_budgets(conn) == []


async def test_a_target_that_does_not_ask_our_budgets_is_left_to_a_person(
    database: Database, tmp_path: Path
) -> None:
    run = run_of(database, tmp_path, runaway(uuid4()))
    run.target.capabilities = TargetCapabilities(live_switch=False, restore_beside=False)  # type: ignore[misc]
    assert "a person throttles there" in await refused(run)


async def test_a_person_undoes_it_with_the_command_that_the_evidence_names(
    database: Database, create_user: CreateUser, tmp_path: Path, database_urls: Any
) -> None:
    tenant = await create_user()
    evidence = await perform(STEPS, run_of(database, tmp_path, runaway(tenant)))
    (undo,) = evidence["read_back"]["undo"]
    answer = await typed(tmp_path, database_urls.app, *undo.split()[1:], "--json")
    assert document_of(answer)["cleared"] is True
    assert await budget_of(database, tenant) is None
