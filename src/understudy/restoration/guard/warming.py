"""One short phrase at the provider that is about to serve, so that it is warm when work comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from understudy.clock import Clock
from understudy.restoration.probes import lane_of
from understudy.restoration.probes.budget import DailyBudget
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.probes.standby import StandbyProbe
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.readings import ProbeResult
from understudy.settings import Settings
from understudy.store.guard import GuardStore

TEXT = "Four seven one."
#: A phrase that takes longer is slow, not failed: the containers start meanwhile.
DEADLINE_S = 12.0
#: It must be allowed whatever probes spent today; what it costs counts among theirs.
ANY_COST_MICROUSD = 10**15
#: The record of the call may take so long: the product's database may be what is away.
QUERY_S = 2.0


def warming(
    *, settings: Callable[[], Settings], store: GuardStore, connect: Connect, clock: Clock
) -> Callable[[], Awaitable[ProbeResult]]:
    """Return what speaks the phrase at the known-good provider."""

    async def warm() -> ProbeResult:
        current = settings()
        lane = lane_of(current.known_good_provider, current, clock)
        probe = StandbyProbe(
            ProbeRecords(connect, query_s=QUERY_S),
            store,
            DailyBudget(store, clock, limit=ANY_COST_MICROUSD),
            clock,
            Random(),  # noqa: S311  # names the request
            text=TEXT,
            deadline_s=DEADLINE_S,
        )
        try:
            return await probe.speak(lane, mode_epoch=store.highest_mode_epoch(), user_id=None)
        finally:
            await lane.provider.close()

    return warm
