"""Restoring a dump into a database of its own, and seeing that it is what was backed up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import DictRow
from pydantic import SecretStr

from understudy.errors import BackupError, StoreUnavailableError
from understudy.store import catalog, drift, migrations
from understudy.store.addresses import database_of, role_of, with_database
from understudy.store.backups.manifest import CATALOG, DUMP, Manifest
from understudy.store.backups.programs import programs_for
from understudy.store.backups.tallies import Tally, differences, tally
from understudy.store.catalog import Catalog
from understudy.store.catalog_queries import DEFAULT_PRIVILEGES

Connection = psycopg.AsyncConnection[DictRow]

#: Names of databases that a restore made: this and a number.
RESTORED = "understudy_r"
#: Databases that every server has, for when the product's own is gone.
_MAINTENANCE = ("postgres", "template1")
_SAID = 5


async def load(url: SecretStr, folder: Path) -> None:
    """Restore the dump of ``folder`` into the empty database at ``url``: all of it, or nothing.

    Raises
    ------
    BackupError
        With the program's own reason; the database is as empty as it was.
    StoreUnavailableError
        The database cannot be reached.
    """
    async with await migrations.connect_owner(url) as conn:
        programs = await programs_for(conn.info.server_version // 10000)
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", str(folder / DUMP)]
    await programs.run("pg_restore", arguments, url=url)


async def compare(url: SecretStr, folder: Path, manifest: Manifest) -> Mapping[str, Tally]:
    """See that the database at ``url`` holds what the backup recorded, row by row and object by object.

    Raises
    ------
    BackupError
        It does not; names what differs.
    """
    expected = read_catalog(folder)
    async with await migrations.connect_owner(url) as conn:
        async with conn.transaction():
            await conn.execute("set transaction isolation level repeatable read, read only")
            found = await tally(conn)
        live = await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))
    problems = differences(manifest.tables, found)
    if live.server_version == expected.server_version:
        problems += [one.what for one in catalog.compare(expected, live)]
    if problems:
        raise BackupError(f"What was restored is not what backup {manifest.id} recorded: {listed(problems)}.")
    return found


def read_catalog(folder: Path) -> Catalog:
    """Return the catalog that a backup recorded; blocks.

    Raises
    ------
    BackupError
        It is damaged.
    """
    try:
        return Catalog.from_json(json.loads((folder / CATALOG).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BackupError(f"The catalog of backup {folder.name} is damaged: {error}.") from None


async def server_of(url: SecretStr) -> SecretStr:
    """Return an address on the server of ``url`` that answers: its own, or another where that is lost.

    Raises
    ------
    StoreUnavailableError
        The server does not answer under any.
    """
    own = database_of(url)
    for name in (own, *(other for other in _MAINTENANCE if other != own)):
        candidate = with_database(url, name)
        try:
            async with await migrations.connect_owner(candidate):
                return candidate
        except StoreUnavailableError:
            continue
    async with await migrations.connect_owner(url):  # the reason is that of its own address
        return url


async def next_name(url: SecretStr, taken: Sequence[str] = ()) -> str:
    """Return a name that no database of the server has: ``understudy_r`` and the next number."""
    async with await migrations.connect_owner(url) as conn:
        rows = await (
            await conn.execute(
                "select datname from pg_catalog.pg_database where starts_with(datname, %s)", (RESTORED,)
            )
        ).fetchall()
    names = {str(row["datname"]) for row in rows} | set(taken)
    numbers = [int(tail) for name in names if (tail := name.removeprefix(RESTORED)).isdigit()]
    return f"{RESTORED}{max(numbers, default=0) + 1}"


async def make_database(url: SecretStr, name: str, *, app_url: SecretStr) -> SecretStr:
    """Make the database ``name`` empty, whatever a killed run left of it; return its owner's URL.

    Only the role of ``app_url`` may connect to it beside its owner, as with the present one.

    Raises
    ------
    BackupError
        The role may not create databases.
    """
    fresh = with_database(url, name)
    async with await migrations.connect_owner(url) as conn:
        defaults = await (await conn.execute(DEFAULT_PRIVILEGES)).fetchall()
        try:
            # An orphaned pg_restore of a killed run is connected to it: force ends that one as well.
            await drift.drop_database(conn, name)
            await conn.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            role = role_of(app_url)
            if role and role != role_of(url):
                target = sql.Identifier(name)
                await conn.execute(sql.SQL("revoke all on database {} from public").format(target))
                await conn.execute(
                    sql.SQL("grant connect on database {} to {}").format(target, sql.Identifier(role))
                )
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as error:
            raise BackupError(
                f"No database can be made beside the present one ({error.diag.message_primary or error}). "
                "Give the role of MIGRATION_DATABASE_URL the right: ALTER ROLE ... CREATEDB."
            ) from None
    async with await migrations.connect_owner(fresh) as inside:
        for row in defaults:
            await inside.execute(row["statement"].encode())
    return fresh


async def drop_database(url: SecretStr, name: str) -> None:
    """Drop a database that a restore made; never another."""
    if not name.startswith(RESTORED) or not name.removeprefix(RESTORED).isdigit():
        raise BackupError(f"{name} is no database of a restore; it is not dropped.")
    async with await migrations.connect_owner(url) as conn:
        await drift.drop_database(conn, name)


async def analyze(url: SecretStr) -> None:
    """Let the planner know the restored tables: a dump brings no statistics with it."""
    async with await migrations.connect_owner(url) as conn:
        await conn.execute("analyze")


def listed(problems: Sequence[str]) -> str:
    """Name the first few."""
    more = f" and {len(problems) - _SAID} more" if len(problems) > _SAID else ""
    return "; ".join(problems[:_SAID]) + more


async def restore_into(
    url: SecretStr, name: str, folder: Path, manifest: Manifest, *, app_url: SecretStr
) -> int:
    """Make the database ``name``, restore into it, compare; return how many rows it holds.

    Raises
    ------
    BackupError
        It could not be done; what there is of the database is not used.
    """
    fresh = await make_database(url, name, app_url=app_url)
    await load(fresh, folder)
    found = await compare(fresh, folder, manifest)
    await analyze(fresh)
    return sum(table.rows for table in found.values())


async def decode(folder: Path, server_version: int) -> None:
    """Decode the whole dump; a listing alone succeeds on a truncated one.

    Raises
    ------
    BackupError
        It cannot be decoded.
    """
    programs = await programs_for(server_version)
    try:
        await programs.run("pg_restore", ["--file=/dev/null", str(folder / DUMP)])
    except BackupError as error:
        raise BackupError(f"The dump of backup {folder.name} cannot be decoded: {error.message}") from None
