"""Drift: the history against the files, and the live catalog against what the files give.

What the files give is found out by applying them to a scratch database beside the live one, so that no list
of objects is kept by hand. Where the role may not create a database, a catalog recorded elsewhere stands in.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from understudy.store import catalog, migrations
from understudy.store.catalog import Catalog, Difference, Entry
from understudy.store.catalog_queries import DEFAULT_PRIVILEGES
from understudy.store.migrations import Connection, Migration, SchemaStatus
from understudy.store.statements import split_statements

_SCRATCH = "understudy_scratch_"
#: A killed run leaves its scratch database; the next run after this long removes it.
_SCRATCH_LIFETIME_S = 3600
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    drift
        Whether it makes the database other than it should be; the rest is for information.
    fix
        What to do, as a command or a sentence.
    """

    what: str
    fix: str
    drift: bool = True


@dataclass(frozen=True, slots=True)
class CatalogCheck:
    """How the live catalog was compared.

    Parameters
    ----------
    against
        ``scratch database``, or the file of a recorded catalog; empty when nothing could be compared.
    reason
        Why it could not be compared; empty when it was.
    """

    against: str
    reason: str
    schemas: tuple[str, ...] = ()
    server_version: int | None = None
    fingerprint: str | None = None
    expected_fingerprint: str | None = None

    @property
    def compared(self) -> bool:
        """Whether there was something to compare with."""
        return bool(self.against)


@dataclass(frozen=True, slots=True)
class Drift:
    """Everything that ``understudy db status`` tells."""

    history: SchemaStatus
    catalog: CatalogCheck
    findings: tuple[Finding, ...]

    @property
    def exists(self) -> bool:
        """Whether the database is other than it should be."""
        return any(finding.drift for finding in self.findings)


class ScratchRefusedError(Exception):
    """The role may not create a database."""


async def inspect(url: SecretStr, directory: Path | None = None, recorded: Catalog | None = None) -> Drift:
    """Compare history and catalog of the database at ``url``, changing nothing in it.

    Parameters
    ----------
    recorded
        The catalog to compare with, instead of one made on a scratch database.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached.
    MigrationError
        The folder of migrations cannot be read, or one failed on the scratch database.
    """
    files = migrations.load_migrations(directory)
    async with await migrations.connect_owner(url) as conn:
        history = await migrations.status(conn, directory)
        findings = list(_history_findings(history, files))
        findings += await _statement_findings(conn, history, files)
        if not history.applied:
            return Drift(
                history, CatalogCheck("", "no migration of this version was applied"), tuple(findings)
            )
        live = await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))
        rows = await (await conn.execute("select nspname from pg_catalog.pg_namespace")).fetchall()
        present = {row["nspname"] for row in rows}
        against = "recorded catalog"
        if recorded is None:
            against = "scratch database"
            try:
                recorded = await expected_catalog(url, files, only=history.applied)
            except ScratchRefusedError as error:
                reason = (
                    f"this role may not create a scratch database ({error}). Use a role with CREATEDB, or "
                    "compare with a catalog recorded elsewhere: `understudy db status --against FILE`"
                )
                check = CatalogCheck("", reason, live.schemas, live.server_version, live.fingerprint)
                return Drift(history, check, tuple(findings))
    ours = _comparable(recorded, live, present)
    expected = recorded.only(ours)
    live = live.only(ours)
    differences = catalog.compare(expected, live)
    findings += [_catalog_finding(difference, history, files) for difference in differences]
    if differences and expected.server_version != live.server_version:
        findings.append(
            Finding(
                f"the catalog was recorded on Postgres {expected.server_version}, this server is "
                f"{live.server_version}: descriptions may differ in form",
                "record it on the same major version",
                drift=False,
            )
        )
    check = CatalogCheck(
        against, "", tuple(sorted(ours)), live.server_version, live.fingerprint, expected.fingerprint
    )
    return Drift(history, check, tuple(findings))


