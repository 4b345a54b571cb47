"""Cloning: upload URL, PUT, finalize; the voice is listed and its reference plays."""

from __future__ import annotations

from typing import Any

from understudy.errors import TargetError
from understudy.restoration.verification.listening import heard_ms
from understudy.restoration.verification.recordings import canary_recording
from understudy.restoration.verification.visit import Proof, Visit, expect, identifier, member

VOICE_NAME = "Understudy canary"
#: The recordings are in the public domain. Deployments that ask for no consent ignore it.
CONSENT = {"statement": "This recording is in the public domain.", "name": "LibriVox reader"}


async def check_clone(visit: Visit) -> Proof:
    """Prove that a recording becomes a voice, and hand the voice to the checks that speak."""
    a, _ = visit.scene.tenants()
    recording = canary_recording()
    draft = {
        "name": VOICE_NAME,
        "language": recording.language,
        "transcript": recording.transcript,
        "description": "Made by a smoke check; deleted when it ends.",
    }
    ticket = await visit.ask("POST", "/api/clone/upload-url", by=a, body=draft)
    voice_id = identifier(ticket, "voice_id")
    key = f"{a.user_id}/{voice_id}/reference.wav"
    if member(ticket, "object_key", str) != key:
        raise TargetError("POST /api/clone/upload-url gave an object key outside the caller's own folder.")
    stored = await visit.upload(member(ticket, "upload_url", str), recording.audio, recording.content_type)
    expect(stored, 200, 201, 204)

    visit.scene.leavings.add(a, "voices", voice_id)
    body = {**draft, "voice_id": voice_id, "consent": CONSENT}
    finalized = await visit.ask("POST", "/api/clone/finalize", by=a, body=body)
    if member(finalized, "id", str) != voice_id or member(finalized, "name", str) != VOICE_NAME:
        raise TargetError("POST /api/clone/finalize answered another voice than the one it was given.")
    visit.scene.voice.set_result(voice_id)

    listed = await visit.ask("GET", "/api/voices?page=1&per_page=100", by=a)
    if voice_id not in ids(listed, "voices"):
        raise TargetError("GET /api/voices does not list the voice that was just cloned.")
    _, audio = await visit.stored_audio(f"/api/voices/{voice_id}/preview", by=a)
    length_ms = heard_ms(audio)
    return Proof("A recording was cloned, is listed, and its reference plays.", audio_ms=length_ms)


def ids(listing: dict[str, Any], name: str) -> set[str]:
    """Return the ids of the rows in ``listing[name]``.

    Raises
    ------
    TargetError
        A row is no object with an id.
    """
    return {identifier(row, "id") for row in rows(listing, name)}


def rows(listing: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the rows in ``listing[name]``.

    Raises
    ------
    TargetError
        They are no list of objects.
    """
    found = member(listing, name, list)
    if not all(isinstance(row, dict) for row in found):
        raise TargetError(f'The answer\'s "{name}" holds rows that are no objects.')
    return found
