"""Alarms: what stands wrong now and is no incident; said once when it begins and once when it ends."""

from __future__ import annotations

from understudy.clock import Clock
from understudy.logs import get_logger
from understudy.restoration.incidents import ACTOR, IncidentBook

#: An alarm that is over sooner calls nobody: a redeploy makes the guard blind for a moment.
ANNOUNCE_AFTER_S = 10.0
#: These concern an incident that has its own page, or count what did not happen.
QUIET = frozenset({"shadow", "disarmed"})

log = get_logger(__name__)


class Alarms:
    """Alarms of one guard.

    Parameters
    ----------
    standing
        By name, the alarms that stand now; kept up to date here.
    """

    def __init__(self, book: IncidentBook, clock: Clock, standing: dict[str, str]) -> None:
        self._book = book
        self._clock = clock
        self._standing = standing
        self._since_s: dict[str, float] = {}
        self._announced: set[str] = set()

    def say(self, name: str, message: str | None) -> None:
        """Say what is wrong, or with None that it is not any more."""
        if message is None:
            self._since_s.pop(name, None)
            if self._standing.pop(name, None) is not None:
                log.info("alarm_over", alarm=name)
            return
        if name not in self._standing:
            self._since_s[name] = self._clock.monotonic_s()
            log.warning("alarm", alarm=name, message=message)
        self._standing[name] = message

    def announce(self) -> None:
        """Journal what has stood for a while, and what has ended, so that the leader's channels tell people.

        Raises
        ------
        LeaseLostError
            Another guard holds the environment, and tells.
        """
        now_s = self._clock.monotonic_s()
        for name, message in self._standing.items():
            long = now_s - self._since_s.get(name, now_s) >= ANNOUNCE_AFTER_S
            if long and name not in self._announced and name not in QUIET:
                self._write("alarm", {"name": name, "message": message})
                self._announced.add(name)
        for name in self._announced - self._standing.keys():
            self._write("alarm_over", {"name": name})
            self._announced.discard(name)

    def _write(self, kind: str, body: dict[str, str]) -> None:
        self._book.store.announce(self._book.lease, kind=kind, actor=ACTOR, body=body)