async def expected_catalog(
    url: SecretStr, files: Sequence[Migration], *, only: Collection[str] | None = None
) -> Catalog:
    """Return what ``files`` give, by applying them to a scratch database on the server at ``url``.

    Parameters
    ----------
    only
        Versions to apply; all when None.

    Raises
    ------
    ScratchRefusedError
        The role may not create a database.
    MigrationError
        A file failed.
    """
    async with scratch_database(url) as scratch:
        wanted = [migration for migration in files if only is None or migration.version in only]
        await apply_files(scratch, wanted, scratch=True)
        async with await migrations.connect_owner(scratch) as conn:
            return await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))


async def apply_files(
    url: SecretStr, files: Sequence[Migration], *, scratch: bool = False
) -> list[Migration]:
    """Apply those of ``files`` that did not run yet to the database at ``url``, as if there were no others.

    Raises
    ------
    MigrationError
        History and files contradict each other, or a file failed.
    """
    with tempfile.TemporaryDirectory(prefix="understudy-migrations-") as folder:
        for migration in files:
            (Path(folder) / migration.file_name).write_bytes(migration.text.encode())
        return await migrations.migrate(url, Path(folder), scratch=scratch)


@asynccontextmanager
async def scratch_database(url: SecretStr) -> AsyncGenerator[SecretStr]:
    """Make an empty database beside the one at ``url``, with its default privileges; drop it at the end.

    Raises
    ------
    ScratchRefusedError
        The role may not create a database.
    """
    name = f"{_SCRATCH}{int(time.time())}_{os.getpid()}_{os.urandom(3).hex()}"
    async with await migrations.connect_owner(url) as conn:
        defaults = await (await conn.execute(DEFAULT_PRIVILEGES)).fetchall()
        await _drop_stale(conn)
        try:
            await conn.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as error:
            raise ScratchRefusedError(error.diag.message_primary or str(error)) from None
        scratch = SecretStr(make_conninfo(url.get_secret_value(), dbname=name))
        try:
            # A new object's rights depend on the role's default privileges, which lie in each database.
            async with await migrations.connect_owner(scratch) as inside:
                for row in defaults:
                    await inside.execute(row["statement"].encode())
            yield scratch
        finally:
            await drop_database(conn, name)


async def drop_database(conn: Connection, name: str) -> None:
    """Drop a database of this role's, whoever of this role is still connected to it."""
    drop = sql.SQL("drop database if exists {}").format(sql.Identifier(name))
    try:
        await conn.execute(drop + sql.SQL(" with (force)"))
    except psycopg.errors.InsufficientPrivilege:
        # The server's own autovacuum works in it, which only a superuser may end so; a plain drop ends it.
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity"
            " where datname = %s and usename = current_user and pid <> pg_backend_pid()",
            (name,),
        )
        await conn.execute(drop)


async def _drop_stale(conn: Connection) -> None:
    rows = await (
        await conn.execute(
            "select datname from pg_catalog.pg_database where starts_with(datname, %s) "
            "and pg_catalog.pg_has_role(datdba, 'USAGE')",
            (_SCRATCH,),
        )
    ).fetchall()
    for row in rows:
        made = row["datname"].removeprefix(_SCRATCH).split("_")[0]
        if made.isdigit() and int(made) < time.time() - _SCRATCH_LIFETIME_S:
            with contextlib.suppress(psycopg.Error):
                await drop_database(conn, row["datname"])


def _comparable(expected: Catalog, live: Catalog, present: Collection[str]) -> list[str]:
    """Schemas to compare: the live ones of ours, and expected ones that the live database lacks altogether.

    An expected schema that is there but belongs to somebody else (Supabase's ``auth``) is the platform's.
    """
    known = [schema for schema in live.schemas if schema in expected.schemas]
    return known + [schema for schema in expected.schemas if schema not in present]


