"""Tenant isolation: what A made does not exist for B, nor for nobody, by any route, verb or body.

A's own view is asked first: a refusal proves nothing about a row that is not there.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp

from understudy.errors import TargetError
from understudy.restoration.verification.canaries import CanarySession
from understudy.restoration.verification.checks.clone import VOICE_NAME, ids
from understudy.restoration.verification.client import Reply
from understudy.restoration.verification.recordings import SENTENCES, canary_recording
from understudy.restoration.verification.visit import Proof, Speech, Visit, expect

# Reads before writes, deletions last: a leak is reported by the mildest request that shows it.
BY_PATH = (
    ("GET", "/api/voices/{voice}/preview"),
    ("GET", "/api/tasks/{task}"),
    ("GET", "/api/generations/{generation}/audio"),
    ("POST", "/api/generations/{generation}/regenerate"),
    ("POST", "/api/tasks/{task}/cancel"),
    ("DELETE", "/api/tasks/{task}"),
    ("DELETE", "/api/generations/{generation}"),
    ("DELETE", "/api/voices/{voice}"),
)
#: Those of them that change nothing: they are asked of a deployment in service again and again.
READS = BY_PATH[:4]

#: Client errors that refuse B as such and prove nothing about A's id; 403 tells that it exists.
NO_REFUSAL = frozenset({401, 403, 429})
#: The same of a read, where 403 is a leak: it tells that the id exists.
NOT_LET_IN = NO_REFUSAL - {403}


class LeakError(TargetError):
    """B was told what is A's, or that it exists.

    Parameters
    ----------
    route
        The route that told it, without ids.
    """

    def __init__(self, route: str, message: str) -> None:
        super().__init__(message)
        self.route = route


async def check_isolation(visit: Visit) -> Proof:
    """Prove that B and nobody can neither see, list, hear, change, delete nor use what A made."""
    scene = visit.scene
    a, b = scene.tenants()
    voice_id, speech = await scene.voice, await scene.speech
    audio_path = await scene.spoken
    if voice_id is None or speech is None:
        raise TargetError("A has nothing that B could be kept from.")
    await _check_seen_by_owner(visit, a, voice_id, speech)
    signed = await _signed_url(visit, a, audio_path) if audio_path else None

    await _check_voices_not_listed(visit, b, voice_id, VOICE_NAME)
    await _check_generations_not_listed(visit, b, speech)
    for method, template in BY_PATH:
        await _check_by_path(visit, b, method, template, voice_id=voice_id, speech=speech)
    await _check_in_bodies(visit, b, voice_id, speech)
    await _check_anonymous(visit, voice_id, speech)
    if signed is not None:
        await _check_signature(visit, signed)

    await _check_seen_by_owner(visit, a, voice_id, speech)
    heard = "" if signed else " (there was no audio to keep from B)"
    return Proof(f"A's voice, generation and task do not exist for B or for nobody{heard}.")


async def another_reads(
    visit: Visit, a: CanarySession, b: CanarySession, *, voice_id: str, voice_name: str, speech: Speech
) -> tuple[str, ...]:
    """Ask as B for what is A's, by id and in every list; return the routes that told it.

    Changes nothing, so that a deployment in service can be asked again and again.

    Raises
    ------
    TargetError
        It could not be asked: A's own is gone, someone is not let in, or no answer came.
    """
    await _check_seen_by_owner(visit, a, voice_id, speech)
    questions = [
        partial(_check_voices_not_listed, visit, b, voice_id, voice_name),
        partial(_check_generations_not_listed, visit, b, speech),
        *(
            partial(_check_by_path, visit, b, method, template, voice_id=voice_id, speech=speech)
            for method, template in READS
        ),
    ]
    leaks: list[str] = []
    unasked: TargetError | None = None
    for question in questions:
        try:
            await question()
        except LeakError as leak:
            leaks.append(leak.route)
        except TargetError as error:
            unasked = unasked or error
    if unasked is not None and not leaks:  # one leak is enough to act on, whatever else gave no answer
        raise unasked
    return tuple(leaks)


async def _check_seen_by_owner(visit: Visit, a: CanarySession, voice_id: str, speech: Speech) -> None:
    if voice_id not in ids(await visit.ask("GET", "/api/voices?per_page=100", by=a), "voices"):
        raise TargetError("A's own voice is gone.")
    listed = await visit.ask("GET", "/api/generations?per_page=100", by=a)
    if speech.generation_id not in ids(listed, "generations"):
        raise TargetError("A's own generation is gone.")
    await visit.ask("GET", f"/api/tasks/{speech.task_id}", by=a)


async def _signed_url(visit: Visit, a: CanarySession, path: str) -> str:
    return visit.client.location(expect(await visit.call("GET", path, by=a), 302))


async def _check_voices_not_listed(visit: Visit, b: CanarySession, voice_id: str, name: str) -> None:
    for query in ("", f"&search={quote(name)}", "&source=uploaded"):
        if voice_id in ids(await visit.ask("GET", f"/api/voices?per_page=100{query}", by=b), "voices"):
            raise LeakError("GET /api/voices", "GET /api/voices lists A's voice to B.")


async def _check_generations_not_listed(visit: Visit, b: CanarySession, speech: Speech) -> None:
    for query in ("", "&status=completed"):
        listed = await visit.ask("GET", f"/api/generations?per_page=100{query}", by=b)
        if speech.generation_id in ids(listed, "generations"):
            raise LeakError("GET /api/generations", "GET /api/generations lists A's generation to B.")


async def _check_by_path(
    visit: Visit, b: CanarySession, method: str, template: str, *, voice_id: str, speech: Speech
) -> None:
    """A's id must be answered exactly as an id that never existed: whether it exists is not told."""
    real = {"voice": voice_id, "task": speech.task_id, "generation": speech.generation_id}
    absent = str(uuid4())
    theirs = await visit.call(method, template.format_map(real), by=b)
    route = f"{method} {template.replace('{', ':').replace('}', '')}"
    if theirs.status != 404:
        message = f"{route} answered B {theirs.status} for A's id where 404 is promised."
        raise TargetError(message) if _unanswered(theirs) else LeakError(route, message)
    nobodys = await visit.call(method, template.format_map(dict.fromkeys(real, absent)), by=b)
    if _without_ids(theirs, real.values()) != _without_ids(nobodys, [absent]):
        message = f"{route} answers A's id otherwise than an id that does not exist."
        raise TargetError(message) if _unanswered(nobodys) else LeakError(route, message)


