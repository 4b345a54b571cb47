"""``understudy db``: the schema of the database this installation uses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import typer
from pydantic import SecretStr
from rich.markup import escape
from rich.table import Table

from understudy.cli.output import console, print_json, reports_errors
from understudy.errors import ConfigurationError, MigrationError, StoreUnavailableError
from understudy.logs import configure_logging
from understudy.settings import ENV_FILE_VARIABLE, Settings, load_settings
from understudy.store import migrations
from understudy.store.catalog import Catalog
from understudy.store.drift import Drift, ScratchRefusedError, expected_catalog, inspect
from understudy.store.embedded import placement, roles
from understudy.store.embedded.server import EmbeddedPostgres

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Migrate, inspect or empty the database."""
    # Standard output is for the answer alone, and for a person progress is noise here.
    configure_logging("db", level="warning")


_JSON = typer.Option(False, "--json", help="One JSON document on standard output.")


@app.command(epilog="Example: understudy db migrate")
@reports_errors
def migrate(as_json: bool = _JSON) -> None:
    """Apply the migrations that this version needs and the database lacks.

    Each file is one transaction: a failing one leaves nothing of itself, and earlier ones stay. On a database
    that is in use, what is pending passes the migration gate first ([bold]understudy migrations check[/]):
    what is not additive is refused and nothing runs.
    """
    applied = asyncio.run(_migrate())
    if as_json:
        print_json({"applied": [{"version": m.version, "name": m.name} for m in applied]})
        return
    for migration in applied:
        console.print(f"applied [bold]{migration.version}[/] {migration.name}")
    console.print(f"{len(applied)} applied" if applied else "Nothing to apply: the database is up to date.")


#: The catalog could not be compared: neither drift nor its absence is proven.
NOT_COMPARED = 3


@app.command(epilog="Example: understudy db status --json")
@reports_errors
def status(
    against: Path | None = typer.Option(
        None, "--against", metavar="FILE", help="Compare with a catalog that --record wrote."
    ),
    record: Path | None = typer.Option(
        None,
        "--record",
        metavar="FILE",
        help="Write what this version's migrations give, and compare nothing.",
    ),
    as_json: bool = _JSON,
) -> None:
    """Compare the database with the migrations of this version: history, files and live catalog.

    What the migrations give is found on a scratch database on the same server, which is dropped again; the
    database itself is only read. Exit code 1: it drifted, each line says how and what to do. Exit code 3:
    this role may create no scratch database and no [bold]--against[/] was given: not compared.
    """
    if record is not None:
        found = _record(record)
        if as_json:
            print_json({"recorded": str(record), "fingerprint": found.fingerprint})
        else:
            console.print(f"{record}: {len(found.entries)} objects, fingerprint {found.fingerprint}")
        return
    recorded = _read_catalog(against) if against is not None else None
    drift = asyncio.run(_status(recorded))
    problem: str | None = None
    try:
        drift.history.check_serving()
    except MigrationError as error:
        problem = error.message
    if as_json:
        print_json(_as_document(drift, problem))
    else:
        _show(drift, problem)
    if problem is not None or drift.exists:
        raise typer.Exit(code=1)
    if not drift.catalog.compared:
        raise typer.Exit(code=NOT_COMPARED)


@app.command(epilog="Example: understudy db reset --yes")
@reports_errors
def reset(
    yes: bool = typer.Option(False, "--yes", envvar="UNDERSTUDY_YES", help="Do not ask."),
    remove: bool = typer.Option(False, "--remove", help="Make no new database: leave nothing behind."),
    as_json: bool = _JSON,
) -> None:
    """Delete [bold]everything[/] of this machine's own embedded database, then make and migrate a new one.

    The data folder goes as a whole, also where it lies outside the home (below /var/lib, as root). Only the
    embedded database can be reset, and only while nothing runs on it: stop [bold]understudy up[/] first. A
    database of your own is never emptied by this program. Stored audio files stay.
    """
    settings = _settings()
    if not _is_embedded(settings) and not _is_new(settings):
        raise ConfigurationError(
            f"The database is not the embedded one of {settings.understudy_home} (UNDERSTUDY_HOME), and only "
            "that one is ever emptied. Empty a database of your own with its own tools."
        )
    if not yes:
        typer.confirm(
            f"Delete all accounts, voices and generations of {settings.understudy_home}?",
            abort=True,
            err=True,
        )
    applied = asyncio.run(_reset(settings, remove=remove))
    aside = [str(folder) for folder in placement.set_aside(settings.understudy_home)]
    if as_json:
        versions = [{"version": m.version, "name": m.name} for m in applied]
        print_json({"reset": True, "removed": remove, "applied": versions, "set_aside": aside})
        return
    console.print("Removed." if remove else f"Emptied; {len(applied)} migrations applied.")
    for folder in aside:
        console.print(
            f"Data of an earlier, deleted home at this path is still in {folder}; remove it by hand."
        )


def _settings() -> Settings:
    """Settings, from this machine's own environment file when the caller names none."""
    home = Path(os.environ.get("UNDERSTUDY_HOME", Settings.model_fields["understudy_home"].default))
    environment = home / "understudy.env"
    if ENV_FILE_VARIABLE not in os.environ and environment.is_file():
        os.environ[ENV_FILE_VARIABLE] = str(environment)
    return load_settings()


def _configured_url(settings: Settings) -> SecretStr | None:
    for url in (settings.migration_database_url, settings.database_url):
        if url.get_secret_value():
            return url
    return None


