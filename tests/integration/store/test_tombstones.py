"""Tombstones: every way to delete or revoke leaves one, and their copies outlive the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.restore_tenants import go_on, settle
from understudy.store.buckets import REFERENCES, TOMBSTONES
from understudy.store.database import Database
from understudy.store.objects import LocalObjects
from understudy.store.tombstones import (
    copied_tombstones,
    copy_tombstones,
    forget_old,
    read_tombstones,
    replay,
    unreplayed,
)

pytestmark = pytest.mark.integration


async def test_every_way_to_delete_leaves_one_and_a_copy(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    objects = LocalObjects(tmp_path, SecretStr("o" * 40), 60, HandClock())
    who = await settle(database, objects)
    async with database.service() as conn:
        assert await read_tombstones(conn) == []
    await go_on(database, objects, who)
    async with database.service() as conn:
        found = await read_tombstones(conn)
    assert {(one.kind, one.subject) for one in found} == {
        ("voice", str(who.deleted_voice)),
        ("generation", str(who.deleted_speech)),
        ("api_key", str(who.key)),
        ("session", str(who.session)),
        ("operator", str(who.ann)),
        ("password", str(who.ann)),
        ("consent", str(who.kept_voice)),
        ("account", str(who.bob)),
    }
    # Row level security does not stand in the way of a tenant's own deletion, nor may a tenant write one.
    async with database.tenant(who.ann) as conn:
        await conn.execute("delete from public.voices where id = %s", (who.kept_voice,))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.tenant(who.ann) as conn:
            await conn.execute("insert into understudy.tombstones (kind, subject) values ('voice', 'x')")

    assert await copy_tombstones(database, objects) == 1  # go_on copied the others
    assert await copy_tombstones(database, objects) == 0
    since = datetime.now(UTC) - timedelta(hours=1)
    copied = await copied_tombstones(objects, since)
    async with database.service() as conn:
        assert sorted(copied, key=lambda one: (one.at, one.kind)) == sorted(
            await read_tombstones(conn), key=lambda one: (one.at, one.kind)
        )
    assert {item.key async for item in objects.list(REFERENCES)}.isdisjoint(
        {item.key async for item in objects.list(TOMBSTONES)}
    )


async def test_a_replay_deletes_again_and_only_once(database: Database, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path, SecretStr("o" * 40), 60, HandClock())
    who = await settle(database, objects)
    began = datetime.now(UTC)
    await go_on(database, objects, who)
    async with database.service() as conn:
        found = await read_tombstones(conn)
        assert await unreplayed(conn, found) == []  # they are of this very database
        # As a backup brings it back.
        await conn.execute("delete from understudy.tombstones")
        await conn.execute("update public.voices set deleted_at = null")
        await conn.execute("update understudy.api_keys set revoked_at = null")
        await conn.execute(
            "insert into understudy.operators (user_id, granted_by) values (%s, 'test')", (who.ann,)
        )
        assert len(await unreplayed(conn, found)) == len(found)
        changed = await replay(conn, found)
        assert (changed["voice"], changed["api_key"], changed["operator"]) == (1, 1, 1)
        assert await unreplayed(conn, found) == []
        assert set((await replay(conn, found)).values()) == {0}
    assert await forget_old(database, objects, began) == 0
    assert [item.key async for item in objects.list(TOMBSTONES)] != []
    assert await forget_old(database, objects, began + timedelta(days=2)) > 0
    assert [item.key async for item in objects.list(TOMBSTONES)] == []