def _history_findings(history: SchemaStatus, files: Sequence[Migration]) -> Iterator[Finding]:
    names = {migration.version: migration.file_name for migration in files}
    for version in history.pending:
        out_of_order = history.head is not None and version < history.head
        fix = (
            "give it a timestamp after the newest applied one"
            if out_of_order
            else "run `understudy db migrate`"
        )
        yield Finding(f"migration {names[version]} was not applied", fix)
    for version in history.edited:
        yield Finding(
            f"migration {names[version]} was edited after it was applied",
            "put the file back as it was (git log shows it) and write a new migration for the change",
        )
    for version in history.missing:
        yield Finding(
            f"migration {version} was applied, but its file is missing",
            "put the file back, or check that this is the right database",
        )
    for version in history.newer:
        yield Finding(
            f"migration {version} was applied by newer code; this version serves on it",
            "after a code rollback: nothing, the newer schema stays; else install the newer version",
            drift=False,
        )


async def _statement_findings(
    conn: Connection, history: SchemaStatus, files: Sequence[Migration]
) -> list[Finding]:
    """Files that another tool applied have no hash; the statements it kept tell whether they were edited."""
    if not history.unrecorded:
        return []
    rows = await (
        await conn.execute(
            "select version, statements from supabase_migrations.schema_migrations where version = any(%s)",
            (list(history.unrecorded),),
        )
    ).fetchall()
    texts = {migration.version: migration for migration in files}
    findings = []
    for row in sorted(rows, key=lambda row: str(row["version"])):
        migration = texts[row["version"]]
        ran = _essence(";\n".join(row["statements"] or ()))
        if not ran:
            findings.append(
                Finding(
                    f"migration {migration.file_name} was applied by another tool that kept neither hash nor "
                    "statements; it is taken on trust",
                    "nothing, when the catalog below agrees",
                    drift=False,
                )
            )
        elif ran != _essence(migration.text):
            findings.append(
                Finding(
                    f"migration {migration.file_name} is not what another tool applied under its version",
                    "put the file back as it was (git log shows it) and write a new migration for the change",
                )
            )
    return findings


def _essence(text: str) -> list[str]:
    """Statements without what a splitter may drop: comments and white space."""
    statements = (" ".join(_COMMENT.sub("", s.text).split()) for s in split_statements(text))
    return [statement for statement in statements if statement]


def _catalog_finding(difference: Difference, history: SchemaStatus, files: Sequence[Migration]) -> Finding:
    if difference.change == "extra" and (history.newer or history.missing):
        what = f"{difference.what} of this version (newer or missing ones were applied)"
        return Finding(what, "nothing, when one of those made it", drift=False)
    return Finding(difference.what, _fix(difference, files))


def _fix(difference: Difference, files: Sequence[Migration]) -> str:
    entry = difference.entry
    again = _source(entry, files)
    if difference.change == "extra":
        return f"write a migration that makes it, or remove it: {entry.removal};"
    if difference.change == "missing" and entry.kind in {"table", "column"}:
        if entry.kind == "column":
            again = f"add it again, empty: {entry.remedy};"
        return f"its data is lost: restore the database from a backup, or {again}"
    if difference.change == "missing" and entry.remedy:
        return f"{entry.remedy};"
    if entry.kind == "table" and "row security off" in difference.live and entry.remedy:
        return f"{entry.remedy};"
    if entry.kind in {"constraint", "index", "policy", "trigger"} and entry.remedy:
        return f"{entry.removal}; {entry.remedy};"
    return f"{again}, or write a migration for the change"


def _source(entry: Entry, files: Sequence[Migration]) -> str:
    """Where it is written down: a function where it was last replaced, all else where it was first made."""
    word = re.split(r"[ .]", entry.name.split("(", 1)[0].strip())[-1]
    for migration in reversed(files) if entry.kind == "function" else files:
        if re.search(rf"\b{re.escape(word)}\b", migration.text):
            return f"make it again as {migration.file_name} has it"
    return "make it again as the migrations have it"
