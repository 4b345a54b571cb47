"""Whether the clocks behind a reading can be believed: the guard's own, and the source's."""

from __future__ import annotations

from datetime import datetime, timedelta

from understudy.clock import Clock

#: The guard's clock and the source's may be this far apart; so far ahead may a record lie.
APART_S = 5.0
#: The wall clock may run away from the monotonic one by this much between two readings.
JUMP_S = 2.0


class ClockWatch:
    """Says why the clocks make a reading useless, or nothing.

    Windows are cut by the guard's clock out of times that others wrote. So a clock that jumps, or two that
    disagree, would show calls in the wrong windows, or none at all.

    Parameters
    ----------
    source
        Whose clock is compared, for the sentences.
    """

    def __init__(self, clock: Clock, source: str = "the database") -> None:
        self._clock = clock
        self._source = source
        self._last: tuple[datetime, float] | None = None
        self._source_at: datetime | None = None

    def jumped(self) -> str | None:
        """Say whether the guard's wall clock jumped since it was last asked: once, as a reading begins."""
        wall, passed_s = self._clock.now(), self._clock.monotonic_s()
        last, self._last = self._last, (wall, passed_s)
        if last is None:
            return None
        jump_s = (wall - last[0]).total_seconds() - (passed_s - last[1])
        if abs(jump_s) <= JUMP_S:
            return None
        return f"the guard's clock jumped {abs(jump_s):.0f} s {'forward' if jump_s > 0 else 'back'}"

    def disagrees(self, source_at: datetime, asked: datetime, answered: datetime) -> str | None:
        """Say whether the source's clock is another, or stands still.

        Parameters
        ----------
        source_at
            What its clock showed, some time between ``asked`` and ``answered`` by the guard's.
        """
        stands = self._source_at == source_at
        self._source_at = source_at
        apart_s = max((source_at - answered).total_seconds(), (asked - source_at).total_seconds())
        if apart_s > APART_S:
            way = "ahead of" if source_at > answered else "behind"
            return f"{self._source}'s clock is {apart_s:.0f} s {way} the guard's"
        return f"{self._source}'s clock stands still" if stands else None

    @staticmethod
    def from_the_future(what: str, at: datetime | None, source_at: datetime) -> str | None:
        """Say whether a record lies in the source's future."""
        if at is None or at - source_at <= timedelta(seconds=APART_S):
            return None
        return f"{what} is {(at - source_at).total_seconds():.0f} s in the future"
