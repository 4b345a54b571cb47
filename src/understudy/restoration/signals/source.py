"""Where signals of calls come from: one shape of a reading, whatever was asked for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.signals.readings import CallReading, Series
from understudy.store.calls import Harm
from understudy.store.cutover import CutoverRow
from understudy.store.mode import ModeRow, ProcessRow

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """One reading.

    Parameters
    ----------
    at
        The guard's own clock when the reading began.
    mode
        What is in force, or None when it could not be read or does not exist yet.
    blind
        Why nothing of it can be believed as health, or None; the same as ``calls.blind``.
    database_at
        The source's own clock, where it has one.
    newest_call_at
        End of the newest call on record, canaries' too.
    cutover
        The newest cutover, where the source knows any.
    """

    at: datetime
    mode: ModeRow | None
    processes: tuple[ProcessRow, ...]
    calls: CallReading
    blind: str | None
    database_at: datetime | None = None
    newest_call_at: datetime | None = None
    cutover: CutoverRow | None = None


def unseen_calls(at: datetime, reason: str) -> Observed:
    """Return a reading in which nothing was seen."""
    return Observed(at, None, (), CallReading(at, at, blind=reason), reason)


def unread_calls(at: datetime, error: Exception, query_s: float) -> Observed:
    """Return the reading that ``error`` broke, whatever it was (a lost table too): BLIND, with the reason."""
    if isinstance(error, StoreUnavailableError):
        return unseen_calls(at, f"the database cannot be read: {error.message}")
    if isinstance(error, TimeoutError):
        return unseen_calls(at, f"the database did not answer within {query_s:g} s")
    log.warning("signals_unreadable", error=str(error).partition("\n")[0], kind=type(error).__name__)
    return unseen_calls(at, f"the signals cannot be read ({type(error).__name__})")


class CallSource(Protocol):
    """A source of calls. Each tells, beside the calls of a series, how many there are of every series."""

    async def read(self, *, span_s: float, operations: Collection[str]) -> Observed:
        """Read the calls of every series of the last ``span_s`` seconds; never raises.

        Parameters
        ----------
        operations
            Of which the newest calls are read one by one, at the epoch in force.
        """
        ...

    async def successes(self, series: Series, since: datetime) -> int:
        """Users' successful calls of one series since then; raises :class:`StoreUnavailableError`."""
        ...

    async def first_failure(self, series: Series, since: datetime) -> datetime | None:
        """When the first users' call failed since then; raises :class:`StoreUnavailableError`."""
        ...

    async def harm(self, operation: str, provider: str, start: datetime, end: datetime) -> Harm:
        """What users felt of ``provider`` in that time; raises :class:`StoreUnavailableError`."""
        ...

    async def close(self) -> None:
        """Give back what the source holds."""
        ...


def mode_of_environment(provider: str | None, at: datetime) -> ModeRow | None:
    """Return the mode of a deployment that keeps none but its environment's: epoch 0, for ever."""
    if not provider:
        return None
    return ModeRow(
        value=provider,
        epoch=0,
        actor="environment",
        reason="the environment says so",
        incident=None,
        env_value=provider,
        changed_at=at,
    )
