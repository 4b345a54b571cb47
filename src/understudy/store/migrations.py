"""Our own migration runner: plain timestamped ``.sql`` files, Supabase's history table, file hashes.

Each file is one transaction together with its history row. History says what ran; the files say what this
version needs. A database *ahead* of the files (a code rollback) is served with a warning; one whose files
were edited or are gone, or that lacks some, is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from understudy.errors import MigrationError, StoreUnavailableError
from understudy.logs import get_logger
from understudy.resources import migrations_dir
from understudy.store.statements import Statement, split_statements

#: Any constant of ours: two runners on one database take turns on it.
LOCK_KEY = 0x756E646572737464
LOCK_WAIT_S = 60
#: A statement that waits longer for a table gives up, rather than queue every request behind itself.
TABLE_LOCK_WAIT_S = 4
_FILE_NAME = re.compile(r"^(\d{14})_([a-z0-9_]+)\.sql$")
_TRANSACTION_WORDS = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT"})

#: Made before the first file, for the runner needs them. The second as in migrations/..._restoration.sql.
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text
);
create schema if not exists understudy;
create table if not exists understudy.migration_files (
    version text primary key, name text not null, sha256 text not null,
    applied_at timestamptz not null default now()
);
"""

#: The history, for those who reach a database through somebody else's query service.
HISTORY_QUERY = "select version, name from supabase_migrations.schema_migrations order by version"

Connection = psycopg.AsyncConnection[DictRow]
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file. ``version`` is its UTC timestamp, ``YYYYMMDDHHMMSS``."""

    version: str
    name: str
    sha256: str
    text: str

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return f"{self.version}_{self.name}.sql"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A migration that ran; the digest is None where another tool applied it."""

    version: str
    name: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The database against the files.

    Parameters
    ----------
    applied
        Versions of ours that ran, in order.
    pending
        Files that did not run yet.
    newer
        Versions in the history above our newest file: another, newer code applied them.
    edited
        Files whose content is no longer what ran.
    missing
        Versions in the history at or below our newest file that have no file.
    unrecorded
        Versions that another tool applied, so that no hash was kept; they are taken on trust.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    newer: tuple[str, ...]
    edited: tuple[str, ...]
    missing: tuple[str, ...]
    unrecorded: tuple[str, ...]

    @property
    def head(self) -> str | None:
        """The newest version in the database."""
        return max((*self.applied, *self.newer), default=None)

    def check_history(self) -> None:
        """Raise :class:`MigrationError` when history and files contradict each other."""
        if self.edited:
            raise MigrationError(
                f"Migration {_listed(self.edited)} was edited after it was applied. Put the file back as it "
                "was (git log shows it) and write a new migration for the change."
            )
        if self.missing:
            raise MigrationError(
                f"Migration {_listed(self.missing)} was applied to this database, but its file is missing "
                "although newer files are here. Put the file back, or check that this is the right database."
            )
        out_of_order = [version for version in self.pending if self.head and version < self.head]
        if out_of_order:
            raise MigrationError(
                f"Migration {_listed(out_of_order)} is older than the newest applied one ({self.head}) but "
                "never ran. Give it a newer timestamp, or use the code this database was migrated with."
            )

    def check_serving(self) -> None:
        """Raise :class:`MigrationError` unless this code may serve on this database; newer ones only warn."""
        self.check_history()
        if self.pending:
            raise MigrationError(
                f"The database lacks migration {_listed(self.pending)}. Run `understudy db migrate`."
            )
        if self.newer:
            log.warning("database_newer_than_code", unknown_migrations=list(self.newer))


#: Asked with the pending files and the history before anything runs; what it raises stops everything.
BeforeMigrating = Callable[[Sequence[Migration], SchemaStatus], Awaitable[None]]


