"""The table of the HTTP contract, route by route, against the running application and its document."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.integration.api.conftest import Api, User
from tests.integration.api.test_routes import DRAFT, RECORDING, clone
from understudy.store.objects import GENERATIONS

pytestmark = pytest.mark.integration

PAGE = {"page": 1, "per_page": 20, "total": 1, "pages": 1}


@dataclass(frozen=True)
class Route:
    """One row: who may call, how, and what at least is answered."""

    method: str
    path: str
    keys: set[str]
    sent: dict[str, Any] | None = None
    status: int = 200
    public: bool = False
    answers: dict[str, Any] | None = None


#: In the order of the contract, each call after those it needs. ``{voice}`` and the like are filled in.
TABLE = [
    Route("GET", "/health", {"ok"}, public=True, answers={"ok": True}),
    Route("GET", "/ready", {"ready", "mode", "epoch", "schema", "draining"}, public=True),
    Route(
        "GET",
        "/languages",
        {"languages", "default", "provider", "capabilities", "transcription"},
        public=True,
        answers={"default": "Auto", "provider": "modal"},
    ),
    Route("GET", "/me", {"signed_in", "user", "profile"}, answers={"signed_in": True}),
    Route("PATCH", "/profile", {"profile"}, {"json": {"handle": "Jane_1", "avatar_url": None}}),
    Route("PATCH", "/profile", {"detail"}, {"json": {}}, status=400),
    Route(
        "PATCH",
        "/profile",
        {"detail"},
        {"json": {"handle": "taken_one"}},
        status=400,
        answers={"detail": "Handle is already taken."},
    ),
    Route("POST", "/clone/upload-url", {"voice_id", "upload_url", "object_key"}, {"json": DRAFT}),
    Route(
        "POST",
        "/clone/finalize",
        {"detail"},
        {"json": DRAFT | {"voice_id": str(uuid4())}},
        status=400,
        answers={"detail": "Audio file not uploaded."},
    ),
    Route("POST", "/clone/finalize", {"id", "name"}, {"json": DRAFT | {"voice_id": "{voice}"}}),
    Route(
        "GET",
        "/voices?source=uploaded&search=JAN",
        {"voices", "pagination"},
        answers={"pagination": PAGE},
    ),
    Route("GET", "/voices/{voice}/preview", set(), status=302),
    Route(
        "POST",
        "/voices/design/preview",
        {"task_id", "status"},
        {"json": {"text": "one", "language": "English", "instruct": "deep"}},
        answers={"status": "pending"},
    ),
    Route(
        "POST",
        "/voices/design",
        {"id", "name", "description", "language", "source", "preview_url"},
        {"form": {"name": "Own", "text": "one", "language": "en", "instruct": "deep"}},
        answers={"source": "designed", "language": "English"},
    ),
    Route(
        "POST",
        "/generate",
        {"task_id", "status", "is_long_running", "estimated_duration_minutes", "generation_id"},
        {"json": {"voice_id": "{voice}", "text": "one"}},
        answers={"status": "processing", "is_long_running": True},
    ),
    Route(
        "GET",
        "/tasks/{task}",
        {
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
        },
        answers={"type": "generate", "status": "pending", "result": None},
    ),
    Route(
        "GET",
        "/generations/{generation}/audio",
        {"detail"},
        status=404,
        answers={"detail": "Generation audio not available."},
    ),
    Route("POST", "/tasks/{task}/cancel", {"cancelled", "task_id"}, answers={"cancelled": True}),
    Route(
        "POST",
        "/tasks/{task}/cancel",
        {"detail"},
        status=400,
        answers={"detail": "Cannot cancel task with status: cancelled"},
    ),
    Route("DELETE", "/tasks/{task}", {"ok"}, answers={"ok": True}),
    Route(
        "GET", "/generations?status=completed", {"generations", "pagination"}, answers={"pagination": PAGE}
    ),
    Route("GET", "/generations/{spoken}/audio", set(), status=302),
    Route(
        "POST",
        "/generations/{spoken}/regenerate",
        {"voice_id", "text", "language", "redirect_url"},
        answers={"text": "one two", "language": "German"},
    ),
    Route("DELETE", "/generations/{spoken}", {"ok"}, answers={"ok": True}),
    Route(
        "POST",
        "/transcriptions",
        {"detail"},
        {"form": {}},
        status=503,
        answers={"detail": "Transcription is not configured on this server."},
    ),
    Route("DELETE", "/voices/{voice}", {"ok"}, answers={"ok": True}),
]


async def _prepare(api: Api, user: User, other: User) -> dict[str, str]:
    """A recording where a ticket says, a spoken generation, and a handle that is somebody's."""
    async with other.client.patch("/api/profile", json={"handle": "taken_one"}) as answer:
        assert answer.status == 200, await answer.text()
    async with user.client.post("/api/clone/upload-url", json=DRAFT) as answer:
        ticket = await answer.json()
    wav = {"Content-Type": "audio/wav"}
    async with api.client.put(ticket["upload_url"], data=io.BytesIO(RECORDING), headers=wav) as answer:
        assert answer.status == 200
    spoken = uuid4()
    await api.objects.put(GENERATIONS, f"{user.id}/{spoken}.wav", RECORDING, "audio/wav")
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "insert into public.generations (id, user_id, text, language, status, audio_object_key)"
            " values (%s, %s, 'one two', 'German', 'completed', %s)",
            (spoken, user.id, f"{user.id}/{spoken}.wav"),
        )
    return {"{voice}": ticket["voice_id"], "{spoken}": str(spoken)}


def _filled(value: str, names: dict[str, str]) -> str:
    for name, meant in names.items():
        value = value.replace(name, meant)
    return value


