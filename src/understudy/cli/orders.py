"""``understudy incident approve|abort|hold|resume``: what a person decides while an incident runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.guard_home import guard_store, person_at, redactor_of
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError
from understudy.restoration.approvals import PLAN_CHARS, approve, plans_of
from understudy.restoration.guard.documents import entry_document
from understudy.restoration.orders import Order, give_order
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry

_ID = Annotated[str, typer.Argument(metavar="ID", help="The incident, or `latest`.")]
_REASON = Annotated[str, typer.Option("--reason", help="Why; it goes into journal and report.")]
_SAID = {
    "abort": "is told to end at the next consistent side",
    "hold": "is held: nothing more begins until `understudy incident resume`",
    "resume": "goes on",
}


@reports_errors
def approve_command(
    incident: _ID,
    *,
    plan: Annotated[
        str, typer.Option("--plan", help=f"The plan's SHA-256, or its first {PLAN_CHARS} digits.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --break-glass.")] = "",
    break_glass: Annotated[
        bool,
        typer.Option("--break-glass", help="In an emergency, one person for all; it is reviewed afterwards."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Agree to a plan that `understudy incident show` prints. Whoever asked for it cannot.

    The agreement counts for this plan alone, and for a limited time; when what would be done changes, it
    is void. You are this machine's account, or whose guard key is in UNDERSTUDY_OPERATOR_KEY.
    """
    with guard_store(home) as store:
        person = person_at(store)
        entry = approve(
            store,
            find_incident(store, incident),
            person=person,
            plan=plan,
            now=SystemClock().now(),
            reason=redactor_of(home)(reason),
            break_glass=break_glass,
        )
        left = plans_of(store.entries(entry.incident))[entry.body["action"]].missing
        said = f"{entry.body['action']} of {entry.incident} is approved"
        if left:
            said += f" by {person}; {left} more must agree"
        _tell(store, entry, f"{said}.", as_json=as_json)


@reports_errors
def abort(
    incident: _ID, reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Stop an incident for good, at the next consistent side; the report names it."""
    _order("abort", incident, reason, home, as_json=as_json)


@reports_errors
def hold(
    incident: _ID, reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Let nothing more begin until somebody says `resume`; the step under way is finished."""
    _order("hold", incident, reason, home, as_json=as_json)


@reports_errors
def resume(
    incident: _ID, reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Go on after a hold, try again what failed or was frozen, and propose once more what nobody answered."""
    _order("resume", incident, reason, home, as_json=as_json)


def _order(order: Order, incident: str, reason: str, home: Any, *, as_json: bool) -> None:
    with guard_store(home) as store:
        said = redactor_of(home)(reason)
        entry = give_order(store, find_incident(store, incident), order, person=person_at(store), reason=said)
        _tell(store, entry, f"{entry.incident} {_SAID[order]}.", as_json=as_json)


def find_incident(store: GuardStore, incident: str) -> str:
    """Return the incident of that id; ``latest`` is the newest of this command's environment."""
    if incident != "latest":
        return store.incident(incident).id
    environment = chosen().name.value
    rows = store.incidents(environment, limit=1)
    if not rows:
        raise ConfigurationError(f"There has been no incident of {environment} here.")
    return rows[0].id


def _tell(store: GuardStore, entry: JournalEntry, said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(entry_document(entry))
        return
    console.print(Text(said), soft_wrap=True)
    environment = store.incident(entry.incident).environment
    lease = store.lease(environment)
    if lease is None or not store.holds(lease):
        console.print(
            Text(f"No guard runs: understudy restore --live --incident {entry.incident}", style="yellow"),
            soft_wrap=True,
        )
