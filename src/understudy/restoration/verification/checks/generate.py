"""Generating: the cloned voice speaks, and what is stored is audible and as long as its text.

Completion is read from ``GET /generations``; the task's own answers are for the task polling check.
"""

from __future__ import annotations

from typing import Any

from understudy.errors import TargetError
from understudy.restoration.verification.checks.clone import rows
from understudy.restoration.verification.listening import heard_ms
from understudy.restoration.verification.recordings import SENTENCES
from understudy.restoration.verification.visit import TERMINAL, Proof, Speech, Visit, identifier, member

#: A row's stated duration may differ from its audio by rounding and by trimmed padding, not by a word.
DURATION_SLACK_MS = 500


async def check_generate(visit: Visit) -> Proof:
    """Prove that a generation is created, completes, and can be heard."""
    scene = visit.scene
    a, _ = scene.tenants()
    text = SENTENCES[scene.language]
    body = {"voice_id": await scene.voice, "text": text, "language": scene.language}
    made = {"tasks": "task_id", "generations": "generation_id"}
    created = await visit.make("/api/generate", by=a, body=body, **made)
    speech = Speech(identifier(created, "task_id"), identifier(created, "generation_id"))
    scene.speech.set_result(speech)
    if member(created, "status", str) != "processing" or created.get("is_long_running") is not True:
        raise TargetError('POST /api/generate did not answer "processing" and is_long_running true.')
    minutes = created.get("estimated_duration_minutes")
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or minutes < 0:
        raise TargetError("POST /api/generate did not estimate how many minutes it takes.")

    row = await _completed(visit, speech.generation_id)
    path = f"/api/generations/{speech.generation_id}/audio"
    _, audio = await visit.stored_audio(path, by=a)
    length_ms = heard_ms(audio, text=text)
    stated_s = row.get("duration_seconds")
    if isinstance(stated_s, (int, float)) and abs(stated_s * 1000 - length_ms) > DURATION_SLACK_MS:
        raise TargetError(f"The generation states {stated_s} s, but {length_ms} ms of audio are stored.")
    scene.spoken.set_result(path)
    return Proof(
        f"The cloned voice spoke {len(text)} characters in {length_ms / 1000:.1f} s of audio.",
        audio_ms=length_ms,
    )


async def _completed(visit: Visit, generation_id: str) -> dict[str, Any]:
    """Wait until the generation is completed and return its row."""
    clock, limits = visit.scene.clock, visit.scene.limits
    a, _ = visit.scene.tenants()
    deadline_s = clock.monotonic_s() + limits.task_s
    while True:
        listed = await visit.ask("GET", "/api/generations?page=1&per_page=100", by=a)
        row = next((r for r in rows(listed, "generations") if r.get("id") == generation_id), None)
        if row is None:
            raise TargetError("GET /api/generations does not list the generation that was just created.")
        status = member(row, "status", str)
        if status == "completed":
            return row
        if status in TERMINAL:
            raise TargetError(f"The generation {status}: {row.get('error_message') or 'no reason given'}")
        if clock.monotonic_s() >= deadline_s:
            raise TargetError(f"The generation is still {status} after {limits.task_s:g} s.")
        await clock.sleep(limits.poll_interval_s)
