"""``understudy incident``: what the guard wrote down, read from its own store, with or without the guard."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.environment import chosen
from understudy.cli.followups import followups
from understudy.cli.guard_home import guard_store, redactor_of
from understudy.cli.orders import abort, approve_command, find_incident, hold, resume
from understudy.cli.output import console, print_json, reports_errors
from understudy.cli.timeline import STATE_STYLES, duration, line_of, since_onset
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, NotFoundError
from understudy.restoration.approvals import PLAN_CHARS
from understudy.restoration.guard.documents import entry_document, incident_document
from understudy.restoration.incidents import acknowledge, add_note, close_by_person
from understudy.restoration.playbook.reporting import report_of, write_report_of
from understudy.restoration.report import verify_report
from understudy.store.guard import TERMINAL_STATES, GuardStore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List, show, watch, acknowledge, note, close, report or verify incidents.",
    rich_markup_mode="rich",
)

app.command("followups", epilog="Example: understudy incident followups")(followups)
app.command("approve", epilog="Example: understudy incident approve latest --plan 3f9c0a12b7de")(
    approve_command
)
app.command("abort", epilog='Example: understudy incident abort latest --reason "a false alarm"')(abort)
app.command("hold", epilog='Example: understudy incident hold latest --reason "wait for the vendor"')(hold)
app.command("resume", epilog='Example: understudy incident resume latest --reason "the disk has room"')(
    resume
)

_HOME = Annotated[Path, typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of the installation.")]
_DEFAULT_HOME = Path(".understudy")
_JSON = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
_ID = Annotated[str, typer.Argument(metavar="ID", help="The incident, or `latest`.")]
_LOOK_EVERY_S = 0.5
_BATCH = 500
#: Characters of a sentence and its evidence that may share a line of the timeline.
_ONE_LINE = 54


@app.command("list", epilog="Example: understudy incident list --json")
@reports_errors
def list_incidents(
    *,
    state: Annotated[str | None, typer.Option("--state", help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Newest incidents shown.")] = 50,
    home: _HOME = _DEFAULT_HOME,
    as_json: _JSON = False,
) -> None:
    """List incidents, newest first."""
    with guard_store(home) as store:
        found = store.incidents(state=state.upper() if state else None, limit=limit)
        rows = [incident_document(store, row, now=SystemClock().now()) for row in found]
    if as_json:
        print_json({"incidents": rows})
        return
    if not rows:
        console.print("No incident.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, width in (("incident", 27), ("state", 9), ("opened (UTC)", 16)):
        table.add_column(heading, min_width=width, no_wrap=True)  # an id that is cut cannot be used
    table.add_column("title", overflow="fold")
    for row in rows:
        shown = Text(row["state"], style=STATE_STYLES.get(row["state"], "bold"))
        table.add_row(row["id"], shown, row["opened_at"][:16].replace("T", " "), Text(row["title"]))
    console.print(table)


@app.command("show", epilog="Example: understudy incident show latest")
@reports_errors
def show(incident: _ID, home: _HOME = _DEFAULT_HOME, as_json: _JSON = False) -> None:
    """Show one incident: its times, and its journal with what each line rests on.

    Times are counted from the onset, the first failure of the trouble.
    """
    with guard_store(home) as store:
        row = store.incident(find_incident(store, incident))
        document = incident_document(store, row, now=SystemClock().now())
        journal = [entry_document(entry) for entry in store.entries(row.id)]
    if as_json:
        print_json({**document, "journal": journal})
        return
    _print_head(document)
    _print_plans(document["plans"])
    _print_times(document["times"])
    onset = _onset(document)
    ended = {(entry["step"], entry["body"].get("key")) for entry in journal if entry["kind"] == "outcome"}
    for entry in journal:
        # A step that has ended says so itself; one that has not is what everybody waits for.
        if entry["kind"] != "intent" or (entry["step"], entry["body"].get("key")) not in ended:
            _print_entry(entry, onset)


def _onset(document: Mapping[str, Any]) -> datetime | None:
    text = document["times"].get("onset") or document["times"].get("detected")
    return datetime.fromisoformat(text) if text else None


def _print_head(document: Mapping[str, Any]) -> None:
    state = document["state"]
    head = Text.assemble(
        (document["id"], "bold"),
        "  ",
        (state, STATE_STYLES.get(state, "bold")),
        f"  {document['environment']}",
    )
    console.print(head, soft_wrap=True)
    console.print(Text(document["title"], style="bold"))
    names = ", ".join(name.removeprefix("person:") for name in document["acknowledged_by"])
    if names:
        console.print(Text(f"Acknowledged by {names}", style="cyan"))
    elif state not in TERMINAL_STATES:
        console.print(
            Text(f"Nobody has acknowledged it: understudy incident ack {document['id']}", style="yellow")
        )


def _print_plans(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print what waits for approval, step by step: whoever agrees has read it."""
    for plan in plans:
        if not plan["open"]:
            continue
        agreed = ", ".join(name.removeprefix("person:") for name in plan["approved_by"]) or "nobody yet"
        said = (
            f"Approval wanted: {plan['action']}, plan {plan['plan_sha256'][:PLAN_CHARS]}, "
            f"{plan['approvals']} distinct, until {plan['expires_at'][11:19]} UTC; agreed: {agreed}"
        )
        console.print()
        console.print(Text(said, style="bold yellow"), soft_wrap=True)
        for step in plan["plan"]:
            would = "; ".join(f"{name}: {value}" for name, value in step["plan"].items())
            mark = "*" if step["changes"] else " "
            console.print(Text(f"  {mark} {step['step']:<18} {would}"), soft_wrap=True)