def load_migrations(directory: Path | None = None) -> list[Migration]:
    """Read the migration files in order of their versions.

    Raises
    ------
    MigrationError
        The folder is not there, a file is not named ``<YYYYMMDDHHMMSS>_<name>.sql``, or two share a version.
    """
    folder = directory or migrations_dir()
    if not folder.is_dir():
        raise MigrationError(f"{folder} is not a folder; it should hold the migrations.")
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name a migration <YYYYMMDDHHMMSS>_<lower_case_name>.sql.")
        version, name = match.groups()
        if version in found:
            raise MigrationError(f"{path.name} and {found[version].file_name} have the same version.")
        content = path.read_bytes()
        found[version] = Migration(version, name, hashlib.sha256(content).hexdigest(), content.decode())
    return list(found.values())


async def status(conn: Connection, directory: Path | None = None) -> SchemaStatus:
    """Compare the database with the files; reads only."""
    migrations = load_migrations(directory)
    ran, hashes = await read_history(conn)
    known = {migration.version for migration in migrations}
    newest = max(known, default="")
    return SchemaStatus(
        applied=tuple(m.version for m in migrations if m.version in ran),
        pending=tuple(m.version for m in migrations if m.version not in ran),
        newer=tuple(sorted(version for version in ran if version > newest)),
        edited=tuple(m.version for m in migrations if hashes.get(m.version, m.sha256) != m.sha256),
        missing=tuple(sorted(version for version in ran - known if version <= newest)),
        unrecorded=tuple(m.version for m in migrations if m.version in ran and m.version not in hashes),
    )


async def check_serving(conn: Connection, directory: Path | None = None) -> SchemaStatus:
    """Refuse to serve on a schema this code does not fit.

    Raises
    ------
    MigrationError
        Migrations are pending, edited or missing. Unknown newer ones are only logged: a code rollback must
        start.
    """
    found = await status(conn, directory)
    found.check_serving()
    return found


async def migrate(
    url: SecretStr,
    directory: Path | None = None,
    *,
    scratch: bool = False,
    before: BeforeMigrating | None = None,
) -> list[Migration]:
    """Apply what is pending, in order, one transaction a file; return what was applied.

    Parameters
    ----------
    scratch
        The database is thrown away again: nothing of it is logged.
    before
        Asked with what is pending, on a database that was migrated before; what it raises stops everything.

    Raises
    ------
    MigrationError
        Files and history contradict each other, or a statement failed: its file is rolled back, earlier files
        stay, and the message names file, line and SQLSTATE.
    StoreUnavailableError
        The database cannot be reached.
    """
    migrations = load_migrations(directory)
    parsed = {migration.version: _parse(migration) for migration in migrations}
    async with await connect_owner(url) as conn:
        await _lock(conn)
        try:
            async with conn.transaction():
                await conn.execute(_HISTORY.encode())
        except psycopg.Error as error:
            raise MigrationError(
                f"The migration history cannot be made: {_cause(error)}. MIGRATION_DATABASE_URL must name a "
                "role that may create schemas in this database."
            ) from None
        found = await status(conn, directory)
        found.check_history()
        todo = [migration for migration in migrations if migration.version in found.pending]
        if before is not None and todo and found.applied:
            await before(todo, found)
        for migration in todo:
            await _apply(conn, migration, parsed[migration.version])
            if not scratch:
                log.info("migration_applied", version=migration.version, name=migration.name)
    return todo


async def connect_owner(url: SecretStr) -> Connection:
    """Connect as the schema's owner, in autocommit.

    Raises
    ------
    StoreUnavailableError
        With the server's own reason; never with the password.
    """
    try:
        return await psycopg.AsyncConnection.connect(
            url.get_secret_value(),
            autocommit=True,
            row_factory=dict_row,
            application_name="understudy-migrate",
            connect_timeout=10,
        )
    except psycopg.Error as error:
        raise StoreUnavailableError(
            f"The database cannot be reached: {str(error).strip().splitlines()[0]}. Is it running, and is "
            "MIGRATION_DATABASE_URL right?"
        ) from None


