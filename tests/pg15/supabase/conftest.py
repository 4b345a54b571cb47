"""Here every database of the shared tests is a migrated Supabase-shaped one, and accounts are GoTrue's."""

from __future__ import annotations

import uuid
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from tests.integration.api.conftest import api, settings  # noqa: F401 - fixtures of this folder
from tests.integration.conftest import CreateUser, DatabaseUrls
from tests.pg15.server import Postgres15
from understudy.store.migrations import migrate


@pytest_asyncio.fixture
async def database_urls(supabase_urls: DatabaseUrls) -> DatabaseUrls:
    """URLs of a Supabase-shaped database, migrated as the ``postgres`` role."""
    await migrate(supabase_urls.owner)
    return supabase_urls


@pytest.fixture
def create_user(postgres15: Postgres15, database_urls: DatabaseUrls) -> CreateUser:
    """Make an account the way GoTrue does: as its own role, for the service may not."""
    name = database_urls.owner.get_secret_value().rsplit("/")[-1]

    async def create() -> UUID:
        user_id = uuid.uuid4()
        url = postgres15.url("supabase_auth_admin", name).get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            await conn.execute(
                "insert into auth.users (id, aud, role, email) values (%s, %s, %s, %s)",
                (user_id, "authenticated", "authenticated", f"{user_id}@example.org"),
            )
        return user_id

    return create