def _print_times(times: Mapping[str, str | None]) -> None:
    known = {name: datetime.fromisoformat(at) for name, at in times.items() if at}
    onset = known.get("onset") or known.get("detected")
    console.print()
    for name in times:
        at = known.get(name)
        if at is None:
            unknown = "not known; times count from detection" if name == "onset" else ""
            console.print(Text(f"  {name:<10} - {unknown}".rstrip(), style="dim"))
            continue
        relative = since_onset(at, onset) if onset and at != onset else ""
        console.print(Text(f"  {name:<10} {at:%Y-%m-%d %H:%M:%S} UTC  {relative}".rstrip()))
    console.print()


def _print_entry(entry: Mapping[str, Any], onset: datetime | None) -> None:
    line = line_of(entry)
    table = Table.grid(padding=(0, 2))
    table.add_column(width=9, no_wrap=True)
    table.add_column(width=10, no_wrap=True)
    table.add_column(overflow="fold")
    together = len(line.said) + len(line.more) <= _ONE_LINE
    between = ("  " if together else "\n") if line.said and line.more else ""
    said = Text.assemble(line.said, between, (line.more, "dim"))
    table.add_row(Text(since_onset(line.at, onset), style="dim"), Text(line.what, style=line.style), said)
    console.print(table)


@app.command("watch", epilog="Example: understudy incident watch --json")
@reports_errors
def watch(
    incident: Annotated[
        str,
        typer.Argument(metavar="[ID]", show_default=False, help="One incident; the newest if left out."),
    ] = "latest",
    home: _HOME = _DEFAULT_HOME,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line, as it happens.")] = False,
) -> None:
    """Follow an incident live until it is over; without one, wait for the next. Ctrl-C leaves."""
    try:
        with guard_store(home) as store:
            _follow(store, incident, as_json=as_json)
    except KeyboardInterrupt:
        if not as_json:
            console.print()


def _follow(store: GuardStore, incident: str, *, as_json: bool) -> None:
    name = _awaited(store, incident, as_json=as_json)
    onset = _onset(incident_document(store, store.incident(name), now=SystemClock().now()))
    if not as_json:
        _print_head(incident_document(store, store.incident(name), now=SystemClock().now()))
        console.print()
    seq = 0
    while True:
        for entry in store.entries_after(seq, limit=_BATCH, incident=name):
            seq = entry.seq
            document = entry_document(entry)
            if as_json:
                print_json(document)
            else:
                _print_entry(document, onset)
        row = store.incident(name)
        # Only after its last entries were told: the state is written with them.
        if row.state in TERMINAL_STATES and not store.entries_after(seq, limit=1, incident=name):
            if not as_json:
                console.print(Text(f"{name} is {row.state}.", style=STATE_STYLES.get(row.state, "bold")))
            return
        time.sleep(_LOOK_EVERY_S)


def _awaited(store: GuardStore, incident: str, *, as_json: bool) -> str:
    """Return the incident to follow; where there is none yet, wait for it."""
    try:
        return find_incident(store, incident)
    except NotFoundError:
        raise
    except ConfigurationError:
        if not as_json:
            console.print("There has been no incident here. Waiting for one; Ctrl-C leaves.")
    while not (rows := store.incidents(chosen().name.value, limit=1)):
        time.sleep(_LOOK_EVERY_S)
    return rows[0].id


