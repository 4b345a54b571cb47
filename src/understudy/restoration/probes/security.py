"""Canary B tries to read what is canary A's: tenant isolation, asked of the deployment in service."""

from __future__ import annotations

from understudy.clock import Clock
from understudy.errors import ConfigurationError, StoreUnavailableError, TargetError
from understudy.restoration.probes.tenants import VOICE_NAME, ProbeTenants
from understudy.restoration.signals.readings import CanaryRead
from understudy.restoration.verification.checks.isolation import another_reads

NOTHING_YET = "canary A has made nothing yet that could be kept from canary B"


async def read_another(tenants: ProbeTenants, clock: Clock) -> CanaryRead:
    """Ask once, by every route that reads; what could not be asked is blind, never clean."""
    exhibit, asked = tenants.exhibit(), 0
    if exhibit is None:
        return CanaryRead(clock.now(), blind=NOTHING_YET)
    try:
        async with tenants.visit() as visit:
            a, b = await tenants.enter(visit)
            try:
                leaks = await another_reads(
                    visit, a, b, voice_id=exhibit.voice_id, voice_name=VOICE_NAME, speech=exhibit.speech
                )
            finally:
                asked = len(visit.requests)
    except (ConfigurationError, StoreUnavailableError, TargetError) as error:
        tenants.leave()
        return CanaryRead(clock.now(), asked=asked, blind=error.message)
    return CanaryRead(clock.now(), leaks=leaks, asked=asked)
