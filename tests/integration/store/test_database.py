"""The pool: identities that end with their transaction, errors that say what to do, recovery."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.cutting import cut_at
from tests.integration.conftest import FAST, CreateUser, DatabaseUrls
from understudy.errors import StoreUnavailableError
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]
IDENTITY = """
    select current_user as role, session_user as login, current_setting('role') as setting,
           coalesce(current_setting('request.jwt.claims', true), '') as claims, pg_backend_pid() as pid
"""


@pytest_asyncio.fixture
async def single(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """A pool of one connection, so that every transaction reuses it."""
    opened = await Database.connect(database_urls.app, application_name="single", max_size=1)
    yield opened
    await opened.close()


async def bare_identity(database: Database) -> dict[str, object]:
    """What a pooled connection carries when it is taken out without asking for an identity."""
    conn = await database._take()
    row = await (await conn.execute(IDENTITY)).fetchone()
    await conn.rollback()
    await database._pool.putconn(conn)
    assert row is not None
    return row


async def test_a_pooled_connection_carries_no_role_or_claims_over(single: Database) -> None:
    user = uuid.uuid4()
    first = await bare_identity(single)
    async with single.tenant(user) as conn:
        inside = await (await conn.execute(IDENTITY)).fetchone()
    assert inside is not None
    assert inside["role"] == "authenticated"
    assert str(user) in str(inside["claims"])
    after = await bare_identity(single)
    assert after == first | {"claims": ""}
    assert after["role"] == after["login"] == "understudy_app"


async def test_neither_does_one_whose_transaction_failed_or_was_cancelled(single: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with single.tenant(uuid.uuid4()) as conn:
            await conn.execute("select 1 / 0")
    assert (await bare_identity(single))["role"] == "understudy_app"

    started = asyncio.Event()

    async def wait_inside() -> None:
        async with single.tenant(uuid.uuid4()) as conn:
            started.set()
            await conn.execute("select pg_sleep(60)")

    waiting = asyncio.create_task(wait_inside())
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    carried = await bare_identity(single)
    assert (carried["role"], carried["claims"]) == ("understudy_app", "")


async def test_one_that_is_cancelled_wherever_it_waits_keeps_its_connection(single: Database) -> None:
    before = await bare_identity(single)

    async def transaction() -> None:
        async with single.tenant(uuid.uuid4()) as conn:
            await conn.execute("select 1")

    at = 1
    while await cut_at(transaction(), at):
        assert await bare_identity(single) == before, f"cancelled where it waited for the {at}. time"
        at += 1
    # It opened, asked, and committed.
    assert at > 3


async def test_a_connection_that_kept_an_identity_is_thrown_away(single: Database) -> None:
    """Somebody set a role for the session: the pool must not hand that connection to the next tenant."""
    before = await bare_identity(single)
    async with single.service() as conn:
        await conn.execute("select set_config('role', 'service_role', false)")
    after = await bare_identity(single)
    assert after["role"] == "understudy_app"
    assert after["pid"] != before["pid"]


async def test_a_failed_transaction_leaves_nothing(database: Database, create_user: CreateUser) -> None:
    user = await create_user()

    async def insert_and_fail() -> None:
        async with database.service() as conn:
            await conn.execute("insert into public.voices (user_id, name) values (%s, 'v')", (user,))
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await insert_and_fail()
    async with database.tenant(user) as conn:
        assert await (await conn.execute("select 1 from public.voices")).fetchall() == []


async def test_the_uid_of_the_claims_is_the_tenants(database: Database) -> None:
    user = uuid.uuid4()
    async with database.tenant(user) as conn:
        row = await (await conn.execute("select auth.uid() as uid, auth.role() as role")).fetchone()
    assert row == {"uid": user, "role": "authenticated"}
    async with database.service() as conn:
        row = await (await conn.execute("select auth.uid() as uid, auth.role() as role")).fetchone()
    assert row == {"uid": None, "role": "service_role"}


async def test_listening_hears_what_was_sent_in_order(
    database: Database, database_urls: DatabaseUrls
) -> None:
    heard = database.listen("first", "second")
    waiting = asyncio.ensure_future(anext(heard))
    async with await psycopg.AsyncConnection.connect(
        database_urls.app.get_secret_value(), autocommit=True
    ) as conn:
        while not waiting.done():
            await conn.execute("notify first, 'a'")
            await asyncio.wait([waiting], timeout=0.05)
        assert await waiting == ("first", "a")
        await conn.execute("notify second, 'b'")
        while (notice := await anext(heard)) == ("first", "a"):
            pass
        assert notice == ("second", "b")
    await heard.aclose()


async def test_an_unreachable_database_is_named_without_the_password() -> None:
    url = SecretStr("postgresql://understudy_app:hunter2secret@127.0.0.1:1/understudy")
    with pytest.raises(StoreUnavailableError) as caught:
        await Database.connect(url, application_name="test")
    assert "Connection refused" in caught.value.message
    assert "hunter2secret" not in caught.value.message


async def test_a_login_that_may_not_act_as_the_role_is_told_what_to_grant(
    postgres_server: EmbeddedPostgres, database_urls: DatabaseUrls
) -> None:
    admin = postgres_server.superuser_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
        await conn.execute("create role stranger login password 'stranger'")
    location = database_urls.app.get_secret_value().rsplit("@", 1)[1]
    stranger = await Database.connect(
        SecretStr(f"postgresql://stranger:stranger@{location}"), application_name="stranger"
    )
    with pytest.raises(StoreUnavailableError, match="GRANT service_role TO"):
        async with stranger.service():
            pass
    await stranger.close()
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
        await conn.execute("drop role stranger")


async def killed_inside_a_transaction(database: Database, server: EmbeddedPostgres) -> None:
    async with database.service() as conn:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
        while True:
            await conn.execute("select 1")


async def test_when_postgres_is_killed_work_fails_clearly_and_goes_on_after_its_restart() -> None:
    home = Path(tempfile.mkdtemp(prefix="understudy-killed-"))
    server = EmbeddedPostgres(home, options=FAST)
    await server.start()
    await migrate(server.migration_database_url)
    database = await Database.connect(server.database_url, application_name="survivor")
    heard = asyncio.ensure_future(anext(database.listen("anything")))
    # Every connection of the pool is open when the server dies: each must be found out and replaced.
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(database.service())
    try:
        with pytest.raises(StoreUnavailableError):
            await killed_inside_a_transaction(database, server)
        with pytest.raises(StoreUnavailableError):
            await asyncio.wait_for(heard, 10)
        with pytest.raises(StoreUnavailableError) as caught:
            async with database.service():
                pass
        assert caught.value.retry_after_s
        await server.start()
        async with asyncio.timeout(10):
            while True:
                try:
                    async with database.service() as conn:
                        await conn.execute("select 1")
                    break
                except StoreUnavailableError:
                    continue
    finally:
        await database.close()
        await server.destroy()
        shutil.rmtree(home)


def test_a_process_that_ends_without_closing_does_not_hang(database_urls: DatabaseUrls) -> None:
    """A command that fails half way: its loop cancels the pool's workers wherever they are."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pydantic import SecretStr
        from understudy.store.database import Database

        async def main():
            database = await Database.connect(SecretStr(sys.stdin.read()), application_name="careless")
            async with database.service() as conn:
                await conn.execute("select 1")
            sys.exit("gave up")

        asyncio.run(main())
        """
    )
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=database_urls.app.get_secret_value(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "gave up" in done.stderr


async def test_after_close_nothing_is_given_out(database: Database) -> None:
    await database.close()
    await database.close()
    with pytest.raises(StoreUnavailableError):
        async with database.service():
            pass
