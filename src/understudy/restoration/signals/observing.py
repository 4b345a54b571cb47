"""Looks that have a pace of their own, so that a slow one delays nobody."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Generic, TypeVar

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.signals.calls import Connect

#: Looks that may fail to come before what was seen last is no longer believed.
MISSED_LOOKS = 2
#: Why a part is BLIND that a guard which has just started did not see yet: no reason to call anybody.
NOT_YET = "not looked at yet"

log = get_logger(__name__)


R = TypeVar("R")


class Observer(ABC, Generic[R]):
    """One part of the signals; whoever looks again and again (the guard's watcher) calls :meth:`read`.

    Parameters
    ----------
    every_s
        Seconds between two looks, for whoever runs them.
    deadline_s
        Seconds that a look may take.
    """

    def __init__(self, connect: Connect, clock: Clock, *, every_s: float, deadline_s: float) -> None:
        self._connect = connect
        self._clock = clock
        self.every_s = every_s
        self.deadline_s = deadline_s

    async def read(self) -> R:
        """Look now; BLIND, with the reason, where that gives nothing. Never raises."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(self.deadline_s):
                return await self._look(now)
        except StoreUnavailableError as error:
            return self._nothing(now, f"the database cannot be read: {error.message}")
        except TimeoutError:
            return self._nothing(now, f"no answer within {self.deadline_s:g} s")
        except Exception as error:  # noqa: BLE001  # whatever broke the look (a lost table too): say BLIND
            name = type(error).__name__
            log.warning(
                "look_failed", observer=type(self).__name__, kind=name, error=str(error).partition("\n")[0]
            )
            return self._nothing(now, f"the look failed ({name})")

    @abstractmethod
    async def _look(self, now: datetime) -> R:
        """Look once; may raise."""

    @abstractmethod
    def _nothing(self, at: datetime, blind: str) -> R:
        """A reading of nothing, and why."""
