"""The tools of one attempt to restore, built anew for each: settings may have been corrected meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import ConfigurationError, StoreUnavailableError, TargetError
from understudy.logs import get_logger
from understudy.providers.base import CheckResult
from understudy.restoration.actions.step import Restoration, Verified
from understudy.restoration.guard.warming import warming
from understudy.restoration.probes import lane_of
from understudy.restoration.signals.calls import Connect
from understudy.restoration.targets.base import Target
from understudy.restoration.targets.preflight import check_modal
from understudy.restoration.verification.access import access_from
from understudy.restoration.verification.board import SmokeBoard
from understudy.restoration.verification.checklist import derive_checklist
from understudy.restoration.verification.smoke import run_smoke
from understudy.settings import Settings, load_settings
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.synthetic import mark_synthetic

CANARIES_FILE = Path("run") / "canaries.json"
#: Without these three Modal speaks nothing.
SPEAKING = frozenset({"MODAL_JOB_SUBMIT", "MODAL_JOB_STATUS", "MODAL_JOB_RESULT"})
#: Of one endpoint's answer, inside the time box of the precheck.
ENDPOINTS_TIMEOUT_S = 8.0

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
    board: SmokeBoard | None = None,
) -> Callable[[IncidentRow, int, Mapping[str, Any]], Restoration]:
    """Return what builds the tools of one attempt to restore.

    Parameters
    ----------
    board
        Shows each smoke run while it is under way.
    """
    shown = board or SmokeBoard()

    async def check_known_good() -> CheckResult:
        now = settings_now(settings)
        provider = lane_of(settings.known_good_provider, now, clock).provider
        try:
            result = await provider.check()
        finally:
            await provider.close()
        if settings.known_good_provider != "modal":
            return result
        return replace(result, detail=f"{result.detail}; {await modal_is_there(now)}")

    async def tell_apart(user_ids: Sequence[UUID]) -> None:
        try:
            async with (await connect()).service() as conn:
                for user_id in user_ids:
                    await mark_synthetic(conn, user_id, "canary")
        except StoreUnavailableError as error:
            raise TargetError(f"The canaries cannot be told apart from users: {error.message}") from error

    async def verify(base_url: str, expect_provider: str | None = None) -> Verified:
        access = access_from(os.environ, home / CANARIES_FILE, base_url)
        expected = expect_provider or settings.known_good_provider
        with shown.showing(expected):
            smoke = await run_smoke(
                base_url,
                identities=access.identities,
                auth_url=access.auth_url,
                publishable_key=access.publishable_key,
                expect_provider=expected,
                clock=clock,
                on_identified=tell_apart if target.capabilities.live_switch else None,
                on_checked=shown.saw,
            )
        checklist = derive_checklist(smoke)
        open_points = [item for item in checklist.items if not item.ok]
        green = len(checklist.items) - len(open_points)
        detail = f"checklist {green} of {len(checklist.items)}"
        if open_points:
            detail += "; " + "; ".join(f"{item.sentence} {item.reason}" for item in open_points)
        return Verified(
            ok=smoke.ok and not checklist.objections(expected),
            detail=detail,
            evidence={"detail": detail, "smoke": smoke.to_json(), "checklist": checklist.to_json()},
        )

    warm = warming(settings=lambda: settings_now(settings), store=store, connect=connect, clock=clock)

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
            home=home,
            settings=lambda: settings_now(settings),
            known_good_record=store.known_good(),
            warm=warm,
        )

    return prepare


async def modal_is_there(settings: Settings) -> str:
    """Ask each of Modal's five endpoints, submitting nothing, and say what was seen.

    Raises
    ------
    ConfigurationError
        One without which nothing can be spoken there does not answer as agreed. One that only designs or
        cancels is told, and keeps nobody from stepping back.
    """
    found = await check_modal(settings, timeout_s=ENDPOINTS_TIMEOUT_S)
    problems = [f"{check.name}: {check.detail}" for check in found if not check.ok]
    if any(not check.ok and check.name in SPEAKING for check in found):
        raise ConfigurationError("; ".join(problems))
    return f"of five endpoints {len(found) - len(problems)} in order" + "".join(
        f"; {each}" for each in problems
    )


def settings_now(at_start: Settings) -> Settings:
    """Settings in force now: an operator may have corrected them since the guard started."""
    try:
        return load_settings()
    except ConfigurationError as error:
        # Another setting is wrong now, perhaps the very rollout: the known-good side is asked as it was.
        log.warning("settings_unreadable", reason=error.message)
        return at_start
