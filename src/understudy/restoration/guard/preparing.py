"""The tools of one attempt to restore, built anew for each: settings may have been corrected meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import ConfigurationError, StoreUnavailableError, TargetError
from understudy.logs import get_logger
from understudy.providers.base import CheckResult
from understudy.restoration.actions.step import Restoration, Verified
from understudy.restoration.probes import lane_of
from understudy.restoration.signals.calls import Connect
from understudy.restoration.targets.base import Target
from understudy.restoration.verification.canaries import remembered_identities
from understudy.restoration.verification.checklist import derive_checklist
from understudy.restoration.verification.smoke import run_smoke
from understudy.settings import Settings, load_settings
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.synthetic import mark_synthetic

CANARIES_FILE = Path("run") / "canaries.json"

log = get_logger(__name__)


def preparation(
    *,
    home: Path,
    settings: Settings,
    store: GuardStore,
    target: Target,
    connect: Connect,
    clock: Clock,
    stale_after_s: float,
) -> Callable[[IncidentRow, int, Mapping[str, Any]], Restoration]:
    """Return what builds the tools of one attempt to restore."""

    async def check_known_good() -> CheckResult:
        provider = lane_of(settings.known_good_provider, settings_now(settings), clock).provider
        try:
            return await provider.check()
        finally:
            await provider.close()

    async def tell_apart(user_ids: Sequence[UUID]) -> None:
        try:
            async with (await connect()).service() as conn:
                for user_id in user_ids:
                    await mark_synthetic(conn, user_id, "canary")
        except StoreUnavailableError as error:
            raise TargetError(f"The canaries cannot be told apart from users: {error.message}") from error

    async def verify(base_url: str) -> Verified:
        smoke = await run_smoke(
            base_url,
            identities=remembered_identities(home / CANARIES_FILE, base_url),
            expect_provider=settings.known_good_provider,
            clock=clock,
            on_identified=tell_apart,
        )
        checklist = derive_checklist(smoke)
        open_points = [item for item in checklist.items if not item.ok]
        green = len(checklist.items) - len(open_points)
        detail = f"checklist {green} of {len(checklist.items)}"
        if open_points:
            detail += "; " + "; ".join(f"{item.sentence} {item.reason}" for item in open_points)
        return Verified(
            ok=smoke.ok and checklist.ok,
            detail=detail,
            evidence={"detail": detail, "smoke": smoke.to_json(), "checklist": checklist.to_json()},
        )

    def prepare(row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        return Restoration(
            incident=row.id,
            attempt=attempt,
            title=row.title,
            finding=finding,
            known_good=settings.known_good_provider,
            target=target,
            connect=connect,
            store=store,
            clock=clock,
            check_known_good=check_known_good,
            verify=verify,
            stale_after_s=stale_after_s,
        )

    return prepare


def settings_now(at_start: Settings) -> Settings:
    """Settings in force now: an operator may have corrected them since the guard started."""
    try:
        return load_settings()
    except ConfigurationError as error:
        # Another setting is wrong now, perhaps the very rollout: the known-good side is asked as it was.
        log.warning("settings_unreadable", reason=error.message)
        return at_start
