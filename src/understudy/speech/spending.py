"""Whether something may be spent: reserved in the transaction that creates the task, before any call."""

from __future__ import annotations

import math
from datetime import datetime
from uuid import UUID

from understudy.errors import BudgetExceededError, ValveClosedError
from understudy.providers.base import Operation, Provider
from understudy.settings import Settings
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.speakable import target_models
from understudy.store import budgets, idempotency, ledger, usage
from understudy.store.budgets import Standing
from understudy.store.ledger import Caps, Refusal, Terms
from understudy.store.usage import UsageRow

#: A valve has no window: a client asks again after this long.
VALVE_RETRY_AFTER_S = 60

_PURSES = {"generation": "speech", "creates": "billed voice creates"}
_PAUSED = {
    "generation": "Speech generation is paused by the operators; try again later.",
    "design-creates": "Voice design is paused by the operators; try again later.",
}


async def reserve(
    ctx: SpeechContext,
    conn: ledger.Connection,
    *,
    task_id: UUID,
    caller: Caller,
    provider: Provider,
    operation: Operation,
    text: str = "",
    kind: str | None = None,
) -> None:
    """Reserve what a task may cost at most, in the service transaction that inserts it (after the insert).

    A canary's is reserved too; it is never refused and counts in no budget. The Idempotency-Key of the
    request, if it has one, is bound to the task here.

    Raises
    ------
    BudgetExceededError, ValveClosedError, KeyInFlightError
        Nothing was reserved; let it end the transaction, so that there is no task either.
    """
    terms = Terms(
        operation=str(operation),
        provider=provider.name,
        amount=provider.estimate(operation, text=text, kind=kind),
        billed_create=_is_billed_create(provider, operation),
        at=ctx.clock.now(),
        limits=_generation_caps(ctx.settings) if operation is Operation.SPEAK else _create_caps(ctx.settings),
    )
    refusal = await ledger.reserve(conn, task_id=task_id, user_id=caller.user_id, terms=terms)
    await reserved(ctx, conn, task_id=task_id, caller=caller, refusal=refusal)


def terms_of_speech(ctx: SpeechContext, provider: Provider, text: str) -> Terms:
    """What speaking ``text`` reserves, for a statement that reads the voice itself; then :func:`reserved`."""
    kinds = target_models(ctx.settings) if provider.capabilities.needs_enrolment else {}
    return Terms(
        operation=str(Operation.SPEAK),
        provider=provider.name,
        amount=provider.estimate(Operation.SPEAK, text=text),
        billed_create=False,
        at=ctx.clock.now(),
        limits=_generation_caps(ctx.settings),
        amounts={kind: provider.estimate(Operation.SPEAK, text=text, kind=kind) for kind in kinds},
    )


async def reserved(
    ctx: SpeechContext, conn: ledger.Connection, *, task_id: UUID, caller: Caller, refusal: Refusal | None
) -> None:
    """Raise what was refused; else bind the Idempotency-Key of the request to its task."""
    if refusal is not None:
        raise _refused(ctx, refusal)
    if caller.claim is not None:
        await idempotency.bind(conn, caller.claim, task_id)


async def move(
    ctx: SpeechContext,  # noqa: ARG001 - as reserve
    conn: ledger.Connection,
    *,
    task_id: UUID,
    provider: Provider,
    operation: Operation,
    text: str = "",
    kind: str | None = None,
) -> None:
    """Reserve for ``provider`` instead, when an admitted task goes there; never refused."""
    await ledger.move(
        conn,
        task_id,
        provider=provider.name,
        amount=provider.estimate(operation, text=text, kind=kind),
        billed_create=_is_billed_create(provider, operation),
    )


async def usage_of(
    ctx: SpeechContext, caller: Caller, *, start: datetime, end: datetime
) -> tuple[list[UsageRow], list[Standing]]:
    """Return what the caller used in ``[start, end)``, and the caller's own limits as they stand now."""
    caps = all_caps(ctx.settings)
    async with ctx.database.service() as conn:
        used = await usage.usage_between(conn, caller.user_id, start=start, end=end)
        return used, await budgets.standing(conn, caller.user_id, caps, ctx.clock.now())


def all_caps(settings: Settings) -> dict[str, Caps]:
    """Limits of every budget, as the settings have them."""
    return {**_generation_caps(settings), **_create_caps(settings)}


def _generation_caps(settings: Settings) -> dict[str, Caps]:
    return {
        "generation-hour": Caps(
            settings.budget_generation_tenant_hour_microusd, settings.budget_generation_hour_microusd
        ),
        "generation-day": Caps(
            settings.budget_generation_tenant_day_microusd, settings.budget_generation_day_microusd
        ),
    }


def _create_caps(settings: Settings) -> dict[str, Caps]:
    return {
        "creates-hour": Caps(settings.budget_creates_tenant_hour, settings.budget_creates_hour),
        "creates-day": Caps(
            settings.budget_creates_tenant_day_microusd, settings.budget_creates_day_microusd
        ),
    }


def _is_billed_create(provider: Provider, operation: Operation) -> bool:
    return operation in {Operation.DESIGN, Operation.ENROLL} and provider.capabilities.bills_creates


def _refused(ctx: SpeechContext, refusal: Refusal) -> BudgetExceededError | ValveClosedError:
    if refusal.valve is not None or refusal.budget is None or refusal.ends_at is None:
        return ValveClosedError(_PAUSED.get(refusal.valve or ""), retry_after_s=VALVE_RETRY_AFTER_S)
    left_s = (refusal.ends_at - ctx.clock.now()).total_seconds()
    purse, _, window = refusal.budget.partition("-")
    whose = "The budget of all users together" if refusal.everybody else "Your budget"
    return BudgetExceededError(
        f"{whose} for {_PURSES[purse]} this {window} is used up ({refusal.budget}).",
        retry_after_s=max(1, math.ceil(left_s)),
    )