async def _lock(conn: Connection) -> None:
    """Take the runner's turn; it ends with the connection."""
    await conn.execute("select set_config('lock_timeout', %s, false)", (f"{LOCK_WAIT_S}s",))
    try:
        await conn.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"Another migration has been running on this database for {LOCK_WAIT_S} s. Try again after it."
        ) from None


def _parse(migration: Migration) -> list[Statement]:
    statements = split_statements(migration.text)
    for statement in statements:
        if statement.keyword in _TRANSACTION_WORDS:
            raise MigrationError(
                f"{migration.file_name} line {statement.line_at(None)}: {statement.keyword} is not allowed; "
                "a migration is one transaction already."
            )
    return statements


async def _apply(conn: Connection, migration: Migration, statements: Sequence[Statement]) -> None:
    current: Statement | None = None
    try:
        async with conn.transaction():
            await conn.execute("select set_config('lock_timeout', %s, true)", (f"{TABLE_LOCK_WAIT_S}s",))
            for current in statements:
                await conn.execute(current.text.encode())
            current = None
            # A migration that changed these for its own statements must not change them for the history.
            await conn.execute("reset role")
            await conn.execute(
                "insert into supabase_migrations.schema_migrations (version, statements, name) "
                "values (%s, %s, %s)",
                (migration.version, [statement.text for statement in statements], migration.name),
            )
            await conn.execute(
                "insert into understudy.migration_files (version, name, sha256) values (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
    except psycopg.OperationalError as error:
        if conn.broken:
            raise StoreUnavailableError(
                f"The connection was lost while {migration.file_name} ran; it was not applied. Run it again."
            ) from None
        raise _failure(migration, current, error) from None
    except psycopg.Error as error:
        raise _failure(migration, current, error) from None


def _failure(migration: Migration, statement: Statement | None, error: psycopg.Error) -> MigrationError:
    position = error.diag.statement_position
    line = statement.line_at(int(position) if position else None) if statement else None
    where = f"{migration.file_name} line {line}" if line else migration.file_name
    hint = ""
    if isinstance(error, psycopg.errors.LockNotAvailable):
        hint = f" A table was in use for more than {TABLE_LOCK_WAIT_S} s; try again at a quieter time."
    return MigrationError(
        f"{where} failed: {_cause(error)}. Nothing of this file was applied; earlier files stay.{hint}"
    )


def _cause(error: psycopg.Error) -> str:
    return f"{error.diag.message_primary or str(error).strip()} (SQLSTATE {error.sqlstate or 'unknown'})"


async def read_history(conn: Connection) -> tuple[set[str], dict[str, str]]:
    """Read the versions that ran, and the SHA-256 of each file that this runner applied."""
    ran = await _rows(conn, ("supabase_migrations", "schema_migrations"), ("version",))
    hashes = await _rows(conn, ("understudy", "migration_files"), ("version", "sha256"))
    return {row["version"] for row in ran}, {row["version"]: row["sha256"] for row in hashes}


async def read_applied(conn: Connection) -> list[HistoryRow]:
    """Read every migration that ran, oldest first."""
    table, columns = ("supabase_migrations", "schema_migrations"), ("version", "name")
    try:
        ran = await _rows(conn, table, columns)
    except psycopg.errors.InsufficientPrivilege:
        # The application's own role: it reads the history as the service does.
        await conn.execute("set role service_role")
        ran = await _rows(conn, table, columns)
    _, hashes = await read_history(conn)
    rows = (HistoryRow(row["version"], row["name"] or "", hashes.get(row["version"])) for row in ran)
    return sorted(rows, key=lambda row: row.version)


async def _rows(conn: Connection, table: tuple[str, str], columns: Sequence[str]) -> list[dict[str, Any]]:
    present = await (await conn.execute("select to_regclass(%s) as found", (".".join(table),))).fetchone()
    if present is None or present["found"] is None:
        return []
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("select {} from {}").format(names, sql.Identifier(*table))
    return await (await conn.execute(query)).fetchall()


def _listed(versions: Sequence[str]) -> str:
    return ", ".join(versions)
