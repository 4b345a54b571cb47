"""Backups that a person asks for, from a command or from the guard's API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from understudy.errors import NotFoundError, TargetError
from understudy.restoration.targets.base import Backup, RestorableDatabase, Target


def database_of(target: Target) -> RestorableDatabase:
    """Return the target's database; raises :class:`TargetError` where there is no way to its backups."""
    if target.database is None:
        raise TargetError("This environment has no way to its database's backups.")
    return target.database


async def make_backup(
    database: RestorableDatabase,
    *,
    person: str,
    reason: str,
    now: datetime,
    verify: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Backup:
    """Back up now and, unless told not to, prove it at once.

    Raises
    ------
    TargetError
        It could not be made whole, and nothing of it is left; or it does not restore.
    """
    say("One snapshot of the database is taken, and the audio that is not kept yet.")
    made = await database.take_backup(f"manual:{person}:{now.isoformat()}", reason=reason)
    return await prove_backup(database, made.id, say=say) if verify else made


async def prove_backup(
    database: RestorableDatabase, backup: str = "", *, say: Callable[[str], None] = lambda _: None
) -> Backup:
    """Prove a backup, the newest that nothing speaks against where none is named.

    Raises
    ------
    NotFoundError
        There is no such backup.
    TargetError
        There is none at all, or it cannot be restored from; an earlier proof is void.
    """
    known = await database.backups()
    if backup and all(one.id != backup for one in known):
        raise NotFoundError(f"There is no backup {backup}. `understudy backup list` shows them.")
    named = backup or next((one.id for one in known if one.problem is None), "")
    if not named:
        raise TargetError("There is no backup that could be used. Make one: `understudy backup create`.")
    say(f"{named} is proven: checksums, full decode, a restore into a scratch database, counts and catalog.")
    return await database.verify_backup(named)
