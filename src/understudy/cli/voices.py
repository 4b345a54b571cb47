"""``understudy voices``: whether every voice survives a switch, and carrying voices over before one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from understudy.cli.account import account
from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.mode import ProviderMode
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError
from understudy.logs import configure_logging
from understudy.money import MICRO, dollars
from understudy.providers.base import Provider
from understudy.providers.catalog import build_providers
from understudy.providers.prices import PRICES
from understudy.settings import Settings
from understudy.speech.carrying import Carrier, Outcome, Plan, destination_of
from understudy.speech.portability import Portability, check_portability
from understudy.store import carry_over as rows
from understudy.store.carry_over import Coverage, Halt
from understudy.store.object_choice import open_objects, prove_objects

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_USER = Annotated[UUID | None, typer.Option("--user", help="Voices of this account only.")]
_SHOWN = 20
_WHY = {
    Halt.BUDGET: "the budget is used up",
    Halt.VALVE: "the carry-over valve is closed",
    Halt.FROZEN: "writes are frozen",
    Halt.BROKEN: "it broke off",
}


@app.callback()
def group() -> None:
    """Voices of all tenants: what a switch of the provider would mean for them."""
    configure_logging("voices", level="warning")


@app.command("check", epilog="Example: understudy voices check --json")
@reports_errors
def check(*, user: _USER = None, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Prove that every live voice has its recording, whole, and its transcript: all that Modal needs.

    Exit code 1 when one has not; it would be lost in a switch back.
    """
    found = asyncio.run(_check(home, user))
    if as_json:
        print_json({**asdict(found), "holds": found.holds})
    else:
        console.print(f"{found.checked} live voices, {len(found.violations)} that could not be spoken.")
        for violation in found.violations:
            line = f"  {violation.problem}: voice {violation.voice_id} of {violation.user_id}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if found.undigested:
            console.print(f"{found.undigested} recordings have no digest: they are there, and not compared.")
    if not found.holds:
        raise typer.Exit(code=1)