def _is_embedded(settings: Settings) -> bool:
    """Whether the database is the embedded one of the home: proven by the password it was made with."""
    home, url = settings.understudy_home, _configured_url(settings)
    if not (home / roles.PASSWORDS_FILE).is_file():
        return False
    if url is None:
        return True
    try:
        parts = psycopg.conninfo.conninfo_to_dict(url.get_secret_value())
    except psycopg.ProgrammingError:
        return False
    passwords = roles.load_passwords(home, data_exists=True)
    return (
        parts.get("password") in {passwords.owner, passwords.app}
        and parts.get("host") == "127.0.0.1"
        and roles.is_product_database(str(parts.get("dbname")))
    )


def _is_new(settings: Settings) -> bool:
    """Whether nothing is there to be lost: no database is named, and none was ever made in the home."""
    return (
        _configured_url(settings) is None and not (settings.understudy_home / roles.PASSWORDS_FILE).is_file()
    )


@asynccontextmanager
async def _owner_database() -> AsyncIterator[SecretStr]:
    """URL of the schema's owner; an embedded server that does not run is started for the while."""
    settings = _settings()
    url = _configured_url(settings)
    if not _is_embedded(settings):
        if url is None:
            settings.require("migration_database_url")
            return
        yield url
        return
    if url is not None:
        with contextlib.suppress(StoreUnavailableError):
            async with await migrations.connect_owner(url):
                pass
            yield url
            return
    async with _own_server(settings) as owner:
        yield owner


@asynccontextmanager
async def _own_server(settings: Settings) -> AsyncIterator[SecretStr]:
    """Start the embedded server for the while; refused by name while something else runs it."""
    server = EmbeddedPostgres(settings.understudy_home)
    await server.start()
    try:
        yield server.migration_database_url
    finally:
        await server.stop()


async def _migrate() -> list[migrations.Migration]:
    from understudy.cli.stabilization import passing_the_gate  # noqa: PLC0415  (`db status` need not load it)

    async with _owner_database() as url:
        return await migrations.migrate(url, before=passing_the_gate(_settings().understudy_home)(url))


async def _status(recorded: Catalog | None) -> Drift:
    async with _owner_database() as url:
        try:
            return await inspect(url, recorded=recorded)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"The role may not read the migration history ({error.diag.message_primary}). Set "
                "MIGRATION_DATABASE_URL to the role that migrates."
            ) from None


async def _expected() -> Catalog:
    async with _owner_database() as url:
        try:
            return await expected_catalog(url, migrations.load_migrations())
        except ScratchRefusedError as error:
            raise ConfigurationError(
                f"The role may not create a scratch database ({error}). Record with a role that has CREATEDB."
            ) from None


def _record(path: Path) -> Catalog:
    found = asyncio.run(_expected())
    try:
        path.write_text(json.dumps(found.as_json(), ensure_ascii=False, indent=0) + "\n")
    except OSError as error:
        raise ConfigurationError(f"Cannot write {path}: {error.strerror}.") from None
    return found


def _read_catalog(path: Path) -> Catalog:
    try:
        return Catalog.from_json(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(
            f"{path} cannot be compared with: {error}. Write it again with `understudy db status --record`."
        ) from None


async def _reset(settings: Settings, *, remove: bool) -> list[migrations.Migration]:
    server = EmbeddedPostgres(settings.understudy_home)
    await server.erase()
    if remove:
        return []
    await server.start()
    try:
        return await migrations.migrate(server.migration_database_url)
    finally:
        await server.stop()


def _as_document(drift: Drift, problem: str | None) -> dict[str, Any]:
    history = drift.history
    return {
        **asdict(history),
        "head": history.head,
        "serves": problem is None,
        "problem": problem,
        "drift": drift.exists,
        "catalog": {**asdict(drift.catalog), "compared": drift.catalog.compared},
        "findings": [asdict(finding) for finding in drift.findings],
    }


def _show(drift: Drift, problem: str | None) -> None:
    history = drift.history
    table = Table("version", "state")
    states: dict[str, Any] = dict.fromkeys(history.applied, "applied")
    states |= dict.fromkeys(history.unrecorded, "applied by another tool, hash unknown")
    states |= dict.fromkeys(history.pending, "[yellow]pending[/]")
    states |= dict.fromkeys(history.newer, "[yellow]newer than this version; served with a warning[/]")
    states |= dict.fromkeys(history.edited, "[red]file edited after it was applied[/]")
    states |= dict.fromkeys(history.missing, "[red]applied, but its file is missing[/]")
    for version in sorted(states):
        table.add_row(version, states[version])
    console.print(table)
    for finding in drift.findings:
        colour, word = ("red", "drift") if finding.drift else ("yellow", "note")
        console.print(f"[{colour}]{word}[/] {escape(finding.what)}", highlight=False, soft_wrap=True)
        console.print(f"      fix: {escape(finding.fix)}", highlight=False, soft_wrap=True)
    check = drift.catalog
    if check.compared:
        told = f"Catalog of {', '.join(check.schemas)} compared with a {check.against}: "
        agrees = "equal" if check.fingerprint == check.expected_fingerprint else "different"
        console.print(f"{told}{agrees}, fingerprint {check.fingerprint}", highlight=False, soft_wrap=True)
    else:
        console.print(
            f"[yellow]Catalog not compared[/]: {escape(check.reason)}", highlight=False, soft_wrap=True
        )
    console.print(
        f"[red]{escape(problem)}[/]" if problem else "[green]This version can serve on this database.[/]",
        soft_wrap=True,
    )
