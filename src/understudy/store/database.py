"""Connections to Postgres, and the identity each transaction runs under.

Nothing outlives a transaction: role and claims are set with SET LOCAL only, and a pooled connection that
carries either is thrown away before anybody gets it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Literal
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from pydantic import SecretStr

from understudy.cancelling import checkpoint, unbroken
from understudy.errors import StoreUnavailableError, UnauthenticatedError
from understudy.logs import get_logger

Connection = psycopg.AsyncConnection[DictRow]

#: A request waits this long for a connection; then it is told to come back.
ACQUIRE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5
RECONNECT_TIMEOUT_S = 2.0
RETRY_AFTER_S = 2

#: Ask, at most this often, whether a silent peer still lives: a cut network must surface in seconds.
_KEEPALIVE: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}

_ASK = SQL(
    "SELECT current_user = session_user"
    " AND coalesce(current_setting('request.jwt.claims', true), '') = '' AS clean"
)

_SERVICE_CLAIMS = json.dumps({"role": "service_role"})

log = get_logger(__name__)


class Database:
    """A pool of connections to one database.

    Make it with :meth:`connect`, :meth:`close` it in a ``finally``; every transaction is :meth:`tenant` or
    :meth:`service`.
    """

    def __init__(
        self, url: SecretStr, pool: AsyncConnectionPool[Connection], *, application_name: str
    ) -> None:
        self._url = url
        self._pool = pool
        self._application_name = application_name

    @classmethod
    async def connect(
        cls, url: SecretStr, *, application_name: str, min_size: int = 1, max_size: int = 8
    ) -> Self:
        """Open the pool and prove that the database answers.

        Raises
        ------
        StoreUnavailableError
            It does not; the message has the server's reason, never the password.
        """
        await _probe(url, application_name)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url.get_secret_value(),
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={
                "row_factory": dict_row,
                # Transactions are begun here, together with their identity; see _opening.
                "autocommit": True,
                "application_name": application_name,
                "connect_timeout": CONNECT_TIMEOUT_S,
                **_KEEPALIVE,
            },
            min_size=min_size,
            max_size=max_size,
            timeout=ACQUIRE_TIMEOUT_S,
            # The pool backs off exponentially; giving up early lets the next request try at once instead.
            reconnect_timeout=RECONNECT_TIMEOUT_S,
            open=False,
            name=application_name,
        )
        # Whole before it is used: a loop that ends while the pool still connects would wait for it for ever.
        try:
            await pool.open(wait=True, timeout=ACQUIRE_TIMEOUT_S)
        except PoolTimeout as error:
            await pool.close()
            raise _unavailable(error) from error
        return cls(url, pool, application_name=application_name)

    async def close(self) -> None:
        """Close every connection; safe to repeat."""
        await self._pool.close()

    def tenant(self, user_id: UUID) -> AbstractAsyncContextManager[Connection]:
        """One transaction as ``authenticated`` with this user's claims: row level security decides.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached, or was lost before the commit.
        """
        claims = {"sub": str(user_id), "role": "authenticated"}
        return self._transaction("authenticated", json.dumps(claims))

    def service(self, *, lock: str | None = None) -> AbstractAsyncContextManager[Connection]:
        """One transaction as ``service_role``: sees every tenant, so every statement must name the tenant.

        Parameters
        ----------
        lock
            Transactions of one name run one after the other; it is taken in the message that begins this one.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached, or was lost before the commit.
        """
        return self._transaction("service_role", _SERVICE_CLAIMS, lock)

    async def listen(
        self, *channels: str, ready: Callable[[], None] | None = None
    ) -> AsyncGenerator[tuple[str, str], None]:
        """Yield ``(channel, payload)`` from a connection of its own until it breaks.

        Reconnecting is the caller's.

        The connection ends with the iterator: close it (``aclose``), or run it in a task and cancel that.

        Parameters
        ----------
        ready
            Called once nothing that is sent from then on is missed.

        Raises
        ------
        StoreUnavailableError
            The connection could not be made, or broke: notifications may have been lost.
        """
        try:
            conn = await psycopg.AsyncConnection.connect(
                self._url.get_secret_value(),
                autocommit=True,
                application_name=f"{self._application_name}-listen",
                connect_timeout=CONNECT_TIMEOUT_S,
                **_KEEPALIVE,
            )
            async with conn:
                for channel in channels:
                    await conn.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                if ready is not None:
                    ready()
                async for notice in conn.notifies():
                    yield notice.channel, notice.payload
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    async def _take(self, opening: bytes = _ASK.as_bytes()) -> Connection:
        """A live connection that had no identity, with ``opening`` run on it in one round trip.

        Not by the pool's own hooks: ``check`` waits a second after each connection that a restarted server
        broke, and ``reset`` runs where the pool swallows a cancellation, so that a process that ends without
        closing the pool would hang.
        """
        for _ in range(self._pool.max_size + 1):
            conn = await self._pool.getconn()
            try:
                checkpoint()
                if await unbroken(_opens_clean(conn, opening)):
                    return conn
            except BaseException:
                await unbroken(self._end(conn, commit=False))
                raise
            await unbroken(self._pool.putconn(conn))
        raise PoolTimeout

    @asynccontextmanager
    async def _transaction(
        self, role: str, claims: str, lock: str | None = None
    ) -> AsyncGenerator[Connection]:
        try:
            conn = await self._take(_opening(role, claims, lock))
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreUnavailableError(
                f"The database user may not act as {role}. Grant it: GRANT {role} TO <that user>."
            ) from error
        except (PoolTimeout, PoolClosed, TooManyRequests, psycopg.OperationalError) as error:
            raise _unavailable(error) from error
        try:
            try:
                yield conn
            except BaseException:
                await unbroken(self._end(conn, commit=False))
                raise
            await unbroken(self._end(conn, commit=True))
        except psycopg.errors.ForeignKeyViolation as error:
            if (error.diag.constraint_name or "").endswith("_user_id_fkey"):
                # The account was erased, and its access token still has minutes to live.
                raise UnauthenticatedError from error
            raise
        except psycopg.OperationalError as error:
            if conn.broken:
                raise _unavailable(error) from error
            raise

    async def _end(self, conn: Connection, *, commit: bool) -> None:
        """End the transaction and give the connection back, whatever became of it."""
        try:
            if commit:
                await conn.execute("COMMIT", prepare=False)
            else:
                await _roll_back(conn)
        finally:
            with contextlib.suppress(PoolClosed):
                await self._pool.putconn(conn)


@lru_cache(maxsize=1024)
def _opening(role: str, claims: str, lock: str | None = None) -> bytes:
    """Ask whether the connection is clean, begin, and take the identity: one message, so one round trip."""
    waiting = SQL("; SELECT pg_advisory_xact_lock(hashtextextended({lock}, 0))").format(lock=Literal(lock))
    return (
        SQL(
            "{ask}; BEGIN; SELECT set_config('role', {role}, true),"
            " set_config('request.jwt.claims', {claims}, true){waiting}"
        )
        .format(
            ask=_ASK,
            role=Literal(role),
            claims=Literal(claims),
            waiting=waiting if lock is not None else SQL(""),
        )
        .as_bytes()
    )


async def _opens_clean(conn: Connection, opening: bytes) -> bool:
    """Run ``opening``; false, and the connection closed, when it is dead or carried role or claims."""
    try:
        # Never prepared: it is several statements.
        cursor = await conn.execute(opening, prepare=False)
        row = await cursor.fetchone()
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.Error:
        row = None
    else:
        if row is not None and row["clean"]:
            return True
        log.error("connection_kept_identity")
    await conn.close()
    return False


async def _roll_back(conn: Connection) -> None:
    """End a failed transaction; a connection that cannot even do that is closed, which ends it too."""
    if conn.closed:
        return
    try:
        await conn.execute("ROLLBACK", prepare=False)
    except psycopg.Error:
        await conn.close()


async def _probe(url: SecretStr, application_name: str) -> None:
    try:
        conn = await psycopg.AsyncConnection.connect(
            url.get_secret_value(), application_name=application_name, connect_timeout=CONNECT_TIMEOUT_S
        )
        await conn.close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise StoreUnavailableError(
            f"The database cannot be reached: {reason}. Is it running, and is DATABASE_URL right?",
            retry_after_s=RETRY_AFTER_S,
        ) from None


def _unavailable(error: Exception) -> StoreUnavailableError:
    log.warning("store_unavailable", cause=type(error).__name__)
    return StoreUnavailableError(retry_after_s=RETRY_AFTER_S)
