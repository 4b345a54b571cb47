"""What probes may spend a day: reserved before the call, durably, so that no crash makes it more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from understudy.clock import Clock
from understudy.restoration.probes.plan import Memory

KEY = "probes_spent"


class BudgetSpentError(Exception):
    """The day's budget does not hold what is asked next; nothing was asked."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Micro-dollars taken out of the budget of one day."""

    day: date
    microusd: int


class DailyBudget:
    """Micro-dollars from midnight to midnight UTC.

    Parameters
    ----------
    limit
        Of one day, in micro-dollars.
    """

    def __init__(self, memory: Memory, clock: Clock, *, limit: int) -> None:
        self.limit = limit
        self._memory = memory
        self._clock = clock
        self._day, self._spent = self._read()

    def spent(self) -> int:
        """Reserved or spent today, as last read; no I/O."""
        return self._spent if self._today() <= self._day else 0

    def reserve(self, cost: int) -> Reservation:
        """Take ``cost`` out of today's budget and return it.

        Raises
        ------
        BudgetSpentError
            It does not fit; nothing was taken.
        """
        self._turn()
        if self._spent + cost > self.limit:
            raise BudgetSpentError
        if cost:
            self._write(self._spent + cost)
        return Reservation(self._day, cost)

    def settle(self, reserved: Reservation, cost: int) -> None:
        """Replace what was reserved by what it cost; what was reserved yesterday stays yesterday's."""
        self._turn()
        if reserved.day == self._day and reserved.microusd != cost:
            self._write(max(0, self._spent - reserved.microusd + cost))

    def _turn(self) -> None:
        """Read again, for another guard may have led meanwhile, and begin a new day at midnight.

        A clock that went back a day does not open the budget a second time.
        """
        self._day, self._spent = self._read()
        if self._today() > self._day:
            self._day, self._spent = self._today(), 0

    def _today(self) -> date:
        return self._clock.now().date()

    def _read(self) -> tuple[date, int]:
        try:
            known = json.loads(self._memory.meta(KEY) or "")
            return date.fromisoformat(known["day"]), int(known["microusd"])
        except (ValueError, KeyError, TypeError):
            return self._today(), 0

    def _write(self, spent: int) -> None:
        self._spent = spent
        self._memory.remember(KEY, json.dumps({"day": self._day.isoformat(), "microusd": spent}))
