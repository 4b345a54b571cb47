"""The two tenants in whose name probes speak at a deployment, and what they keep there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConfigurationError, TargetError
from understudy.logs import get_logger
from understudy.restoration.probes.plan import Memory
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.verification.canaries import (
    CanaryIdentities,
    CanarySession,
    Leavings,
    sign_in_both,
)
from understudy.restoration.verification.checks.clone import CONSENT, rows
from understudy.restoration.verification.client import DeploymentClient, Limits, Reply
from understudy.restoration.verification.recordings import canary_recording
from understudy.restoration.verification.visit import Scene, Speech, Visit, expect, identifier, member

VOICE_NAME = "Understudy probe"
VOICE_KEY, EXHIBIT_KEY = "probe_voice", "probe_exhibit"
#: Well inside an access token's life; a token refused earlier is renewed at once.
SIGNED_IN_FOR_S = 600.0
#: A finalize whose answer was lost may still be at work for so long; then it is taken for dead.
FINALIZING_S = 120.0
LISTED = 100

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The one utterance that is kept: what canary A owns and canary B must not see."""

    voice_id: str
    task_id: str
    generation_id: str

    @property
    def speech(self) -> Speech:
        """Task and generation."""
        return Speech(self.task_id, self.generation_id)


class ProbeTenants:
    """Canaries A and B: signed in, told apart from users, and A's voice.

    Parameters
    ----------
    base_url
        Where the deployment is now; a redeploy may move it.
    identities
        The two accounts of a base URL.
    reserve_voice
        Reserves what making A's voice may cost; what it raises ends the probe before anything is made.
    """

    def __init__(
        self,
        *,
        base_url: Callable[[], Awaitable[str]],
        identities: Callable[[str], CanaryIdentities],
        records: ProbeRecords,
        memory: Memory,
        clock: Clock,
        limits: Limits,
        reserve_voice: Callable[[], Awaitable[None]],
    ) -> None:
        self.limits = limits
        self._base_url = base_url
        self._identities = identities
        self._reserve_voice = reserve_voice
        self._records = records
        self._memory = memory
        self._clock = clock
        self._sessions: tuple[CanarySession, CanarySession] | None = None
        self._signed_in_at_s = 0.0
        self._signed_in_url = ""

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[Visit]:
        """Open a client of the deployment.

        Raises
        ------
        ConfigurationError
            Nobody says where it is: there is nothing to judge.
        """
        try:
            url = await self._base_url()
        except TargetError as error:
            raise ConfigurationError(error.message) from error
        client = DeploymentClient(url, clock=self._clock, limits=self.limits)
        scene = Scene(None, "English", self.limits, self._clock, Leavings())
        async with client:
            try:
                yield Visit(client, scene)
            finally:
                scene.close()

    @property
    def known_user(self) -> CanarySession | None:
        """Canary A as last signed in, if ever."""
        return self._sessions[0] if self._sessions else None

    async def enter(self, visit: Visit) -> tuple[CanarySession, CanarySession]:
        """Sign both in and have them told apart from users, before anything is made.

        Raises
        ------
        TargetError
            The deployment does not let them in.
        StoreUnavailableError
            They cannot be told apart from users.
        """
        url, now_s = visit.client.base_url, self._clock.monotonic_s()
        if (
            self._sessions is None
            or url != self._signed_in_url
            or now_s - self._signed_in_at_s > SIGNED_IN_FOR_S
        ):
            self._sessions = None
            both = await sign_in_both(visit.client, self._identities(url))
            # Every time: a database that was restored may know the accounts and not the mark.
            await self._records.mark([session.user_id for session in both])
            self._sessions, self._signed_in_url, self._signed_in_at_s = both, url, now_s
        return self._sessions

    def leave(self) -> None:
        """Sign in anew next time."""
        self._sessions = None

    # --- the voice ------------------------------------------------------------------------------------------

    async def voice(self, visit: Visit, a: CanarySession) -> str:
        """Return A's voice; made where there is none, and never a second time because an answer was lost.

        Raises
        ------
        TargetError
            There is none and none can be made now.
        """
        known = await self.voices(visit, a)
        intended, age_s = self._intended()
        if intended in known:
            return intended
        if intended:
            reply = await self._finalize(visit, a, intended)
            if reply.status < 300:
                return intended
            if 400 <= reply.status < 500 and (reply.status != 409 or age_s > FINALIZING_S):
                self._memory.remember(VOICE_KEY, "")
            elif not known:
                expect(reply, 200)
        return known[0] if known else await self.make_voice(visit, a)

    async def voices(self, visit: Visit, a: CanarySession) -> list[str]:
        """Ids of A's voices of our name."""
        listed = await visit.ask("GET", f"/api/voices?per_page={LISTED}", by=a)
        return [identifier(row, "id") for row in rows(listed, "voices") if row.get("name") == VOICE_NAME]

    async def make_voice(self, visit: Visit, a: CanarySession) -> str:
        """Clone the canaries' recording, in the mode in force; the id is remembered before it is asked for.

        Raises
        ------
        TargetError
            It was not made, or whether it was is not known yet.
        """
        recording = canary_recording()
        await self._reserve_voice()
        ticket = await visit.ask("POST", "/api/clone/upload-url", by=a, body=_draft())
        voice_id = identifier(ticket, "voice_id")
        stored = await visit.upload(
            member(ticket, "upload_url", str), recording.audio, recording.content_type
        )
        expect(stored, 200, 201, 204)
        self._memory.remember(
            VOICE_KEY, json.dumps({"voice_id": voice_id, "at": self._clock.now().isoformat()})
        )
        expect(await self._finalize(visit, a, voice_id), 200, 201)
        log.info("probe_voice_made", voice=voice_id)
        exhibit = self.exhibit()
        if exhibit is not None:  # what canary B must not see is the voice that is there
            self.keep(replace(exhibit, voice_id=voice_id))
        return voice_id

    async def _finalize(self, visit: Visit, a: CanarySession, voice_id: str) -> Reply:
        body = {**_draft(), "voice_id": voice_id, "consent": CONSENT}
        return await visit.call("POST", "/api/clone/finalize", by=a, body=body)

    def _intended(self) -> tuple[str, float]:
        """Return the voice last asked for, and how many seconds ago; an empty id without one."""
        try:
            known = json.loads(self._memory.meta(VOICE_KEY) or "")
            age_s = (self._clock.now() - datetime.fromisoformat(known["at"])).total_seconds()
            return str(known["voice_id"]), age_s
        except (ValueError, KeyError, TypeError):
            return "", 0.0

    # --- what is kept and what is taken away ----------------------------------------------------------------

    def exhibit(self) -> Exhibit | None:
        """Return the utterance that is kept."""
        try:
            return Exhibit(**json.loads(self._memory.meta(EXHIBIT_KEY) or ""))
        except (ValueError, TypeError):
            return None

    def keep(self, exhibit: Exhibit | None) -> None:
        """Keep another utterance, or none."""
        self._memory.remember(EXHIBIT_KEY, json.dumps(asdict(exhibit)) if exhibit else "")

    async def tidy(self, visit: Visit, a: CanarySession, *, but: str | None) -> list[str]:
        """Delete A's generations, whatever left them, except ``but``; return what stays, in sentences.

        One in progress is cancelled by its deletion, so that a probe killed midway stands in nobody's way.

        Raises
        ------
        TargetError
            They cannot be listed.
        """
        listed = await visit.ask("GET", f"/api/generations?per_page={LISTED}", by=a)
        leavings = Leavings()
        for row in rows(listed, "generations"):
            if row.get("id") != but:
                leavings.add(a, "generations", row.get("id"))
        return await leavings.remove(visit.client, within_s=self.limits.cleanup_s)

    async def clean(self) -> list[str]:
        """Delete everything that probes keep at the deployment; return what stays, in sentences.

        Raises
        ------
        TargetError
            The deployment does not answer.
        StoreUnavailableError
            The canaries cannot be told apart from users.
        """
        async with self.visit() as visit:
            a, _ = await self.enter(visit)
            leavings, exhibit = Leavings(), self.exhibit()
            if exhibit is not None:
                leavings.add(a, "tasks", exhibit.task_id)
            for voice_id in await self.voices(visit, a):
                leavings.add(a, "voices", voice_id)
            left = await self.tidy(visit, a, but=None)
            left += await leavings.remove(visit.client, within_s=self.limits.cleanup_s)
        if not left:
            self.keep(None)
            self._memory.remember(VOICE_KEY, "")
        return left


def _draft() -> dict[str, Any]:
    recording = canary_recording()
    return {
        "name": VOICE_NAME,
        "language": recording.language,
        "transcript": recording.transcript,
        "description": "Speaks the guard's probes; `understudy probes clean` deletes it.",
    }


def said(reply: Reply) -> str:
    """Return the deployment's own sentence, or its status."""
    try:
        detail = reply.json().get("detail")
    except (TargetError, AttributeError):
        detail = None
    return detail[:200] if isinstance(detail, str) else f"status {reply.status}"