def _request(route: Route, names: dict[str, str]) -> dict[str, Any]:
    if route.sent is None:
        return {}
    if "form" in route.sent:
        form = aiohttp.FormData(route.sent["form"])
        form.add_field("audio", io.BytesIO(RECORDING), filename="a.wav", content_type="audio/wav")
        return {"data": form}
    return {"json": json.loads(_filled(json.dumps(route.sent["json"]), names))}


async def test_every_route_answers_as_the_table_says(api: Api, sign_up: Any) -> None:
    user = await sign_up()
    names = await _prepare(api, user, await sign_up())
    for route in TABLE:
        path = f"/api{_filled(route.path, names)}"
        what = f"{route.method} {route.path}"
        if not route.public and not path.startswith("/api/me"):
            async with api.client.request(route.method, path) as answer:
                found = (answer.status, await answer.json())
                assert found == (401, {"detail": "Missing authorization header"}), what
        async with user.client.request(
            route.method, path, allow_redirects=False, **_request(route, names)
        ) as answer:
            assert answer.status == route.status, (what, await answer.text())
            assert answer.headers["X-Request-Id"], what
            if route.status == 302:
                assert "signature=" in answer.headers["Location"], what
                continue
            body = await answer.json()
        assert route.keys <= set(body), what
        if route.status >= 400:
            assert set(body) == {"detail"}, what
        for key, value in (route.answers or {}).items():
            assert body[key] == value, (what, key)
        names |= {
            f"{{{name}}}": body[f"{name}_id"] for name in ("task", "generation") if f"{name}_id" in body
        }


ROWS = {
    "/api/voices": {
        "id", "user_id", "name", "reference_object_key", "reference_transcript", "language", "source",
        "description", "created_at", "tts_provider",
    },
    "/api/generations": {
        "id", "voice_id", "voice_name", "text", "language", "status", "audio_path", "duration_seconds",
        "generation_time_seconds", "error_message", "created_at", "completed_at", "tts_provider",
        "provider_model", "output_format",
    },
}  # fmt: skip


async def test_rows_carry_their_fields_and_nothing_of_the_inside(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    async with user.client.post("/api/generate", json={"voice_id": voice_id, "text": "one"}) as answer:
        assert answer.status == 200
    for path, fields in ROWS.items():
        async with user.client.get(path) as answer:
            row = (await answer.json())[path.rsplit("/", 1)[1]][0]
        assert fields <= set(row), path
        assert not {"provider_voice_id", "provider_metadata", "deleted_at", "metadata"} & set(row), path


async def test_what_to_speak_again_outlives_the_voice_and_starts_nothing(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    async with user.client.post(
        "/api/generate", json={"voice_id": voice_id, "text": "a&b", "language": "de"}
    ) as r:
        generation_id = (await r.json())["generation_id"]
    async with user.client.delete(f"/api/voices/{voice_id}") as answer:
        assert answer.status == 200
    async with user.client.post(f"/api/generations/{generation_id}/regenerate") as answer:
        found = await answer.json()
    assert (found["voice_id"], found["text"], found["language"]) == (voice_id, "a&b", "German")
    assert found["redirect_url"].startswith("/generate?")
    assert "a%26b" not in found["redirect_url"]
    async with user.client.get("/api/generations") as answer:
        assert (await answer.json())["pagination"]["total"] == 1


async def test_a_token_that_outlives_its_account_is_no_token(api: Api, user: User) -> None:
    async with user.client.delete("/api/me") as answer:
        assert answer.status == 200, await answer.text()
    form = aiohttp.FormData({"name": "Own", "text": "one", "language": "en", "instruct": "deep"})
    form.add_field("audio", io.BytesIO(RECORDING), filename="a.wav", content_type="audio/wav")
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/api/profile", {"json": {"handle": "ghost"}}),
        ("POST", "/api/voices/design/preview", {"json": {"text": "one", "instruct": "deep"}}),
        ("POST", "/api/voices/design", {"data": form}),
    ]
    for method, path, sent in writes:
        async with user.client.request(method, path, **sent) as answer:
            found = (answer.status, await answer.json())
            assert found == (401, {"detail": "Invalid or expired token"}), (method, path)
    async with user.client.get("/api/me") as answer:
        assert await answer.json() == {"signed_in": False, "user": None, "profile": None}
    async with api.ctx.database.service() as conn:
        left = await (await conn.execute("select count(*) as n from public.voices")).fetchone()
    assert left == {"n": 0}


async def test_every_operation_documents_its_errors_in_the_one_shape(api: Api) -> None:
    async with api.client.get("/openapi.json") as answer:
        schema = await answer.json()
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            what = f"{method} {path}"
            responses = operation["responses"]
            failures = {status: found for status, found in responses.items() if status >= "400"}
            assert path == "/api/health" or {"500", "503"} <= set(failures), what
            assert "422" not in failures or path.startswith("/auth/v1"), what
            if operation.get("security") and {} not in operation["security"]:
                assert "401" in failures, what
            if "{id}" in path:
                assert "404" in failures, what
            for status, found in failures.items():
                assert len(found["description"]) > 10, (what, status)
                name = found["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
                shapes = {"auth": "GoTrueErrorBody", "v1": "OpenAIErrorBody"}
                own = shapes.get(path.split("/")[1], "ErrorBody")
                assert name == own or path == "/api/ready", (what, status)
    documented = {path.replace("{id}", "{}") for path in schema["paths"]}
    for route in TABLE:
        plain = route.path.split("?", maxsplit=1)[0]
        for name in ("voice", "task", "generation", "spoken"):
            plain = plain.replace(f"{{{name}}}", "{}")
        assert f"/api{plain}" in documented, route.path
