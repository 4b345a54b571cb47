"""Task polling: a generation's task reaches a terminal status, stays there, and says where the audio is."""

from __future__ import annotations

from understudy.errors import TargetError
from understudy.restoration.verification.visit import Proof, Visit, expect, member

FIELDS = {
    "id",
    "type",
    "status",
    "result",
    "error",
    "provider",
    "provider_status",
    "provider_poll_count",
    "modal_status",
    "modal_elapsed_seconds",
    "modal_poll_count",
}


async def check_task_polling(visit: Visit) -> Proof:
    """Prove that polling ends with a terminal status and the generation's audio URL."""
    scene = visit.scene
    a, _ = scene.tenants()
    speech = await scene.speech
    if speech is None:
        raise TargetError("There is no task to poll.")
    task = await visit.terminal_task(speech.task_id, by=a)
    absent = FIELDS - task.keys()
    if absent:
        raise TargetError(f"GET /api/tasks/:id lacks {', '.join(sorted(absent))}.")
    if task["type"] != "generate" or task["status"] != "completed":
        raise TargetError(
            f"The {task['type']} task ended {task['status']}: {task['error'] or 'no reason given'}"
        )
    url = f"/api/generations/{speech.generation_id}/audio"
    if member(task, "result", dict).get("audio_url") != url:
        raise TargetError(f"The completed task's result.audio_url is not {url}.")
    provider = member(task, "provider", str)
    if scene.expect_provider is not None and provider != scene.expect_provider:
        raise TargetError(f"{provider} spoke; {scene.expect_provider} is expected.")
    expect(await visit.call("GET", url, by=a), 302)
    again = await visit.ask("GET", f"/api/tasks/{speech.task_id}", by=a)
    if again.get("status") != "completed":
        raise TargetError("The task left its terminal status.")
    return Proof(
        f"The task of {provider} is completed, stays so, and names its audio.", facts={"provider": provider}
    )
