"""What the product recorded of a probe's task."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class TaskCall:
    """The newest provider call of one task.

    Parameters
    ----------
    cost_microusd
        Of every call of the task.
    """

    provider: str
    outcome: str
    failure_class: str | None
    code: str | None
    first_audio_ms: int | None
    cost_microusd: int


async def call_of_task(conn: Connection, task_id: UUID) -> TaskCall | None:
    """Return the task's newest call, or None before there is one."""
    async with conn.cursor(row_factory=class_row(TaskCall)) as cursor:
        await cursor.execute(
            """
            select provider, outcome, failure_class, code, first_audio_ms,
                   (sum(cost_microusd) over ())::bigint as cost_microusd
            from understudy.provider_calls where task_id = %s order by at desc, id desc limit 1
            """,
            (task_id,),
        )
        return await cursor.fetchone()
