"""The integration tests' fixtures over Postgres 15 and over a Supabase-shaped database."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.conftest import (  # noqa: F401 - fixtures of this folder from here on
    DatabaseUrls,
    create_user,
    database,
    database_urls,
    empty_database_urls,
)
from tests.pg15.server import BIN_DIR, PASSWORD, Postgres15
from understudy.store.migrations import migrate

LOGIN = f"login password '{PASSWORD}'"
#: The cluster's roles: a plain installation's, and Supabase's. Only ``supabase_admin`` is a superuser.
ROLES = (
    "create role anon nologin noinherit",
    "create role authenticated nologin noinherit",
    "create role service_role nologin noinherit bypassrls",
    f"create role authenticator {LOGIN} noinherit",
    "grant anon, authenticated, service_role to authenticator",
    f"create role postgres {LOGIN} nosuperuser createdb createrole replication bypassrls",
    "grant anon, authenticated, service_role to postgres with admin option",
    f"create role supabase_auth_admin {LOGIN} noinherit createrole",
    f"create role supabase_storage_admin {LOGIN} noinherit createrole",
    f"create role understudy_owner {LOGIN} createdb createrole bypassrls",
    f"create role understudy_app {LOGIN} noinherit",
    "grant anon, authenticated, service_role to understudy_app, understudy_owner",
    "create database understudy owner understudy_owner",
    "create database supabase_shape owner postgres",
)


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres15]:
    """One server with the roles and two databases: an empty one, and one shaped as Supabase's."""
    if not (BIN_DIR / "initdb").is_file():
        missing = f"Postgres 15 is not installed ({BIN_DIR}/initdb); install postgresql-15"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    server = Postgres15()
    try:
        server.start()
        server.run("postgres", *ROLES)
        server.run("supabase_shape", (Path(__file__).parent / "supabase.sql").read_text())
        yield server
    finally:
        server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(postgres15: Postgres15) -> Postgres15:
    """In the embedded server's place; its own database is migrated and serves as the template."""
    await migrate(postgres15.migration_database_url)
    return postgres15


@pytest_asyncio.fixture
async def supabase_urls(postgres15: Postgres15) -> AsyncIterator[DatabaseUrls]:
    """A fresh Supabase-shaped database, not migrated; its owner is the non-superuser ``postgres``."""
    name = f"supabase_{uuid.uuid4().hex}"
    postgres15.run("postgres", f"create database {name} template supabase_shape owner postgres")
    yield DatabaseUrls(app=postgres15.url("understudy_app", name), owner=postgres15.url("postgres", name))
    postgres15.run("postgres", f"drop database {name} with (force)")
