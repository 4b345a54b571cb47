"""What tenants are told while an incident runs: chosen from its journal, kept alive by the guard that leads.

One row in the product's database, which expires by itself: a guard that is gone tells nobody anything. Where
that database is away nothing is told, and the service's own refusals say what they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.guard.repeating import repeat
from understudy.restoration.incidents import IncidentBook, IncidentState, joined_findings, times_of
from understudy.restoration.signals.calls import Connect
from understudy.restoration.triggers.cures import ActionName
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry
from understudy.store.tenant_notice import NoticeCode, TenantNotice, write_notice

#: Conditions that tenants hear in their speech. Of the others they notice what is done, if anything.
HEARD = frozenset({"success_rate", "realtime_failures", "playback"})
#: Actions that put other code, another provider or another database to work.
STEPS_BACK: frozenset[ActionName] = frozenset(
    {"env_switch", "code_rollback", "reapply_settings", "database_restore"}
)
#: So long after an incident was closed tenants read that it is over.
RECOVERED_FOR = timedelta(minutes=2)
LIVES_S = 60.0
REFRESH_S = 20.0
LOOK_EVERY_S = 1.0
_DEADLINE_S = 5.0

log = get_logger(__name__)


def code_of(state: IncidentState, entries: Sequence[JournalEntry]) -> NoticeCode | None:
    """Choose what tenants are told of an incident; ``None`` where they would notice nothing of it.

    Parameters
    ----------
    entries
        Its journal.
    """
    is_heard = any(finding.get("trigger") in HEARD for finding in joined_findings(entries))
    begun = [entry.body.get("action") for entry in entries if entry.kind == "begun"]
    stepped = any(action in STEPS_BACK for action in begun)
    if not (is_heard or stepped):
        return None
    match state:
        case IncidentState.RESTORING:
            return "stepping_back" if begun and begun[-1] in STEPS_BACK else "degraded"
        case IncidentState.MITIGATED:
            return "verifying"
        case IncidentState.RECOVERED | IncidentState.CLOSED:
            return "recovered"
        case IncidentState.ABORTED:
            # A person ended it, and did not say that all is well.
            return None
        case _:
            return "degraded"


class TenantNotices:
    """Keeps the row of what tenants are told.

    Parameters
    ----------
    leads
        Whether this guard holds the lease: only that one tells.
    """

    def __init__(
        self, book: IncidentBook, connect: Connect, clock: Clock, *, leads: Callable[[], bool]
    ) -> None:
        self._book = book
        self._connect = connect
        self._clock = clock
        self._leads = leads
        #: What stands in the row, as far as this guard knows, and when it was written.
        self._told: TenantNotice | None = None
        self._told_at_s: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until ``stop``; never raises for a database that is away."""
        await repeat(self.look, stop, every_s=LOOK_EVERY_S, broke="tenant_notice_broke")

    async def look(self) -> None:
        """Write what is to be told where it differs from what is, or is due to be told again."""
        if not self._leads():
            # Another guard's row is not ours to know.
            self._told = self._told_at_s = None
            return
        wanted = self.wanted()
        now_s = self._clock.monotonic_s()
        # A guard that has just begun to lead does not know what its predecessor told.
        fresh = self._told_at_s is not None and (wanted is None or now_s - self._told_at_s < REFRESH_S)
        if fresh and wanted == self._told:
            return
        try:
            async with asyncio.timeout(_DEADLINE_S), (await self._connect()).service() as conn:
                await write_notice(conn, wanted, lives_s=LIVES_S)
        except (UnderstudyError, psycopg.Error, TimeoutError) as error:
            log.debug("tenant_notice_not_written", kind=type(error).__name__)
            return
        self._told, self._told_at_s = wanted, now_s

    def wanted(self) -> TenantNotice | None:
        """Return what tenants are to be told now."""
        incident = self._book.current() or self._just_closed()
        if incident is None:
            return None
        entries = self._book.entries(incident.id)
        code = code_of(IncidentState(incident.state), entries)
        if code is None:
            return None
        over_at = times_of(entries).recovered or incident.updated_at
        return TenantNotice(code, over_at if code == "recovered" else incident.opened_at)

    def _just_closed(self) -> IncidentRow | None:
        newest = self._book.store.incidents(self._book.environment, limit=1)
        if not newest or self._clock.now() - newest[0].updated_at > RECOVERED_FOR:
            return None
        return newest[0]
