"""What one worker holds: taking tasks, keeping their leases, hearing that they are to stop."""

from __future__ import annotations

import contextlib
from uuid import UUID, uuid4

from understudy.cancelling import checkpoint
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.speech.context import SpeechContext
from understudy.speech.holding import Held, Stop
from understudy.store import claims, generations, tasks, voices
from understudy.store.claims import Claim
from understudy.store.generations import GenerationRow
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow

RELISTEN_S = 1.0

log = get_logger(__name__)


class Holdings:
    """The tasks in one worker's hand.

    Parameters
    ----------
    lease_s
        Seconds a claim outlives its worker's last sign of life.
    """

    def __init__(self, ctx: SpeechContext, name: str, lease_s: float) -> None:
        self._ctx = ctx
        self._lease_s = lease_s
        #: A restarted worker of the same name must not pass for the one that died.
        self.worker = f"{name}/{uuid4().hex[:12]}"
        self._held: dict[UUID, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, task_id: UUID) -> Held | None:
        """Claim a task; ``None`` when it is terminal or another's, or the store is away (a sweep follows)."""
        try:
            async with self._ctx.database.service() as conn:
                task = await claims.claim_task(conn, task_id, self.worker, self._lease_s)
                if task is None:
                    return None
                generation, voice = await _subject(conn, task)
        except StoreUnavailableError:
            return None
        held = Held(task, Claim(task.id, self.worker, task.attempts), generation, voice)
        self._held[task.id] = held
        return held

    def drop(self, held: Held) -> None:
        """Forget a task that is settled."""
        if self._held.get(held.task.id) is held:
            del self._held[held.task.id]

    def stop_all(self, reason: Stop) -> None:
        """Ask every driver to stop."""
        for held in list(self._held.values()):
            held.stop(reason)

    def stop(self, task_id: UUID, reason: Stop) -> None:
        """Ask one task's driver to stop, if it is here."""
        if held := self._held.get(task_id):
            held.stop(reason)

    async def extend_leases(self) -> None:
        """Extend every lease, to be called three times a lease; a lease that is gone stops its driver."""
        held = dict(self._held)
        if not held:
            return
        async with self._ctx.database.service() as conn:
            alive = await claims.extend_leases(conn, self.worker, list(held), self._lease_s)
        for task_id, holding in held.items():
            if task_id not in alive:
                holding.stop(Stop.LOST)
            elif alive[task_id]:
                holding.stop(Stop.CANCELLED)

    async def hear_cancellations(self) -> None:
        """Stop drivers of tasks whose cancellation is announced, until cancelled.

        A lost notification costs a third of a lease: the heartbeat sees the request too.
        """
        while True:
            try:
                async for _channel, payload in self._ctx.database.listen(tasks.CHANNEL):
                    # Another client of the database may notify anything; a lost look is made good above.
                    with contextlib.suppress(ValueError, StoreUnavailableError):
                        await self._look_at(UUID(payload))
                    checkpoint()
            except StoreUnavailableError:
                log.warning("cancellations_unheard")
            except Exception:
                log.exception("hearing_broke")
            await self._ctx.clock.sleep(RELISTEN_S)

    async def _look_at(self, task_id: UUID) -> None:
        held = self._held.get(task_id)
        if held is None:
            return
        async with self._ctx.database.service() as conn:
            task = await tasks.load_task(conn, task_id)
        if task is not None and not task.terminal and task.cancellation_requested:
            held.stop(Stop.CANCELLED)


async def _subject(conn: tasks.Connection, task: TaskRow) -> tuple[GenerationRow | None, VoiceRow | None]:
    """What a task is to speak and with which voice; in the claim's transaction, which saves one."""
    if task.generation_id is None:
        return None, None
    generation = await generations.find_generation(conn, task.user_id, task.generation_id)
    # Deleted meanwhile is no obstacle: it was admitted, and its recording stays.
    voice_id = (generation.voice_id if generation else None) or task.voice_id
    voice = await voices.find_voice(conn, task.user_id, voice_id, deleted=True) if voice_id else None
    return generation, voice
