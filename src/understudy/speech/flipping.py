"""A switch back to the known-good provider, as one task lives it.

A task keeps its provider, with two exceptions, both towards the known-good side: one that was never sent is
re-routed, and one that is under way when the mode goes back, and does not end well in time, is spoken there
once. Nothing is sent a second time to a provider that bills each request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from understudy.errors import ConflictError, FailureCategory, ProviderUnavailableError
from understudy.logs import get_logger
from understudy.rollout.mode import ModeState, ModeView
from understudy.speech import spending
from understudy.speech.calls import CallMeter
from understudy.speech.context import SpeechContext
from understudy.speech.failures import Failure
from understudy.speech.holding import Held
from understudy.speech.settling import OPERATIONS
from understudy.speech.speakable import binding_of
from understudy.store import calls, claims, tasks

REROUTED = "rerouted"
RERUN = "rerun"

#: The call that we closed for a switch back: ``cancelled`` on record, so no success rate counts it.
OUTSTAYED = Failure(
    "The speech was moved to another provider.", FailureCategory.CANCELLED, None, "outstayed_a_flip"
)

log = get_logger(__name__)


class LostError(Exception):
    """The claim is gone, or the task must not be sent: nothing more is written."""


class WayBack:
    """The way of one held task to the known-good provider."""

    def __init__(self, ctx: SpeechContext, held: Held) -> None:
        self._ctx = ctx
        self._held = held

    def goal(self) -> ModeView | None:
        """The mode to follow: it went back, and the task did not yet, and can be spoken there."""
        task, mode = self._held.task, self._ctx.mode.view()
        known_good = self._ctx.settings.known_good_provider
        went_back = (
            mode.state is ModeState.FRESH
            and mode.value == known_good != task.provider
            # A cutover that is on still serves there.
            and not self._ctx.mode.serves(task.provider)
        )
        return mode if went_back and RERUN not in task.metadata and self._speakable(mode.value) else None

    async def outstayed(self) -> ModeView:
        """Return the mode to follow once the task was under way for the drain's time after a switch back.

        A switch forward in between starts it anew. A design is left to finish: its create is billed, once.
        """
        mode = self._ctx.mode
        while True:
            while self._held.task.type == tasks.DESIGN_PREVIEW or self.goal() is None:
                await mode.changed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ctx.settings.flip_drain_deadline_s):
                    while self.goal() is not None:
                        await mode.changed()
            # Moved meanwhile, before it was sent, it has nothing more to outstay.
            if (goal := self.goal()) is not None:
                return goal

    @asynccontextmanager
    async def rerouted(self) -> AsyncIterator[bool]:
        """Move a task that was never sent, where the way is open, and hold its turn on the ramp.

        Yields
        ------
        bool
            Whether it was moved.

        Raises
        ------
        LostError
            It is not this worker's to move.
        """
        goal = self.goal() if self._held.task.dispatched_at is None else None
        if goal is not None and not await self._move(goal, REROUTED, {}, None):
            raise LostError
        if REROUTED not in self._held.task.metadata:
            yield False
            return
        # Also one that another worker moved, and gave back before it was sent.
        async with self._ctx.ramp.turn(self._held.task.mode_epoch or 0):
            yield goal is not None

    async def rerouted_meanwhile(self) -> bool:
        """Whether it was re-routed in the instant in which its time was up: then nothing is to be moved.

        The work may have been stopped between the commit and our note of it, so the row is asked.
        """
        async with self._ctx.database.service() as conn:
            row = await tasks.load_task(conn, self._held.task.id)
        claim = self._held.claim
        ours = row is not None and (row.claimed_by, row.attempts) == (claim.worker, claim.attempt)
        if row is None or not ours or row.terminal or REROUTED not in row.metadata:
            return False
        self._held.task = row
        return True

    async def rerun(self, goal: ModeView, meter: CallMeter | None, failure: Failure, *, ours: bool) -> bool:
        """Move a task that was under way, the call that ends here recorded under its own provider and epoch.

        Parameters
        ----------
        ours
            We closed the call: its record is ``cancelled``.

        Returns
        -------
        bool
            False when it is not this worker's to move.
        """
        if ours and meter is not None:
            self._count_what_was_bought(meter)
        record = meter.ended(failure, cancelled=ours) if meter is not None else None
        return await self._move(goal, RERUN, {"code": failure.code}, record)

    async def _move(
        self, goal: ModeView, kind: str, facts: dict[str, object], record: calls.CallRecord | None
    ) -> bool:
        task = self._held.task
        came_from = {"from": task.provider, "epoch": task.mode_epoch, **facts}
        async with self._ctx.database.service() as conn:
            moved = await claims.reroute_task(
                conn,
                self._held.claim,
                provider=goal.value,
                mode_epoch=goal.epoch,
                facts={kind: came_from},
            )
            if moved is None:
                return False
            if record is not None:
                await calls.settle_call(conn, record)
            await spending.move(
                self._ctx,
                conn,
                task_id=task.id,
                provider=self._ctx.provider(goal.value),
                operation=OPERATIONS[task.type],
                text=self._text,
            )
        self._held.task = moved
        log.warning("task_moved", how=kind, task_id=str(task.id), to=moved.provider, **came_from)
        return True

    def _count_what_was_bought(self, meter: CallMeter) -> None:
        """A provider that streams bills the text it took, whole, though we closed it before its end."""
        provider = self._ctx.provider(self._held.task.provider)
        if provider.capabilities.streaming and not meter.cost_microusd:
            kind = self._held.voice.provider_voice_kind if self._held.voice else None
            operation = OPERATIONS[self._held.task.type]
            meter.owe(self._text, provider.estimate(operation, text=self._text, kind=kind))

    @property
    def _text(self) -> str:
        generation = self._held.generation
        return generation.text if generation else str(self._held.task.metadata["brief"]["text"])

    def _speakable(self, name: str) -> bool:
        if self._held.task.type == tasks.DESIGN_PREVIEW:
            return self._ctx.provider(name).capabilities.design
        generation, voice = self._held.generation, self._held.voice
        if generation is None or voice is None:
            return False
        try:
            provider = self._ctx.provider(name)
            binding_of(voice, provider, self._ctx.settings)
        except (ConflictError, ProviderUnavailableError):
            return False
        return len(generation.text) <= provider.capabilities.max_text_chars
