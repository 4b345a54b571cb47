"""Rolling calls up, as far as it goes."""

from __future__ import annotations

import asyncio
from typing import Any

from understudy.store.database import Connection, Database
from understudy.store.rollups import RolledUp, roll_up


async def rows(conn: Connection, statement: str, *values: object) -> list[dict[str, Any]]:
    cursor = await conn.execute(statement.encode(), values or None)
    return await cursor.fetchall() if cursor.description else []


async def rolled(database: Database, **options: Any) -> RolledUp:
    async with database.service() as conn:
        return await roll_up(conn, **options)


async def rolled_to_the_end(database: Database, *, limit: int = 50_000) -> list[RolledUp]:
    """Roll up until no call waits: any transaction on the server, its housekeeping's too, holds that up."""
    steps = []
    async with asyncio.timeout(20):
        while True:
            steps.append(await rolled(database, limit=limit))
            async with database.service() as conn:
                waiting = await rows(
                    conn,
                    "select c.id from understudy.provider_calls c, understudy.rollup_state s"
                    " where c.recorded_xid >= s.watermark and c.id > s.after_id limit 1",
                )
            if not waiting:
                return [step for step in steps if step.rows]
            await asyncio.sleep(0.01)