@app.command("coverage", epilog="Example: understudy voices coverage --on qwen --json")
@reports_errors
def coverage(
    *,
    on: Annotated[ProviderMode, typer.Option("--on", help="The provider asked about.")] = ProviderMode.QWEN,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Voices used in so many days.")] = 30,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Tell which share of the voices in use, and of their tenants, a provider could serve now."""
    found = asyncio.run(_coverage(home, on.value, days))
    if as_json:
        print_json({"provider": on.value, "days": days, **asdict(found), "share": round(found.share, 6)})
        return
    console.print(
        f"{found.used_covered} of {found.used} voices used in {days} days speak on {on.value}"
        f" ({found.share:.1%}), for {found.tenants_covered} of {found.tenants} tenants wholly.",
        highlight=False,
    )
    console.print(f"Of all {found.live} live voices {found.live_covered} do.", highlight=False)


@app.command("carry-over", epilog="Example: understudy voices carry-over --to qwen --max-cost 5 --dry-run")
@reports_errors
def carry_over(
    *,
    max_cost: Annotated[str, typer.Option("--max-cost", help="US dollars that are never exceeded.")],
    to: Annotated[ProviderMode, typer.Option("--to", help="Who shall know them.")] = ProviderMode.QWEN,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    user: _USER = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many voices.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Enrol voices at a provider that must know them first (billed), the most recently used ones first.

    Broken off at any moment, it goes on where it is called again, and pays for no voice twice. Exit code 1
    when a voice that could be carried over was not.
    """
    budget = micro_dollars(max_cost)
    if dry_run:
        plan = asyncio.run(_plan(home, to.value, user, limit))
        _show_plan(plan, budget, as_json=as_json)
        return
    outcome = asyncio.run(_carry(home, to.value, user, limit, budget, quiet=as_json))
    _show_outcome(outcome, as_json=as_json)
    if not outcome.complete:
        raise typer.Exit(code=1)


async def _check(home: Path, user: UUID | None) -> Portability:
    settings, clock = installed_settings(home), SystemClock()
    objects = open_objects(settings, clock)
    await prove_objects(objects)
    async with installed_database(settings, command="voices") as database:
        return await check_portability(database, objects, user_id=user)


async def _coverage(home: Path, name: str, days: int) -> Coverage:
    settings = installed_settings(home)
    async with (
        _provider(settings, name) as provider,
        installed_database(settings, command="voices") as database,
        database.service() as conn,
    ):
        return await rows.coverage(conn, destination_of(provider, settings), days=days)


async def _plan(home: Path, name: str, user: UUID | None, limit: int | None) -> Plan:
    async with _carrier(installed_settings(home), name) as carrier:
        return await carrier.plan(user_id=user, limit=limit)


async def _carry(
    home: Path, name: str, user: UUID | None, limit: int | None, budget: int, *, quiet: bool
) -> Outcome:
    settings = installed_settings(home)

    def progress(outcome: Outcome) -> None:
        if not quiet:
            done = outcome.carried + outcome.found
            said = f"{done} carried over, {len(outcome.failed)} failed, {outcome.left} left"
            console.print(said, highlight=False)

    async with _carrier(settings, name) as carrier, rows.run_lock(settings.database_url) as lock:
        return await carrier.run(
            lock,
            budget_microusd=budget,
            actor=f"person:{account()}",
            user_id=user,
            limit=limit,
            progress=progress,
        )


@asynccontextmanager
async def _carrier(settings: Settings, name: str) -> AsyncIterator[Carrier]:
    clock = SystemClock()
    objects = open_objects(settings, clock)
    await prove_objects(objects)
    async with (
        _provider(settings, name) as provider,
        installed_database(settings, command="voices") as database,
    ):
        yield Carrier(database, objects, provider, settings, clock)


@asynccontextmanager
async def _provider(settings: Settings, name: str) -> AsyncIterator[Provider]:
    async with AsyncExitStack() as stack:
        providers = build_providers(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        yield providers[name]


def micro_dollars(given: str) -> int:
    """Return what ``--max-cost`` says, in micro-dollars; raises :class:`ConfigurationError`."""
    try:
        amount = Decimal(given) * MICRO
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0 or amount != int(amount):
        raise ConfigurationError(
            f"--max-cost {given!r} is no amount of US dollars with at most six decimals, such as 5 or 0.25."
        )
    return int(amount)


def _show_plan(plan: Plan, budget: int, *, as_json: bool) -> None:
    affordable = len(plan.ready) if not plan.cost_each else min(len(plan.ready), budget // plan.cost_each)
    if as_json:
        print_json(
            {
                "dry_run": True,
                "voices": [str(candidate.voice_id) for candidate in plan.ready],
                "cost_each_microusd": plan.cost_each,
                "cost_microusd": plan.cost_microusd,
                "budget_microusd": budget,
                "within_budget": affordable,
                "blocked": [_plain(asdict(blocked)) for blocked in plan.blocked],
                "unsettled": plan.unsettled,
            }
        )
        return
    console.print(
        f"{len(plan.ready)} voices to enrol at {dollars(plan.cost_each)} each"
        f" (list price of {PRICES.as_of}): {dollars(plan.cost_microusd)};"
        f" {affordable} fit into {dollars(budget)}.",
        highlight=False,
    )
    if plan.unsettled:
        console.print(f"{plan.unsettled} more are looked up first: an earlier run may have paid for them.")
    _show_list("cannot be carried over", [_plain(asdict(blocked)) for blocked in plan.blocked])
    console.print("Nothing was sent.")


def _show_outcome(outcome: Outcome, *, as_json: bool) -> None:
    facts = {**_plain(asdict(outcome)), "complete": outcome.complete}
    if as_json:
        print_json(facts)
        return
    console.print(
        f"{outcome.carried} enrolled, {outcome.found} found as paid for before, for"
        f" {dollars(outcome.spent_microusd)} of {dollars(outcome.budget_microusd)}.",
        highlight=False,
    )
    if outcome.halted is not None:
        console.print(f"Stopped, because {_WHY[outcome.halted]}; {outcome.left} voices are left.")
    if outcome.unknown:
        console.print(f"{len(outcome.unknown)} are not known yet; the next run looks them up first.")
    _show_list("failed", facts["failed"])
    _show_list("cannot be carried over", facts["blocked"])


def _show_list(what: str, blocked: list[dict[str, Any]]) -> None:
    for one in blocked[:_SHOWN]:
        line = f"  {what}: voice {one['voice_id']} of {one['user_id']}: {one['reason']}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(blocked) > _SHOWN:
        console.print(f"  and {len(blocked) - _SHOWN} more; --json lists all.")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, UUID) else value
