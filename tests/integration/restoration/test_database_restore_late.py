"""A broken database that is away when writes are held, and comes back before the swap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.restore_stage import Stage, drop_restored
from tests.integration.restoration.test_database_restore import NAMES, evidence, prepared
from understudy.restoration.guard.connecting import Connector, DurableUrl
from understudy.store.addresses import database_of
from understudy.store.freeze import read_freeze

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]


@pytest_asyncio.fixture
async def stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    one = Stage(tmp_path / "home", database_urls)
    yield one
    await one.close()
    await drop_restored(database_urls)


async def rename(urls: DatabaseUrls, before: str, after: str) -> None:
    server = urls.owner.get_secret_value().rsplit("/", 1)[0] + "/postgres"
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as conn:
        ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s"
        await conn.execute(ended, (before,))
        await conn.execute(
            sql.SQL("alter database {} rename to {}").format(sql.Identifier(before), sql.Identifier(after))
        )


@pytest.mark.parametrize("back_after", ["reapply_migrations", "reconcile"])
async def test_what_is_written_when_it_is_back_is_held_replayed_and_counted(
    stage: Stage, database_urls: DatabaseUrls, back_after: str
) -> None:
    who = await prepared(stage)
    await stage.connect.close()
    name = database_of(database_urls.owner)
    away = f"{name}_away"
    await rename(database_urls, name, away)
    try:
        incident = stage.open()
        ended = await stage.climb(incident, upto=back_after)
        assert ended[-1].body["ok"], ended[-1].body
        assert "not_possible" in evidence(ended, "freeze_writes")
    finally:
        await rename(database_urls, away, name)
    stage.connect = Connector(DurableUrl(stage.home, ("DATABASE_URL",), stage.urls.app))

    async with await stage.broken() as conn:  # users are back at it, until they are held
        await conn.execute("update public.voices set deleted_at = now() where id = %s", (who.kept_voice,))
        for _ in range(2):
            await conn.execute(
                "insert into public.generations (id, user_id, text) values (%s, %s, 'late')",
                (uuid4(), who.ann),
            )
    ended = await stage.climb(incident)
    assert [(entry.step, entry.body["ok"], entry.body["problem"]) for entry in ended] == [
        (step, True, None) for step in NAMES
    ]
    late: dict[str, Any] = (
        evidence(ended, "swap")
        if back_after == "reconcile"
        else {"replay": evidence(ended, "replay"), "reconcile": evidence(ended, "reconcile")}
    )
    assert late["replay"]["sources"]["broken_database"] > 0
    assert late["reconcile"]["rpo"]["measured"]
    assert late["reconcile"]["rpo"]["rows"]["public.generations"] == 5
    assert ("reconcile" in evidence(ended, "swap")) is (back_after == "reconcile")
    async with await stage.broken() as conn:
        row = await read_freeze(conn)
        assert row is not None
        assert row.frozen
    async with await stage.owner() as conn:
        voice = await (
            await conn.execute("select deleted_at from public.voices where id = %s", (who.kept_voice,))
        ).fetchone()
    assert voice is not None
    assert voice["deleted_at"] is not None
