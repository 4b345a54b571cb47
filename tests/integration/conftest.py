"""A real Postgres for the integration tests: one server a worker, a fresh migrated database a test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from pydantic import SecretStr

from tests.integration.spare_databases import SpareDatabases
from understudy.store.database import Database
from understudy.store.embedded.roles import DATABASE, OWNER_ROLE
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate

#: Throw-away data: speed over durability. Tests of durability start a server of their own.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
#: Files in memory: a database is some 300 files, which cost a disk's file system ten times as much to make.
IN_MEMORY = Path("/dev/shm")
#: A run needs some 300 MB there; containers often have 64 MB, and then the server lies on the disk.
IN_MEMORY_MIN_BYTES = 2 * 1024**3

#: By the superuser's URL of a running server. Servers of other folders (Postgres 15) have none.
_SPARE: dict[SecretStr, SpareDatabases] = {}

CreateUser = Callable[[], Awaitable[UUID]]


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """One database: as the application reaches it, and as its owner (migrations) does."""

    app: SecretStr
    owner: SecretStr


def in_database(url: SecretStr, name: str) -> SecretStr:
    """The same server and role, another database."""
    return SecretStr(url.get_secret_value().rsplit("/", 1)[0] + f"/{name}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server() -> AsyncIterator[EmbeddedPostgres]:
    """One embedded server for the whole run; its own database is migrated and serves as the template."""
    home = Path(tempfile.mkdtemp(prefix="understudy-test-", dir=_fastest_place()))
    home.chmod(0o711)  # Run by root, the server has an account of its own, and must get in.
    server = EmbeddedPostgres(home, options=FAST)
    try:
        await server.start()
        await migrate(server.migration_database_url)
        spare = SpareDatabases(server.superuser_url, template=DATABASE, owner=OWNER_ROLE)
        _SPARE[server.superuser_url] = spare
        try:
            yield server
        finally:
            del _SPARE[server.superuser_url]
            spare.close()
    finally:
        await server.destroy()
        shutil.rmtree(home, ignore_errors=True)


def _fastest_place() -> Path | None:
    if IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= IN_MEMORY_MIN_BYTES:
        return IN_MEMORY
    return None


def _urls(server: EmbeddedPostgres, name: str) -> DatabaseUrls:
    return DatabaseUrls(
        app=in_database(server.database_url, name), owner=in_database(server.migration_database_url, name)
    )


async def _administer(server: EmbeddedPostgres, statement: sql.Composed) -> None:
    url = server.superuser_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(statement)


async def _fresh(server: EmbeddedPostgres, template: str) -> AsyncIterator[DatabaseUrls]:
    name = f"test_{uuid.uuid4().hex}"
    create = sql.SQL("create database {} template {} owner {}").format(
        sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER_ROLE)
    )
    await _administer(server, create)
    yield _urls(server, name)
    await _administer(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest_asyncio.fixture
async def database_urls(postgres_server: EmbeddedPostgres) -> AsyncIterator[DatabaseUrls]:
    """URLs of a fresh database with every migration applied; dropped after the test."""
    spare = _SPARE.get(postgres_server.superuser_url)
    if spare is None:
        async for urls in _fresh(postgres_server, DATABASE):
            yield urls
        return
    name = await spare.take()
    yield _urls(postgres_server, name)
    spare.give_back(name)


@pytest_asyncio.fixture
async def empty_database_urls(postgres_server: EmbeddedPostgres) -> AsyncIterator[DatabaseUrls]:
    """URLs of a fresh database without any table."""
    async for urls in _fresh(postgres_server, "template1"):
        yield urls


@pytest_asyncio.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """The application's own access to a fresh, migrated database."""
    opened = await Database.connect(database_urls.app, application_name="understudy-test")
    yield opened
    await opened.close()


@pytest.fixture
def create_user(database: Database) -> CreateUser:
    """Make an account (``public`` rows refer to ``auth.users``) and return its id."""

    async def create() -> UUID:
        user_id = uuid.uuid4()
        async with database.service() as conn:
            await conn.execute(
                "insert into auth.users (id, email) values (%s, %s)", (user_id, f"{user_id}@example.org")
            )
        return user_id

    return create
