"""``understudy stabilization``: whether the way back may be taken down, and who agrees."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.guard_home import guard_store, person_at, redactor_of
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, check_reason
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.environments import EnvironmentName, find_environment
from understudy.errors import ConfigurationError, StoreUnavailableError
from understudy.migration_gate.deploying import refuse_unsafe
from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import load_playbook
from understudy.settings import ENV_FILE_VARIABLE, load_settings
from understudy.stabilization.gates import Stabilization, judge
from understudy.stabilization.gathering import Place, gather
from understudy.stabilization.signing import sign_off as write_sign_off
from understudy.store.migrations import BeforeMigrating

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Whether Qwen has carried everybody long enough that the way back to Modal may be taken down."""


@app.command("status", epilog="Example: understudy stabilization status --json")
@reports_errors
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show each gate, and what it lacks. Exit code 1 while one is not met.

    Until all are met, destructive migrations are refused ([bold]understudy migrations check[/]).
    """
    with _place(home) as place:
        state = asyncio.run(_examine(place))
    _tell(state, as_json)
    if not state.met:
        raise typer.Exit(code=1)


@app.command("sign-off", epilog='Example: understudy stabilization sign-off --reason "two quiet weeks"')
@reports_errors
def sign_off(
    reason: Annotated[str, typer.Option("--reason", help="Why the period counts as over.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say that the period is over, as one of two persons; possible once every other gate is met.

    You are this machine's account, or whose guard key is in UNDERSTUDY_OPERATOR_KEY. A switch back
    to Modal starts the clock anew and voids both.
    """
    check_reason(reason)
    with _place(home) as place:
        if place.store is None:
            raise ConfigurationError(place.no_store)
        state = asyncio.run(_examine(place))
        write_sign_off(
            place.store,
            state,
            environment=place.environment,
            person=person_at(place.store),
            reason=redactor_of(home)(reason),
        )
        state = asyncio.run(_examine(place))
    _tell(state, as_json)


async def unmet_gates(home: Path, database: SecretStr | None = None) -> Sequence[str]:
    """Return what stabilization lacks, in words; empty when destructive migrations may run.

    Parameters
    ----------
    database
        Where the product's database answers now; where the environment file says, when None.
    """
    with _place(home) as place:
        there = {"database_url": database} if database is not None else {}
        moved = replace(place, settings=place.settings.model_copy(update=there))
        return (await _examine(moved)).unmet


def passing_the_gate(home: Path) -> Callable[[SecretStr], BeforeMigrating]:
    """Return what stands before the migrations of ``home``'s database, given its owner's URL."""

    def gate(url: SecretStr) -> BeforeMigrating:
        return refuse_unsafe(url, lambda: unmet_gates(home, url))

    return gate


async def _examine(place: Place) -> Stabilization:
    clock = SystemClock()
    return judge(await gather(place, clock), clock.now())


@contextmanager
def _place(home: Path) -> Iterator[Place]:
    environment_file = home / "understudy.env"
    if ENV_FILE_VARIABLE not in os.environ and environment_file.is_file():
        os.environ[ENV_FILE_VARIABLE] = str(environment_file)
    settings = load_settings()
    playbook = load_playbook(settings.playbook_file or playbook_file())
    with ExitStack() as stack:
        store, why = None, ""
        try:
            store = stack.enter_context(guard_store(home))
        except (ConfigurationError, StoreUnavailableError) as error:
            why = error.message
        slo = playbook.triggers.success_rate.rate.slo_percent
        yield Place(chosen().name.value, home, settings, store, slo, why, _drilled_in())


def _drilled_in() -> tuple[Path, str] | None:
    """Return where production's drills are remembered: staging, since nothing is drilled as production."""
    if not chosen().is_production:
        return None
    with suppress(ConfigurationError):
        staging = find_environment(EnvironmentName.STAGING)
        return staging.home, staging.name.value
    return None


def document(state: Stabilization) -> dict[str, Any]:
    """Return plain data of the gates."""
    return {
        "met": state.met,
        "at": state.at.isoformat(),
        "since": state.since.isoformat() if state.since else None,
        "gates": [{"name": gate.name, "met": gate.met, "why": gate.why} for gate in state.gates],
    }


def _tell(state: Stabilization, as_json: bool) -> None:
    if as_json:
        print_json(document(state))
        return
    for gate in state.gates:
        mark, style = ("✓", "green") if gate.met else ("✗", "red")
        console.print(
            Text.assemble((f"{mark} ", style), (f"{gate.name:<20}", "bold"), gate.why), soft_wrap=True
        )
    said = (
        "Met: destructive migrations may run."
        if state.met
        else "Not met: destructive migrations are refused."
    )
    console.print(Text(said, style="bold green" if state.met else "bold red"))
