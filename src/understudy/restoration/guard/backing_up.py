"""Backups on a schedule, taken and proven by the guard that leads, and an alarm when none is young enough.

It runs beside the guard's looks and never holds one up; a backup that fails is tried again and said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from understudy.clock import Clock
from understudy.errors import TargetError, UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.actions.restore_facts import NEWEST_PROVEN
from understudy.restoration.guard.repeating import repeat
from understudy.restoration.targets.base import Backup, Target
from understudy.restoration.targets.local_database import SCHEDULE_KEY
from understudy.settings import Settings
from understudy.store.guard import GuardStore

LOOK_EVERY_S = 60.0
#: A deployment that has just started has other things to do, and a drill or a demo is over by then.
FIRST_AFTER_S = 300.0
RETRY_AFTER_S = 900.0
#: When the guard of this home first watched backups: an installation without one is not late at once.
_SINCE = "backup:watched_since"

log = get_logger(__name__)


@runtime_checkable
class Pruned(Protocol):
    """A database whose old backups are ours to remove."""

    async def prune(self) -> list[str]:
        """Remove those beyond what is kept; return their ids."""
        ...


class BackupKeeper:
    """Takes, proves and counts backups.

    Parameters
    ----------
    settings
        Gives the settings in force now.
    leads
        Whether this guard holds the lease.
    busy
        Whether an incident is open: its own dumps come first, and a damaged database makes no backup.
    """

    def __init__(
        self,
        target: Target,
        store: GuardStore,
        clock: Clock,
        *,
        settings: Callable[[], Settings],
        leads: Callable[[], bool],
        busy: Callable[[], bool],
    ) -> None:
        self._target = target
        self._store = store
        self._clock = clock
        self._settings = settings
        self._leads = leads
        self._busy = busy
        self._not_before = clock.now() + timedelta(seconds=FIRST_AFTER_S)
        self._alarm: str | None = None
        #: The moment that the newest usable backup holds; None where there is none.
        self.newest_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a minute until ``stop``."""
        await repeat(self._try_to_look, stop, every_s=LOOK_EVERY_S, broke="backup_look_broke")

    async def _try_to_look(self) -> None:
        try:
            await self.look()
        except UnderstudyError as error:
            self._alarm = f"Backups cannot be looked at: {error.message}"
            log.warning("backups_not_seen", reason=error.message)

    def alarms(self) -> dict[str, str | None]:
        """Say what stands wrong, under the name ``backup``."""
        return {"backup": self._alarm}

    async def look(self) -> None:
        """Take what is due, and judge how old the newest usable backup is."""
        database = self._target.database
        if database is None:
            return
        settings = self._settings()
        problem = None
        found = await database.backups()
        if self._due(found, settings):
            try:
                # Whatever comes of it: a damaged database is not dumped and restored again each minute.
                self._not_before = self._clock.now() + timedelta(seconds=RETRY_AFTER_S)
                key = f"{SCHEDULE_KEY}{self._clock.now():%Y%m%dT%H%M}"
                taken = await database.take_backup(key, reason="schedule")
                await database.verify_backup(taken.id)
                if isinstance(database, Pruned):
                    await database.prune()
            except TargetError as error:
                problem = error.message
                log.warning("backup_failed", reason=error.message)
            found = await database.backups()
        self._judge(found, settings, problem)

    def _due(self, found: tuple[Backup, ...], settings: Settings) -> bool:
        if not settings.backup_interval_s or not self._leads() or self._busy():
            return False
        if not self._target.capabilities.restore_beside:
            return False  # its platform has a schedule of its own
        if self._clock.now() < self._not_before:
            return False
        usable = [one for one in found if one.problem is None and one.verified_at is not None]
        newest = max((one.created_at for one in usable), default=None)
        return newest is None or self._clock.now() - newest >= timedelta(seconds=settings.backup_interval_s)

    def _judge(self, found: tuple[Backup, ...], settings: Settings, problem: str | None) -> None:
        proven = self._target.capabilities.restore_beside
        usable = [one for one in found if one.problem is None and (one.verified_at is not None or not proven)]
        newest = max(usable, key=lambda one: one.created_at, default=None)
        self.newest_at = newest.created_at if newest else None
        if newest is not None and self._leads():
            known = json.dumps({"id": newest.id, "created_at": newest.created_at.isoformat()})
            if self._store.meta(NEWEST_PROVEN) != known:
                self._store.remember(NEWEST_PROVEN, known)
        since = self.newest_at or self._watched_since()
        age_s = (self._clock.now() - since).total_seconds()
        if problem is None and (not settings.backup_max_age_s or age_s <= settings.backup_max_age_s):
            self._alarm = None
            return
        if settings.backup_max_age_s and age_s > settings.backup_max_age_s:
            which = f"The newest usable backup is {age_s / 3600:.1f} h old"
            if newest is None:
                refused = next((one.problem for one in found if one.problem), "")
                which = f"There is no usable backup{f' ({refused})' if refused else ''}"
            self._alarm = f"{which}; `understudy backup create --verify` makes one."
        if problem is not None:
            self._alarm = f"The scheduled backup failed: {problem}"

    def _watched_since(self) -> datetime:
        known = self._store.meta(_SINCE)
        if known is not None:
            return datetime.fromisoformat(known)
        now = self._clock.now()
        if self._leads():
            self._store.remember(_SINCE, now.isoformat())
        return now