@app.command("ack", epilog="Example: understudy incident ack latest")
@reports_errors
def ack(incident: _ID, home: _HOME = _DEFAULT_HOME, as_json: _JSON = False) -> None:
    """Say that you have taken it on: it goes into the journal and to the pager. It changes no state."""
    with guard_store(home) as store:
        entry = acknowledge(store, find_incident(store, incident), person=account())
    _tell(entry_document(entry), f"{entry.incident} is acknowledged by {account()}.", as_json)


@app.command("note", epilog='Example: understudy incident note latest "Qwen says their region is down"')
@reports_errors
def note(
    incident: _ID,
    text: Annotated[str, typer.Argument(help="What you know; it goes into journal and report.")],
    home: _HOME = _DEFAULT_HOME,
    as_json: _JSON = False,
) -> None:
    """Write down what you know. Secrets are taken out."""
    with guard_store(home) as store:
        said = redactor_of(home)(text)
        entry = add_note(store, find_incident(store, incident), person=account(), text=said)
    _tell(entry_document(entry), f"Noted in {entry.incident}.", as_json)


def _tell(document: Mapping[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        console.print(Text(sentence), soft_wrap=True)


@app.command("report", epilog="Example: understudy incident report latest > report.md")
@reports_errors
def report(incident: _ID, home: _HOME = _DEFAULT_HOME, as_json: _JSON = False) -> None:
    """Print the report of one incident as its journal stands now: Markdown, or JSON."""
    with guard_store(home) as store:
        found = report_of(
            store, find_incident(store, incident), now=SystemClock().now(), redactor=redactor_of(home)
        )
    typer.echo(found.json() if as_json else found.markdown(), nl=False)


@app.command("verify", epilog="Example: understudy incident verify")
@reports_errors
def verify(
    incident: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", show_default=False, help="One incident's report; all if left out."),
    ] = None,
    home: _HOME = _DEFAULT_HOME,
    as_json: _JSON = False,
) -> None:
    """Recompute the journal's hash chain and every written report; exit code 1 on a difference."""
    with guard_store(home) as store:
        chain = store.verify_chain()
        wanted = [find_incident(store, incident)] if incident else [row.id for row in store.incidents()]
        reports = {name: _verify_report(store, home, name) for name in wanted}
    ok = not chain.problems and all(result["ok"] for result in reports.values())
    if as_json:
        found = {"entries": chain.entries, "head": chain.head, "problems": list(chain.problems)}
        print_json({"ok": ok, "journal": found, "reports": reports})
    else:
        console.print(Text(f"journal: {chain.entries} entries, head {chain.head}"), soft_wrap=True)
        for problem in chain.problems:
            console.print(Text(f"  {problem}", style="bold red"), soft_wrap=True)
        for name, result in reports.items():
            console.print(Text(f"report of {name}: {result['detail']}"), soft_wrap=True)
        console.print("[bold green]ok[/]" if ok else "[bold red]not as it was written[/]")
    if not ok:
        raise typer.Exit(code=1)


def _verify_report(store: GuardStore, home: Path, incident: str) -> dict[str, Any]:
    markdown, json_file = (home / "reports" / f"{incident}.{suffix}" for suffix in ("md", "json"))
    if not json_file.is_file():
        return {"ok": True, "detail": "none written yet"}
    try:
        text, about = json_file.read_text("utf-8"), markdown.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return {"ok": False, "detail": f"cannot be read: {error}"}
    verdict = verify_report(text, store.entries(incident), markdown=about, redactor=redactor_of(home))
    return {"ok": verdict.ok, "detail": "; ".join(verdict.problems) or "as it was written"}


@app.command("close", epilog='Example: understudy incident close latest --reason "Qwen fixed its region"')
@reports_errors
def close(
    incident: _ID,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into journal and report.")],
    home: _HOME = _DEFAULT_HOME,
    as_json: _JSON = False,
) -> None:
    """Close an incident by hand; one that is still being restored is ended by `abort` instead.

    The guard then leaves it alone, and does not open the same one again before it has been healthy once.
    """
    with guard_store(home) as store:
        name, redactor = find_incident(store, incident), redactor_of(home)

        def write() -> None:
            now = SystemClock().now()
            write_report_of(store, name, home / "reports", now=now, redactor=redactor)

        row = close_by_person(store, name, person=account(), reason=redactor(reason), before_commit=write)
        document = incident_document(store, row, now=SystemClock().now())
    lasted = duration((row.updated_at - row.opened_at).total_seconds())
    said = f"{row.id} is {row.state} after {lasted}; its report is {home / 'reports' / row.id}.md"
    _tell(document, said, as_json)
