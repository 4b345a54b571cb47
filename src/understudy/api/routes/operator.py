"""Operating the service: the provider mode, for accounts with the operator's role."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, Field

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme, bearer_token
from understudy.api.text import clean
from understudy.errors import ForbiddenError
from understudy.rollout.mode import LIVE_WITHIN_S, set_mode
from understudy.speech.context import Caller, SpeechContext
from understudy.store import operators
from understudy.store.api_keys import KEY_PREFIX
from understudy.store.mode import ModeRow, ProcessRow, list_processes, mode_history, read_mode

MAX_REASON_CHARS = 500


class OperatorRoute(AuthenticatedRoute):
    """A route for operators; the role is looked up at every request, so that revoking counts at once.

    A write freeze does not hold it: a restoration freezes writes, and the way back must stay open.
    """

    freezes: ClassVar[bool] = False

    async def authorise(self, request: Request) -> None:
        """Let a signed-in operator through; a key that leaked must not be able to switch the provider."""
        if bearer_token(request).startswith(KEY_PREFIX):
            raise ForbiddenError("An API key may not operate the service; sign in as an operator.")
        caller: Caller = request.state.caller
        ctx: SpeechContext = request.app.state.ctx
        async with ctx.database.service() as conn:
            allowed = await operators.is_operator(conn, caller.user_id)
        if not allowed:
            raise ForbiddenError("Only an operator may do this.")


router = APIRouter(
    prefix="/api/operator",
    tags=["operator"],
    route_class=OperatorRoute,
    dependencies=[Depends(bearer_scheme)],
)


def _reason(value: str) -> str:
    stripped = clean(value).strip()
    if not 1 <= len(stripped) <= MAX_REASON_CHARS:
        raise ValueError(f"Reason must have 1 to {MAX_REASON_CHARS} characters.")
    return stripped


class ModeOrder(BaseModel):
    """Body of ``PUT /operator/mode``."""

    value: Literal["modal", "qwen"]
    reason: Annotated[str, AfterValidator(_reason)] = Field(description="Why; kept in the history.")
    expected_epoch: Annotated[int, Field(ge=1, le=2**62)] | None = Field(
        default=None, description="409 when the mode has another epoch by now."
    )


@router.get("/mode", summary="Which provider serves?", response_model=answers.ProviderModeState)
async def mode(ctx: ContextDep) -> dict[str, Any]:
    """Answer the row, how it differs from the environment, and what each live process holds."""
    async with ctx.database.service() as conn:
        row = await read_mode(conn)
        processes = await list_processes(conn, LIVE_WITHIN_S)
    return _state(ctx, row, processes)


@router.put("/mode", summary="Switch the provider", response_model=answers.ProviderModeState)
async def switch(ctx: ContextDep, caller: CallerDep, body: ModeOrder) -> dict[str, Any]:
    """Switch live: in force here at once, on every process within a second. Allowed while writes are frozen.

    Not durable: a process that starts with a *changed* ``TTS_PROVIDER_MODE`` takes that as the newer command.
    """
    row = await set_mode(
        ctx.database,
        body.value,
        actor=f"operator:{caller.user_id}",
        reason=body.reason,
        # What this process has seen: a restored row must not take the mode back.
        minimum_epoch=ctx.mode.view().epoch,
        expected_epoch=body.expected_epoch,
    )
    await ctx.mode.refresh()
    async with ctx.database.service() as conn:
        processes = await list_processes(conn, LIVE_WITHIN_S)
    return _state(ctx, row, processes)


@router.get(
    "/mode/history", summary="Who switched when, and why?", response_model=answers.ProviderModeHistory
)
async def history(
    ctx: ContextDep, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> dict[str, list[dict[str, Any]]]:
    """List the newest changes first."""
    async with ctx.database.service() as conn:
        changes = await mode_history(conn, limit)
    return {"history": [{name: getattr(change, name) for name in change.__slots__} for change in changes]}


def _state(ctx: SpeechContext, row: ModeRow | None, processes: list[ProcessRow]) -> dict[str, Any]:
    return {
        "mode": {name: getattr(row, name) for name in row.__slots__} if row else None,
        "known_good": ctx.settings.known_good_provider,
        "drifting": row is not None and row.value != row.env_value,
        "processes": [
            {
                **{name: getattr(process, name) for name in process.__slots__},
                "drifting": process.drifts,
                "lagging": row is not None and (process.mode_epoch or 0) < row.epoch,
            }
            for process in processes
        ],
    }
