"""The guard's store in a Postgres that is not the product's: for two guards on two machines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from understudy.errors import ConfigurationError, StoreUnavailableError
from understudy.logs import get_logger
from understudy.store.guard.backend import Row, Values
from understudy.store.guard.schema import POSTGRES_SCHEMA, POSTGRES_SCRIPTS

#: Calls block the guard's loop, so each is short; libpq knows no shorter connect timeout.
_CONNECT_TIMEOUT_S = 2
_STATEMENT_TIMEOUT_MS = 2000
_LOCK_TIMEOUT_MS = 1500
#: A commit waits for a report to be written; a guard that froze inside one must not hold the lock for long.
_IDLE_IN_TRANSACTION_MS = 10_000
#: While it is away, a connect is tried at most this often: each try blocks the loop.
_RECONNECT_AFTER_S = 1.0
#: Every writer takes this advisory lock: one chain, one order.
_WRITER_LOCK = 0x6775617264  # "guard"

log = get_logger(__name__)

_Connection = psycopg.Connection[DictRow]


class PostgresBackend:
    """One connection, made again after it was lost.

    Parameters
    ----------
    product_url
        The product's database, which this must not be.

    Raises
    ------
    ConfigurationError
        It cannot be reached, or it is the product's.
    """

    def __init__(self, url: SecretStr, *, product_url: SecretStr) -> None:
        self._url = url
        self._where, server = _place_of(url, "GUARD_STORE_URL")
        product, product_server = (
            _place_of(product_url, "DATABASE_URL") if product_url.get_secret_value() else ("", "")
        )
        if self._where == product:
            raise ConfigurationError(_IS_PRODUCT)
        if server == product_server:
            # Outlives a restore of the product's database, not the loss of their common server.
            log.warning("guard_store_shares_the_products_server", server=server)
        self._conn: _Connection | None = None
        self._failed_at_s: float | None = None
        self._in_transaction = False
        try:
            self._prepare()
        except StoreUnavailableError as error:
            raise ConfigurationError(f"GUARD_STORE_URL cannot be used: {error.message}") from error
        except psycopg.Error as error:
            raise ConfigurationError(
                f"GUARD_STORE_URL ({self._where}) cannot be used: {_said(error)}. Its role must be able to "
                f"create the schema {POSTGRES_SCHEMA}."
            ) from error

    def _prepare(self) -> None:
        found = self.run(
            "SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = 'understudy' AND relname IN ('provider_mode', 'provider_calls')"
        )
        if found:
            self.close()
            raise ConfigurationError(_IS_PRODUCT)
        with self.writing():
            self.run(f"CREATE SCHEMA IF NOT EXISTS {POSTGRES_SCHEMA}")

    @property
    def place(self) -> str:
        """Server and database, without role and password."""
        return self._where

    # --- the connection -------------------------------------------------------------------------------------

    def _connected(self) -> _Connection:
        if self._conn is not None and not self._conn.closed:
            return self._conn
        if self._in_transaction:
            raise StoreUnavailableError(f"The guard's store {self._where} was lost in a transaction.")
        now_s = time.monotonic()
        if self._failed_at_s is not None and now_s - self._failed_at_s < _RECONNECT_AFTER_S:
            raise StoreUnavailableError(f"The guard's store {self._where} cannot be reached.")
        options = " ".join(
            f"-c {name}={value}"
            for name, value in {
                "search_path": POSTGRES_SCHEMA,
                "statement_timeout": _STATEMENT_TIMEOUT_MS,
                "lock_timeout": _LOCK_TIMEOUT_MS,
                "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
                "timezone": "UTC",
            }.items()
        )
        try:
            self._conn = psycopg.Connection[DictRow].connect(
                self._url.get_secret_value(),
                autocommit=True,
                row_factory=cast("Any", dict_row),
                cursor_factory=psycopg.ClientCursor,
                application_name="understudy-guard-store",
                connect_timeout=_CONNECT_TIMEOUT_S,
                keepalives_idle=10,
                keepalives_interval=3,
                keepalives_count=3,
                tcp_user_timeout=_STATEMENT_TIMEOUT_MS * 2,
                options=options,
            )
        except psycopg.Error as error:
            self._failed_at_s = time.monotonic()
            raise self._unavailable(error) from error
        self._failed_at_s = None
        return self._conn

    def _drop(self) -> None:
        if self._conn is not None:
            with suppress(psycopg.Error):
                self._conn.close()
            self._conn = None

    def _unavailable(self, error: psycopg.Error) -> StoreUnavailableError:
        return StoreUnavailableError(f"The guard's store {self._where} failed: {_said(error)}")

    def _run_once(self, statement: str, values: Values | None) -> list[Row]:
        with self._connected().cursor() as cursor:
            cursor.execute(_in_postgres(statement), dict(values) if values else None)
            return list(cursor.fetchall()) if cursor.description else []

    def run(self, statement: str, values: Values | None = None) -> list[Row]:
        """Run one statement; see :class:`Backend`. A connection that was lost while idle is replaced once."""
        try:
            return self._run_once(statement, values)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            lost = self._conn is None or self._conn.closed
            if lost and not self._in_transaction:
                self._drop()
                try:
                    return self._run_once(statement, values)
                except (psycopg.OperationalError, psycopg.InterfaceError) as again:
                    raise self._unavailable(again) from again
            raise self._unavailable(error) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Take the writers' lock for one transaction; see :class:`Backend`."""
        self.run("BEGIN")
        self._in_transaction = True
        try:
            self.run("SELECT pg_advisory_xact_lock(:lock)", {"lock": _WRITER_LOCK})
            yield
            self.run("COMMIT")
        except BaseException:
            self._undo()
            raise
        finally:
            self._in_transaction = False

    def _undo(self) -> None:
        """Roll back, or drop a connection that cannot: the server then rolls back by itself."""
        try:
            if self._conn is not None and not self._conn.closed:
                self._conn.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def now(self) -> datetime:
        """The database's clock: guards on two machines must not compare their own."""
        at: datetime = self.run("SELECT clock_timestamp() AS now")[0]["now"]
        return at.astimezone(UTC)

    def version(self) -> int:
        """Version of the schema that is there; 0 for none."""
        if not self.run(f"SELECT to_regclass('{POSTGRES_SCHEMA}.meta') IS NOT NULL AS there")[0]["there"]:
            return 0
        return int(self.run("SELECT value FROM meta WHERE key = 'schema_version'")[0]["value"])

    def upgrade(self, version: int) -> None:
        """Take the schema to ``version``; see :class:`Backend`."""
        # Raw: a script has several statements, and colons that are no values.
        self._connected().execute(sql.SQL(POSTGRES_SCRIPTS[version - 1]))
        self.run(
            "INSERT INTO meta VALUES ('schema_version', :version)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            {"version": str(version)},
        )

    def close(self) -> None:
        """Close the connection."""
        self._drop()


_IS_PRODUCT = (
    "GUARD_STORE_URL points to the product's database (DATABASE_URL): a restore of it would erase the "
    "incident that ordered it. Give another Postgres, on another server, or leave it empty: "
    "the store is then a file on this machine."
)
_DEFAULT_PORT = "5432"


@lru_cache(maxsize=256)
def _in_postgres(statement: str) -> str:
    """Turn ``:name`` into psycopg's placeholder."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement)


def _place_of(url: SecretStr, setting: str) -> tuple[str, str]:
    """Return ``host:port/database`` and ``host:port`` of a URL."""
    try:
        parts = conninfo_to_dict(url.get_secret_value())
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            f"{setting} is no Postgres URL; expected postgresql://user:password@host:5432/name."
        ) from None
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    if host in {"127.0.0.1", "::1"}:
        host = "localhost"
    server = f"{host.lower()}:{parts.get('port') or _DEFAULT_PORT}"
    return f"{server}/{parts.get('dbname') or parts.get('user') or ''}", server


def _said(error: psycopg.Error) -> str:
    """First line of what the server or libpq said; neither quotes a password."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
