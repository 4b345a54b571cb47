"""Voice design: a described voice is previewed, and the preview can be heard."""

from __future__ import annotations

from understudy.errors import TargetError
from understudy.restoration.verification.listening import heard_ms
from understudy.restoration.verification.recordings import SENTENCES
from understudy.restoration.verification.visit import Proof, Visit, identifier, member

INSTRUCT = "A calm adult voice, medium pitch, speaking clearly and without hurry."


async def check_design_preview(visit: Visit) -> Proof:
    """Prove that a design preview completes with audio that says its text."""
    scene = visit.scene
    a, _ = scene.tenants()
    text = SENTENCES[scene.language]
    body = {"text": text, "language": scene.language, "instruct": INSTRUCT}
    created = await visit.make("/api/voices/design/preview", by=a, body=body, tasks="task_id")
    task_id = identifier(created, "task_id")
    if member(created, "status", str) != "pending":
        raise TargetError('POST /api/voices/design/preview did not answer "pending".')
    task = await visit.terminal_task(task_id, by=a)
    if task.get("type") != "design_preview" or task["status"] != "completed":
        raise TargetError(
            f"The {task.get('type')} task ended {task['status']}: {task.get('error') or 'no reason given'}"
        )
    audio = await visit.signed_audio(member(member(task, "result", dict), "audio_url", str))
    length_ms = heard_ms(audio, text=text)
    return Proof(
        f"A voice was designed and its preview plays for {length_ms / 1000:.1f} s.", audio_ms=length_ms
    )
