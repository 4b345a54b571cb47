"""The ledger over a Supabase-shaped database, where another role owns the accounts."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from tests.integration.conftest import CreateUser, DatabaseUrls
from tests.integration.store.test_ledger import *  # noqa: F403 - the very same tests
from tests.pg15.server import Postgres15
from understudy.store.database import Database

pytestmark = pytest.mark.pg15


async def test_an_account_deleted_by_its_issuer_closes_its_reservations(
    postgres15: Postgres15, database_urls: DatabaseUrls, database: Database, create_user: CreateUser
) -> None:
    """GoTrue's role may not touch our schema; its delete must go through all the same."""
    user_id, task_id = await create_user(), uuid.uuid4()
    async with database.service() as conn:
        await conn.execute(
            "insert into public.tasks (id, user_id, type, dispatched_at) values (%s, %s, 'generate', now())",
            (task_id, user_id),
        )
        await conn.execute(
            "select understudy.reserve_cost(%s, %s, 'speak', 'qwen', 5, false, false, now(), '{}')",
            (task_id, user_id),
        )
    name = database_urls.app.get_secret_value().rsplit("/", 1)[1]
    issuer = postgres15.url("supabase_auth_admin", name).get_secret_value()
    async with await psycopg.AsyncConnection.connect(issuer) as conn:
        await conn.execute("delete from auth.users where id = %s", (user_id,))
    async with database.service() as service:
        cursor = await service.execute("select state, doubt_microusd from understudy.ledger")
        assert await cursor.fetchall() == [{"state": "settled", "doubt_microusd": 5}]