def _unanswered(reply: Reply) -> bool:
    """Whether the answer says nothing about the id: nobody was let in, or the service failed."""
    return reply.status in NOT_LET_IN or reply.status >= 500


def _without_ids(reply: Reply, identifiers: Any) -> tuple[int, bytes]:
    body = reply.body
    for identifier in identifiers:
        body = body.replace(identifier.encode(), b"<id>")
    return reply.status, body


async def _check_in_bodies(visit: Visit, b: CanarySession, voice_id: str, speech: Speech) -> None:
    """A's ids in B's requests must not work; what a leak makes is remembered, to be deleted."""
    scene = visit.scene
    text = SENTENCES[scene.language]
    body = {"voice_id": voice_id, "text": text, "language": scene.language}
    spoken = await visit.call("POST", "/api/generate", by=b, body=body)
    _remember(visit, spoken, b, tasks="task_id", generations="generation_id")
    _refused(spoken, "speaks with A's voice for B")

    recording = canary_recording()
    draft = {"name": VOICE_NAME, "language": recording.language, "transcript": recording.transcript}
    finalized = await visit.call("POST", "/api/clone/finalize", by=b, body={**draft, "voice_id": voice_id})
    _remember(visit, finalized, b, voices="id")
    _refused(finalized, "finalizes A's voice for B")

    form = aiohttp.FormData(default_to_multipart=True)
    fields = {"name": VOICE_NAME, "text": text, "language": scene.language, "instruct": "Calm."}
    for name, value in {**fields, "task_id": speech.task_id}.items():
        form.add_field(name, value)
    designed = await visit.call("POST", "/api/voices/design", by=b, form=form)
    _remember(visit, designed, b, voices="id")
    _refused(designed, "saves A's task as B's voice")


def _refused(reply: Reply, leak: str) -> None:
    if not 400 <= reply.status < 500 or reply.status in NO_REFUSAL:
        raise TargetError(f"{reply.label} answered {reply.status}: it {leak}, or fails trying.")


def _remember(visit: Visit, reply: Reply, owner: CanarySession, **kinds: str) -> None:
    if not 200 <= reply.status < 300:
        return
    made = reply.json()
    for kind, name in kinds.items():
        if isinstance(made, dict):
            visit.scene.leavings.add(owner, kind, made.get(name))


async def _check_anonymous(visit: Visit, voice_id: str, speech: Speech) -> None:
    for path in (
        "/api/voices",
        "/api/generations",
        f"/api/voices/{voice_id}/preview",
        f"/api/tasks/{speech.task_id}",
        f"/api/generations/{speech.generation_id}/audio",
    ):
        reply = await visit.call("GET", path)
        if reply.status != 401:
            raise TargetError(f"{reply.label} answered {reply.status} without a token where 401 is promised.")


async def _check_signature(visit: Visit, signed: str) -> None:
    """Stored audio is private: its address without the signature opens nothing."""
    parts = urlsplit(signed)
    bare = await visit.client.fetch(parts._replace(query="", fragment="").geturl(), log=visit.requests)
    if bare.status < 400:
        raise TargetError("A's stored audio can be read without the signature of its URL.")
