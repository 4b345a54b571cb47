"""One isolation case for every route and verb of the app's own OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Ids = dict[str, str]
Body = Callable[[Ids], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """How a route is asked.

    Parameters
    ----------
    own
        Status when the ids are the caller's own.
    other
        Status when they are another tenant's, or nobody's; ``None`` for a route that takes no id.
    names
        Which id the path takes.
    body, form
        What is sent, as JSON or as a form.
    ends
        What it names is gone afterwards, so its owner asks last.
    """

    own: int
    other: int | None = None
    names: str = ""
    body: Body | None = None
    form: bool = False
    ends: bool = False


def voice_of(ids: Ids) -> dict[str, Any]:
    return {"voice_id": ids["voice"], "text": "One.", "language": "Auto"}


def draft_of(ids: Ids) -> dict[str, Any]:
    return {"name": "n", "transcript": "t", "language": "English", "voice_id": ids["voice"]}


def design_of(ids: Ids) -> dict[str, Any]:
    return {"name": "n", "text": "t", "language": "English", "instruct": "calm", "task_id": ids["preview"]}


def brief_of(_: Ids) -> dict[str, Any]:
    return {"text": "One.", "language": "English", "instruct": "calm"}


def beacon_of(ids: Ids) -> dict[str, Any]:
    event = {"event": "ended", "at": "2026-11-26T09:00:00Z", "client": "web", "client_version": "1"}
    return {"events": [{"generation_id": ids["generation"], **event}]}


def speech_of(ids: Ids) -> dict[str, Any]:
    return {"model": "tts-1", "input": "One.", "voice": ids["voice"]}


def sample_of(_: Ids) -> dict[str, Any]:
    return {"name": "n", "transcript": "t", "audio_sample": "not a file"}


def nothing(_: Ids) -> dict[str, Any]:
    return {}


#: Asked by the third tenant at the very end.
ERASING = ("DELETE", "/api/me")

CASES: dict[tuple[str, str], Case] = {
    ("GET", "/api/health"): Case(200),
    ("GET", "/api/ready"): Case(200),
    ("GET", "/api/languages"): Case(200),
    ("GET", "/api/config"): Case(200),
    ("GET", "/api/notice"): Case(200),
    ("GET", "/api/me"): Case(200),
    ERASING: Case(200, ends=True),
    ("PATCH", "/api/profile"): Case(200, body=lambda _: {"display_name": "me"}),
    ("POST", "/api/clone/upload-url"): Case(200, body=draft_of),
    # An own voice that exists is answered again; another's is as if nothing had been uploaded.
    ("POST", "/api/clone/finalize"): Case(200, 400, body=draft_of),
    ("POST", "/api/voices/design/preview"): Case(200, body=brief_of),
    ("POST", "/api/voices/design"): Case(200, 404, body=design_of, form=True),
    ("GET", "/api/voices"): Case(200),
    ("GET", "/api/voices/{id}/preview"): Case(302, 404, "voice"),
    ("DELETE", "/api/voices/{id}"): Case(200, 404, "voice", ends=True),
    ("POST", "/api/generate"): Case(200, 404, body=voice_of),
    # These tenants speak through the provider that does not stream: whose voice it is, is not told. In Qwen
    # mode another's voice is 404: tests/integration/api/streams.
    ("POST", "/api/generate/stream"): Case(409, 409, body=voice_of),
    ("POST", "/api/playback-events"): Case(200, 200, body=beacon_of),
    ("GET", "/api/generations"): Case(200),
    ("GET", "/api/generations/{id}/audio"): Case(302, 404, "generation"),
    ("POST", "/api/generations/{id}/regenerate"): Case(200, 404, "generation"),
    ("DELETE", "/api/generations/{id}"): Case(200, 404, "generation", ends=True),
    ("GET", "/api/tasks"): Case(200),
    ("GET", "/api/tasks/{id}"): Case(200, 404, "task"),
    ("POST", "/api/tasks/{id}/cancel"): Case(200, 404, "task", ends=True),
    ("DELETE", "/api/tasks/{id}"): Case(200, 404, "preview", ends=True),
    ("POST", "/api/transcriptions"): Case(503, body=nothing),
    # A role no tenant has, and no key gives.
    ("GET", "/api/usage"): Case(200),
    ("GET", "/api/operator/mode"): Case(403),
    ("PUT", "/api/operator/mode"): Case(403, body=lambda _: {"value": "modal", "reason": "mine"}),
    ("GET", "/api/operator/mode/history"): Case(403),
    ("GET", "/v1/models"): Case(200),
    ("GET", "/v1/models/{model}"): Case(404),
    # Nobody speaks here: past everything that tells whose a voice is, no provider answers.
    ("POST", "/v1/audio/speech"): Case(503, 404, body=speech_of),
    ("GET", "/v1/audio/voices"): Case(200),
    ("POST", "/v1/audio/voices"): Case(400, body=sample_of, form=True),
    ("DELETE", "/v1/audio/voices/{id}"): Case(200, 404, "spare", ends=True),
    # Whoever holds a link may use it; a link of one's own opens nothing else.
    ("GET", "/objects/{bucket}/{key}"): Case(403, 403),
    ("PUT", "/objects/{bucket}/{key}"): Case(403, 403),
    ("POST", "/auth/v1/signup"): Case(400, body=nothing),
    ("POST", "/auth/v1/token"): Case(400, body=nothing),
    ("GET", "/auth/v1/user"): Case(200),
    ("PUT", "/auth/v1/user"): Case(200, body=nothing),
    ("POST", "/auth/v1/recover"): Case(422, body=nothing),
    ("GET", "/auth/v1/settings"): Case(200),
    ("GET", "/auth/v1/health"): Case(200),
    ("POST", "/auth/v1/logout"): Case(204, ends=True),
}

#: The auth service takes no API keys: what a key gets there.
KEY_REFUSED = 403
NEEDS_SESSION = {
    ("GET", "/auth/v1/user"),
    ("PUT", "/auth/v1/user"),
    ("POST", "/auth/v1/logout"),
}
