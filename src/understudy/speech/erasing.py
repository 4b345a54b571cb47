"""Erasing an account: rows, audio, sessions and keys go; a tombstone stays.

Each step may be repeated, and the tombstone comes first: an erasure that was killed midway goes on where it
is called again, or with the next collection.
"""

from __future__ import annotations

from uuid import UUID

from understudy.clock import Clock
from understudy.errors import NotFoundError
from understudy.logs import get_logger
from understudy.store import erasures, tasks
from understudy.store.buckets import BUCKETS
from understudy.store.database import Database
from understudy.store.erasures import Erasure
from understudy.store.objects import ObjectStore

#: A worker that speaks for the account gets this long to close the provider before its task's row goes.
WORKERS_LET_GO_S = 5.0
POLL_S = 0.1
OBJECTS_A_STEP = 100

log = get_logger(__name__)


async def erase_account(
    database: Database, objects: ObjectStore, clock: Clock, user_id: UUID, *, actor: str
) -> Erasure:
    """Erase an account, wholly; again changes nothing and answers the same.

    Parameters
    ----------
    actor
        Who asked: ``tenant``, ``operator`` or ``collection``.

    Raises
    ------
    NotFoundError
        There is no such account, and none was erased under this id.
    StoreUnavailableError
        Database or storage is away; call again.
    """
    async with database.service() as conn:
        begun = await erasures.begin_erasure(conn, user_id, actor=actor, at=clock.now())
        if begun is None:
            raise NotFoundError("There is no account with this id.")
        for task_id in await erasures.active_tasks(conn, user_id):
            await tasks.request_cancel(conn, user_id, task_id)
    await _wait_for_workers(database, clock, user_id)
    await _remove_objects(database, objects, user_id)
    if begun.completed_at is None:
        async with database.service() as conn:
            await erasures.remove_rows(conn, user_id)
        # What a request under way stored in between; later strays are the collection's.
        await _remove_objects(database, objects, user_id)
    async with database.service() as conn:
        finished = await erasures.finish_erasure(conn, user_id, clock.now())
    log.info("account_erased", user_id=str(user_id), actor=actor, counts=finished.counts)
    return finished


async def _wait_for_workers(database: Database, clock: Clock, user_id: UUID) -> None:
    give_up_at = clock.monotonic_s() + WORKERS_LET_GO_S
    while clock.monotonic_s() < give_up_at:
        async with database.service() as conn:
            if not await erasures.active_tasks(conn, user_id):
                return
        await clock.sleep(POLL_S)
    log.warning("erased_while_spoken", user_id=str(user_id))


async def _remove_objects(database: Database, objects: ObjectStore, user_id: UUID) -> None:
    for bucket in BUCKETS:
        while True:
            step = []
            async for item in objects.list(bucket, prefix=f"{user_id}/"):
                step.append(item.key)
                if len(step) == OBJECTS_A_STEP:
                    break
            if not step:
                break
            for key in step:
                await objects.delete(bucket, key)
            async with database.service() as conn:
                await erasures.add_counts(conn, user_id, {"objects": len(step)})
