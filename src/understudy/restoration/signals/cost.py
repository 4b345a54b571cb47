"""What is spent, beside what is usual: by our own ledger and the roll-up of our own calls."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from understudy.clock import Clock
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.observing import Observer
from understudy.restoration.signals.readings import CostReading, CreateRepeat, TenantSpending
from understudy.store import cost_signals, signals_history
from understudy.store.cost_signals import LedgerPulse
from understudy.store.database import Connection
from understudy.store.valves import read_valves

HOUR = timedelta(hours=1)
#: A week: what is usual at this time of day is seen seven times.
HOURS_KEPT = 168
TENANTS_KEPT = 50
#: Calls of so long ago are in the ledger for sure, for their tasks were admitted before.
PULSE_SPAN = timedelta(minutes=15)
#: So many newest calls, none of which has an entry: the ledger is no longer written.
PULSE_MISSED = 5


class CostObserver(Observer[CostReading]):
    """Reads the ledger, tenants' use, and both by the hour before."""

    def __init__(
        self, connect: Connect, clock: Clock, *, every_s: float = 5.0, deadline_s: float = 5.0
    ) -> None:
        super().__init__(connect, clock, every_s=every_s, deadline_s=deadline_s)
        #: Money by the hour before; it changes once an hour.
        self._spend_hours: tuple[int, ...] = ()
        self._tenant_hours: dict[UUID, tuple[int, ...]] = {}
        self._hour: datetime | None = None

    async def _look(self, now: datetime) -> CostReading:
        since = now - HOUR
        async with (await self._connect()).service() as conn:
            frozen = _frozen(await cost_signals.ledger_pulse(conn, since=now - PULSE_SPAN, until=now))
            if frozen is not None:
                return self._nothing(now, frozen)
            creates = await cost_signals.creates_by_user(conn, since=since, until=now)
            return CostReading(
                at=now,
                repeats=await _repeats(conn, since),
                creates_hour=sum(creates.values()),
                create_hours=await _create_hours(conn, since),
                spend_hour_microusd=await cost_signals.spent_since(conn, since),
                spend_hours=await self._spend(conn, now),
                tenants=await self._tenants(conn, now, creates),
                closed_valves=frozenset(
                    name for name, valve in (await read_valves(conn)).items() if valve.closed
                ),
            )

    async def _spend(self, conn: Connection, now: datetime) -> tuple[int, ...]:
        until = _last_whole_hour(now)
        if self._hour != until:
            rows = await signals_history.hourly_totals(conn, since=until - HOURS_KEPT * HOUR, until=until)
            by_hour = {row.hour_at: row.cost_microusd for row in rows}
            hours = round((until - min(by_hour)) / HOUR) if by_hour else 0
            self._spend_hours = tuple(by_hour.get(until - ago * HOUR, 0) for ago in range(1, hours + 1))
            self._tenant_hours = {}
            self._hour = until
        return self._spend_hours

    async def _tenants(
        self, conn: Connection, now: datetime, creates: dict[UUID | None, int]
    ) -> tuple[TenantSpending, ...]:
        until = _last_whole_hour(now)
        top = await signals_history.top_users(conn, since=now - HOUR, limit=TENANTS_KEPT)
        asked = [tenant.user_id for tenant in top if tenant.user_id not in self._tenant_hours]
        if asked:
            rows = await signals_history.hourly(conn, asked, since=until - HOURS_KEPT * HOUR, until=until)
            spoken: dict[UUID, list[int]] = defaultdict(list)
            for row in rows:
                if row.user_id is not None and row.characters:
                    spoken[row.user_id].append(row.characters)
            self._tenant_hours |= {user: tuple(spoken[user]) for user in asked}
        return tuple(
            TenantSpending(
                user=str(tenant.user_id),
                characters=tenant.characters,
                cost_microusd=tenant.cost_microusd,
                creates=creates.get(tenant.user_id, 0),
                hours=self._tenant_hours[tenant.user_id],
            )
            for tenant in top
        )

    def _nothing(self, at: datetime, blind: str) -> CostReading:
        return CostReading(at, blind=blind)


def _last_whole_hour(now: datetime) -> datetime:
    """End of the newest whole hour that the last 60 minutes do not touch."""
    return now.replace(minute=0, second=0, microsecond=0) - HOUR


def _frozen(pulse: LedgerPulse) -> str | None:
    if pulse.calls >= PULSE_MISSED and pulse.entered == 0:
        return f"none of the newest {pulse.calls} calls has a ledger entry: the ledger is no longer written"
    return None


async def _repeats(conn: Connection, since: datetime) -> tuple[CreateRepeat, ...]:
    return tuple(
        CreateRepeat(str(row.user_id), row.prompt_digest, row.creates, row.first_at, row.last_at)
        for row in await cost_signals.design_repeats(conn, since=since)
    )


async def _create_hours(conn: Connection, until: datetime) -> tuple[int, ...]:
    """Creates of each 60 minutes before ``until``, newest first, from the ledger's first entry on."""
    first = await cost_signals.first_entry_at(conn)
    if first is None:
        return ()
    hours = min(HOURS_KEPT, max(0, int((until - first) / HOUR)))
    counts = await cost_signals.creates_by_hour(conn, since=until - hours * HOUR, until=until)
    return tuple(counts.get(ago, 0) for ago in range(hours))
