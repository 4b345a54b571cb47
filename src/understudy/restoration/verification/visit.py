"""What a check works with: the scene all of them share, and its own visit to the deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
from pydantic import SecretStr

from understudy.cancelling import unbroken
from understudy.clock import Clock
from understudy.errors import TargetError
from understudy.restoration.verification.canaries import CanarySession, Leavings
from understudy.restoration.verification.client import REDIRECTS, DeploymentClient, Limits, Reply
from understudy.restoration.verification.evidence import RequestEvidence

T = TypeVar("T")

#: Statuses that never change again (facts/api.md).
TERMINAL = frozenset({"completed", "failed", "cancelled"})
STATUSES = TERMINAL | {"pending", "processing"}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check that passed has shown: one sentence, and what later conclusions stand on."""

    detail: str
    audio_ms: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Speech:
    """A generation that A started."""

    task_id: str
    generation_id: str


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class Scene:
    """What the checks of one run share.

    Parameters
    ----------
    a, b
        The two tenants, or None when they could not be signed in.
    voice, speech, spoken
        Handed from the check that makes it to those that need it; None when it was not made.
        ``voice`` is A's cloned voice, ``speech`` its generation, ``spoken`` the generation's audio path.
    polled
        Settled when nobody polls the task any more.
    provider
        What ``GET /languages`` named.
    """

    expect_provider: str | None
    language: str
    limits: Limits
    clock: Clock
    leavings: Leavings
    a: CanarySession | None = None
    b: CanarySession | None = None
    voice: asyncio.Future[str | None] = field(default_factory=_future)
    speech: asyncio.Future[Speech | None] = field(default_factory=_future)
    spoken: asyncio.Future[str | None] = field(default_factory=_future)
    polled: asyncio.Future[None] = field(default_factory=_future)
    provider: str | None = None

    def tenants(self) -> tuple[CanarySession, CanarySession]:
        """Both tenants.

        Raises
        ------
        TargetError
            They could not be signed in.
        """
        if self.a is None or self.b is None:
            raise TargetError("There is no canary identity.")
        return self.a, self.b

    def close(self) -> None:
        """Cancel what nobody will hand over any more."""
        for future in (self.voice, self.speech, self.spoken, self.polled):
            future.cancel()


@dataclass(slots=True)
class Visit:
    """One check's requests, each of which leaves evidence."""

    client: DeploymentClient
    scene: Scene
    requests: list[RequestEvidence] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: CanarySession | None = None,
        token: SecretStr | None = None,
        body: Any = None,
        raw: bytes | None = None,
        form: aiohttp.FormData | None = None,
    ) -> Reply:
        """Send one API request as the tenant ``by`` (or with ``token``, or as nobody)."""
        sent = by.token if by else token
        return await self.client.call(
            method, path, log=self.requests, token=sent, body=body, raw=raw, form=form
        )

    async def ask(
        self, method: str, path: str, *, by: CanarySession | None = None, body: Any = None
    ) -> dict[str, Any]:
        """Send one API request that must succeed, and return its JSON object."""
        return json_object(await self.call(method, path, by=by, body=body))

    async def make(self, path: str, *, by: CanarySession, body: Any, **kinds: str) -> dict[str, Any]:
        """POST what makes something, and remember it to be deleted.

        Cut off once it was sent, it is made all the same and nobody knew its id: so its answer is waited for.

        Parameters
        ----------
        kinds
            By kind of thing, the answer's member that holds its id.
        """

        async def made() -> dict[str, Any]:
            created = await self.ask("POST", path, by=by, body=body)
            for kind, name in kinds.items():
                self.scene.leavings.add(by, kind, created.get(name))
            return created

        return await unbroken(made())

    async def upload(self, url: str, data: bytes, content_type: str) -> Reply:
        """PUT a recording to an upload URL."""
        return await self.client.upload(url, data, content_type, log=self.requests)

    async def stored_audio(self, path: str, *, by: CanarySession) -> tuple[str, Reply]:
        """Follow an API path that redirects to stored audio; return the signed URL and the audio."""
        signed = self.client.location(expect(await self.call("GET", path, by=by), *REDIRECTS))
        return signed, await self.signed_audio(signed)

    async def signed_audio(self, url: str) -> Reply:
        """GET a signed URL, which must answer 200."""
        return expect(await self.client.fetch(url, log=self.requests), 200)

    async def terminal_task(self, task_id: str, *, by: CanarySession) -> dict[str, Any]:
        """Poll a task until its status is terminal.

        Raises
        ------
        TargetError
            An answer breaks the contract, the status goes backwards, or it takes longer than ``task_s``.
        """
        clock, limits = self.scene.clock, self.scene.limits
        deadline_s = clock.monotonic_s() + limits.task_s
        processing = False
        while True:
            task = await self.ask("GET", f"/api/tasks/{task_id}", by=by)
            status = member(task, "status", str)
            if member(task, "id", str) != task_id or status not in STATUSES:
                raise TargetError(f"GET /api/tasks/:id answered id {task['id']!r} with status {status!r}.")
            if status in TERMINAL:
                return task
            if processing and status == "pending":
                raise TargetError("The task went back from processing to pending.")
            processing = processing or status == "processing"
            if clock.monotonic_s() >= deadline_s:
                raise TargetError(f"The task is still {status} after {limits.task_s:g} s.")
            await clock.sleep(limits.poll_interval_s)


def expect(reply: Reply, *statuses: int) -> Reply:
    """Return ``reply`` when its status is one of ``statuses``.

    Raises
    ------
    TargetError
        It is another; the deployment's own sentence is quoted when it gave one.
    """
    if reply.status in statuses:
        return reply
    said = _said(reply)
    wanted = " or ".join(str(status) for status in sorted(statuses))
    raise TargetError(f"{reply.label} answered {reply.status}{said} where {wanted} is promised.")


def json_object(reply: Reply) -> dict[str, Any]:
    """Return the JSON object of an answer of 200, 201 or 202."""
    value = expect(reply, 200, 201, 202).json()
    if not isinstance(value, dict):
        raise TargetError(f"{reply.label} answered JSON that is not an object.")
    return value


def member(value: dict[str, Any], name: str, kind: type[T]) -> T:
    """Return ``value[name]``, which must be of ``kind``.

    Raises
    ------
    TargetError
        It is missing or of another kind.
    """
    found = value.get(name)
    if isinstance(found, kind) and not (kind is int and isinstance(found, bool)):
        return found
    given = "missing" if name not in value else f"{type(found).__name__}"
    raise TargetError(f'The answer\'s "{name}" is {given} where {kind.__name__} is promised.')


def identifier(value: dict[str, Any], name: str) -> str:
    """Return the UUID in ``value[name]``, as it was given.

    Raises
    ------
    TargetError
        It is none; ids are UUIDs.
    """
    found = member(value, name, str)
    try:
        UUID(found)
    except ValueError:
        raise TargetError(f'The answer\'s "{name}" is no UUID.') from None
    return found


def _said(reply: Reply) -> str:
    try:
        value = reply.json()
    except TargetError:
        return ""
    detail = value.get("detail") if isinstance(value, dict) else None
    return f' ("{detail[:200]}")' if isinstance(detail, str) else ""
