"""``understudy migrations``: the migration gate."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli import migrations_page as page
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.migrations_page import Judgement
from understudy.cli.output import print_json, reports_errors
from understudy.cli.stabilization import unmet_gates
from understudy.errors import ConfigurationError
from understudy.logs import configure_logging
from understudy.migration_gate import released
from understudy.migration_gate.gate import GateReport, check, record
from understudy.migration_gate.old_code import OldCodeProof, prove_old_code
from understudy.migration_gate.recorded import ACCEPTED_FILE, VERDICTS_FILE, write_verdicts
from understudy.migration_gate.throwaway import server_for_scratch
from understudy.resources import migrations_dir
from understudy.store.migrations import Migration, load_migrations

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Whether migrations only add."""
    # Standard output is for the answer alone.
    configure_logging("migrations", level="error")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is judged: a sequence of files, and which of them."""

    folder: Path
    files: list[Migration]
    judged: Collection[str]
    problems: tuple[str, ...] = ()


@app.command("check", epilog="Example: understudy migrations check --since v1.4.0 --prove-old-code")
@reports_errors
def check_command(
    path: Annotated[
        Path | None,
        typer.Argument(help="A folder of migrations, or one file of it; this version's when left out."),
    ] = None,
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TAG", help="Judge only what this release does not have.")
    ] = None,
    prove_old: Annotated[
        bool,
        typer.Option(
            "--prove-old-code",
            help="Serve that release on the new schema and run its own smoke suite (a minute).",
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse as well when a proof is missing or something recorded is stale."
        ),
    ] = False,
    record_found: Annotated[
        bool,
        typer.Option(
            "--record", help=f"Write {VERDICTS_FILE} with the files: machines without parser use it."
        ),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Judge every statement, and prove it: nothing that was there is taken away.

    The parser (Postgres's own, `make gate-parser`) says what each statement does; the catalog of a scratch
    database proves it; squawk looks for locks. What needs a review is accepted in gate/accepted.toml with
    the files. Destructive migrations are refused until [bold]understudy stabilization status[/] is met.

    Exit code 0: the files may run. Exit code 1: they may not, and each reason is named.
    """
    if prove_old and since is None:
        raise ConfigurationError("--prove-old-code needs --since TAG: the release whose code is served.")
    with ExitStack() as stack:
        export = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="understudy-release-")))
        asked, commit = _asked(path, since, export)
        report, old, unmet = asyncio.run(_judge(asked, home, export if prove_old else None, commit))
    problems = [*asked.problems, *(_stale(report, asked) if strict and not record_found else [])]
    if strict:
        problems += [f"the {one.name} proof is missing: {one.detail}" for one in report.missing]
    if old is not None and not old.ok:
        problems.append(f"the code of {since} does not work on the new schema: {old.problem}")
    allowed = report.allowed(stabilized=not unmet) and not problems
    if record_found:
        if report.missing:
            raise ConfigurationError("Nothing is recorded without every proof: " + report.missing[0].detail)
        write_verdicts(asked.folder, record(report))
    judgement = Judgement(report, allowed, (*problems, *report.problems), unmet, old)
    if as_json:
        print_json(page.document(judgement))
    else:
        page.show(judgement)
    if not allowed:
        raise typer.Exit(code=1)


def _asked(path: Path | None, since: str | None, export: Path) -> tuple[Asked, str]:
    """What to judge; with ``since`` that release is written into ``export``."""
    place = path or migrations_dir()
    if not place.exists():
        raise ConfigurationError(f"{place} is not there. Name a folder of migrations, or one file of it.")
    folder = place if place.is_dir() else place.absolute().parent
    files = load_migrations(folder)
    if place.is_file():
        one = next((item for item in files if item.file_name == place.name), None)
        if one is None:
            raise ConfigurationError(
                f"{place} is no migration: name it <YYYYMMDDHHMMSS>_<lower_case_name>.sql."
            )
        files = [item for item in files if item.version <= one.version]
        return Asked(folder, files, {one.version}), ""
    if since is None:
        return Asked(folder, files, {item.version for item in files}), ""
    checkout = released.checkout_of(folder)
    commit = released.export(checkout, since, export)
    found = released.compare(files, export / folder.resolve().relative_to(checkout.root), commit, since)
    return Asked(folder, files, found.new, found.problems), commit


async def _judge(
    asked: Asked, home: Path, export: Path | None, commit: str
) -> tuple[GateReport, OldCodeProof | None, list[str]]:
    async with server_for_scratch() as (url, why):
        report = await check(
            asked.files,
            folder=asked.folder,
            judged=asked.judged,
            url=url,
            no_database=why,
            believe_recorded=True,
        )
    unmet = list(await unmet_gates(home)) if report.destroys else []
    old = await prove_old_code(export, commit, asked.folder) if export is not None else None
    return report, old, unmet


def _stale(report: GateReport, asked: Asked) -> list[str]:
    """What is recorded beside the files and does not fit what was found."""
    problems = [
        f"{ACCEPTED_FILE}: {name} of {one.migration.file_name} accepts nothing; take it out"
        for one in report.files
        for name in one.unused
    ]
    if len(report.files) == len(asked.files) and not report.missing:
        try:
            kept = (asked.folder / VERDICTS_FILE).read_text(encoding="utf-8")
        except OSError:
            kept = ""
        if kept != record(report):
            problems.append(
                f"{VERDICTS_FILE} is not what the gate finds; write it: understudy migrations check --record"
            )
    return problems
