"""A probe of the provider in force, end to end through the product's own API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import TargetError
from understudy.logs import get_logger
from understudy.restoration.probes.plan import Memory, Outcome
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.probes.tenants import Exhibit, ProbeTenants, said
from understudy.restoration.signals.readings import ProbeResult
from understudy.restoration.verification.canaries import CanarySession, Leavings
from understudy.restoration.verification.checks.clone import rows
from understudy.restoration.verification.client import Reply
from understudy.restoration.verification.listening import heard_ms
from understudy.restoration.verification.visit import Visit, identifier, json_object, member
from understudy.store.probes import TaskCall

REMADE_KEY = "probe_voice_remade"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one probe came to.

    Parameters
    ----------
    result
        None when the probe was ended from outside: that says nothing.
    cost_microusd
        As the product recorded it; None where that is not known.
    """

    result: ProbeResult | None
    cost_microusd: int | None


class _EndedError(Exception):
    """The probe has its outcome."""

    def __init__(
        self, outcome: Outcome, detail: str, *, code: str | None = None, failure_class: str | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.code = code or outcome.value
        self.failure_class = failure_class


class ActiveProbe:
    """Speaks the phrase as canary A.

    Parameters
    ----------
    text
        What is said.
    """

    def __init__(
        self, tenants: ProbeTenants, records: ProbeRecords, memory: Memory, clock: Clock, *, text: str
    ) -> None:
        self._tenants = tenants
        self._records = records
        self._memory = memory
        self._clock = clock
        self._text = text

    async def speak(self, *, provider: str, mode_epoch: int) -> Spoken:
        """Speak once.

        Parameters
        ----------
        provider, mode_epoch
            The mode as last seen; the task names the provider that spoke.

        Raises
        ------
        StoreUnavailableError
            The canaries cannot be told apart from users, so nothing was asked.
        """
        started_s = self._clock.monotonic_s()
        turn = _Turn(provider)
        code: str | None = None
        failure_class: str | None = None
        try:
            async with self._tenants.visit() as visit:
                try:
                    audio_ms = await self._speak(visit, turn, mode_epoch)
                finally:
                    await self._take_away(visit, turn)
        except _EndedError as end:
            outcome, detail, code, failure_class = end.outcome, end.detail, end.code, end.failure_class
        except TargetError as error:
            self._tenants.leave()
            outcome, detail = Outcome.PRODUCT_UNREACHABLE, error.message
            code = outcome.value
        else:
            outcome = Outcome.OK
            detail = f"{len(self._text)} characters, {audio_ms / 1000:.1f} s of audio"
        cost = turn.call.cost_microusd if turn.call else None if turn.admitted else 0
        if turn.cancelled:
            return Spoken(None, cost)
        result = ProbeResult(
            at=self._clock.now(),
            ok=outcome is Outcome.OK,
            provider=turn.provider,
            latency_ms=turn.latency_ms or _since(self._clock, started_s),
            first_audio_ms=turn.call.first_audio_ms if turn.call else None,
            code=code,
            detail=detail,
            failure_class=failure_class,
            outcome=outcome.value,
        )
        return Spoken(result, cost)

    async def _speak(self, visit: Visit, turn: _Turn, mode_epoch: int) -> int:
        """Speak and listen; return the length heard, in milliseconds."""
        a, _ = await self._tenants.enter(visit)
        turn.owner = a
        exhibit = self._tenants.exhibit()
        await self._tenants.tidy(visit, a, but=exhibit.generation_id if exhibit else None)
        turn.voice_id = await self._tenants.voice(visit, a)
        started_s = self._clock.monotonic_s()
        turn.admitted = True  # until an answer says otherwise: what was sent may be spoken, and billed
        reply = await self._ask(visit, a, turn)
        if reply.status == 409:
            reply = await self._out_of_the_way(visit, a, turn, mode_epoch, reply)
        turn.admitted = reply.status < 300
        if not turn.admitted:
            raise _refused(reply)
        created = json_object(reply)
        turn.task_id, turn.generation_id = (
            identifier(created, "task_id"),
            identifier(created, "generation_id"),
        )
        task = await visit.terminal_task(turn.task_id, by=a)
        turn.provider = member(task, "provider", str)
        turn.call = await self._records.of_task(UUID(turn.task_id))
        if task["status"] != "completed":
            turn.cancelled = task["status"] == "cancelled"
            raise _failed(task, turn.call)
        _, audio = await visit.stored_audio(f"/api/generations/{turn.generation_id}/audio", by=a)
        turn.latency_ms = _since(self._clock, started_s)
        try:
            length_ms = heard_ms(audio, text=self._text)
        except TargetError as error:
            raise _EndedError(Outcome.BAD_AUDIO, error.message) from None
        turn.good = True
        return length_ms

    async def _ask(self, visit: Visit, a: CanarySession, turn: _Turn) -> Reply:
        body = {"voice_id": turn.voice_id, "text": self._text, "language": "English"}
        return await visit.call("POST", "/api/generate", by=a, body=body)

    async def _out_of_the_way(
        self, visit: Visit, a: CanarySession, turn: _Turn, mode_epoch: int, refusal: Reply
    ) -> Reply:
        """Remove what a 409 complains of and ask again: our own earlier probe, or a voice not covered."""
        exhibit = self._tenants.exhibit()
        kept = exhibit.generation_id if exhibit else None
        listed = await visit.ask("GET", "/api/generations?per_page=100", by=a)
        ours = [row for row in rows(listed, "generations") if row.get("id") != kept]
        if any(row.get("status") in {"pending", "processing"} for row in ours):
            await self._tenants.tidy(visit, a, but=kept)
        elif self._memory.meta(REMADE_KEY) != str(mode_epoch):
            # A clone made in this mode speaks in it. Once an epoch: the provider may bill each.
            self._memory.remember(REMADE_KEY, str(mode_epoch))
            old, turn.voice_id = turn.voice_id, await self._tenants.make_voice(visit, a)
            log.info("probe_voice_replaced", old=old, new=turn.voice_id, reason=said(refusal))
            gone = Leavings()
            gone.add(a, "voices", old)
            await gone.remove(visit.client, within_s=self._tenants.limits.cleanup_s)
        else:
            return refusal
        return await self._ask(visit, a, turn)

    async def _take_away(self, visit: Visit, turn: _Turn) -> None:
        """Keep a good utterance as the one that canary B must not see, and delete the one kept before."""
        if turn.owner is None or not turn.task_id:
            return
        leavings = Leavings()
        spoken = Exhibit(turn.voice_id, turn.task_id, turn.generation_id)
        away = self._tenants.exhibit() if turn.good else spoken
        if turn.good:
            self._tenants.keep(spoken)
        if away is not None:
            leavings.add(turn.owner, "tasks", away.task_id)
            leavings.add(turn.owner, "generations", away.generation_id)
        for left in await leavings.remove(visit.client, within_s=self._tenants.limits.cleanup_s):
            log.warning("probe_left_behind", what=left)


@dataclass(slots=True)
class _Turn:
    """One utterance under way."""

    provider: str
    owner: CanarySession | None = None
    voice_id: str = ""
    task_id: str = ""
    generation_id: str = ""
    call: TaskCall | None = None
    latency_ms: int = 0
    admitted: bool = False
    cancelled: bool = False
    good: bool = False


def _refused(reply: Reply) -> _EndedError | TargetError:
    detail = f"{reply.label} answered {reply.status}: {said(reply)}"
    if reply.status == 401 or reply.status >= 500:
        return TargetError(detail)
    return _EndedError(Outcome.REFUSED, detail)


def _failed(task: dict[str, Any], call: TaskCall | None) -> _EndedError:
    detail = str(task.get("error") or f"The task ended {task['status']}.")[:300]
    code = call.code if call else None
    failure_class = call.failure_class if call else None
    return _EndedError(Outcome.PROVIDER_FAILED, detail, code=code, failure_class=failure_class)


def _since(clock: Clock, started_s: float) -> int:
    return round((clock.monotonic_s() - started_s) * 1000)
