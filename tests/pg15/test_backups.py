"""Backups over Postgres 15, by its own programs: a newer pg_restore sets what this server does not know."""

from __future__ import annotations

import pytest

from tests.integration.store.test_backups import Room, room
from tests.pg15.server import BIN_DIR
from understudy.store.backups.programs import programs_for
from understudy.store.database import Database
from understudy.store.tenant_walls import check_walls

pytestmark = pytest.mark.pg15

__all__ = ["room"]


async def test_a_backup_is_proven_by_the_servers_own_programs(room: Room, database: Database) -> None:
    assert (await programs_for(15)).major == 15, BIN_DIR
    proven = await room.verify(await room.make())
    assert proven.proof is not None
    assert proven.proof.server_version == 15
    assert await check_walls(database) == ()
