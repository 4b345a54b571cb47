"""Routes over the real rules of speech, in Modal mode, without a worker: what is admitted stays queued."""

from __future__ import annotations

import asyncio
import io
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from yarl import URL

from tests.integration.api.conftest import Api, SignUp, User
from understudy.resources import samples_dir
from understudy.rollout.mode import set_mode
from understudy.store.objects import GENERATIONS

pytestmark = pytest.mark.integration

RECORDING = (samples_dir() / "austen-0870.wav").read_bytes()
DRAFT = {"name": "Jane", "language": "en", "transcript": "It is a truth universally acknowledged."}


async def call(user: User, method: str, path: str, status: int = 200, **sent: Any) -> Any:
    async with user.client.request(method, path, **sent) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def clone(api: Api, user: User, name: str = "Jane") -> str:
    ticket = await call(user, "POST", "/api/clone/upload-url", json=DRAFT | {"name": name})
    assert ticket["object_key"] == f"{user.id}/{ticket['voice_id']}/reference.wav"
    assert URL(ticket["upload_url"]).is_absolute()
    async with api.client.put(
        ticket["upload_url"], data=io.BytesIO(RECORDING), headers={"Content-Type": "audio/wav"}
    ) as answer:
        assert answer.status == 200, await answer.text()
    body = DRAFT | {"name": name, "voice_id": ticket["voice_id"]}
    voice = await call(user, "POST", "/api/clone/finalize", json=body)
    assert voice == {"id": ticket["voice_id"], "name": name}
    return str(voice["id"])


async def test_health_is_exactly_ok(api: Api) -> None:
    async with api.client.get("/api/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True})


async def test_ready_tells_mode_schema_and_whether_it_drains(api: Api) -> None:
    async with api.client.get("/api/ready") as answer:
        found = await answer.json()
    assert answer.status == 200
    assert (found["ready"], found["mode"], found["draining"]) == (True, "modal", False)
    assert found["epoch"] >= 1
    assert found["schema"].isdigit()
    assert found["instance"] == str(api.ctx.mode.instance)
    api.drain.draining = True
    async with api.client.get("/api/ready") as answer:
        found = await answer.json()
        assert (answer.status, found["ready"], found["draining"]) == (503, False, True)
        assert answer.headers["Connection"] == "close"


async def test_languages_follow_the_mode_at_once(api: Api, eventually: Any) -> None:
    async def provider() -> dict[str, Any]:
        async with api.client.get("/api/languages") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    modal = await provider()
    assert modal["provider"] == "modal"
    assert modal["default"] == "Auto"
    assert "Auto" in modal["languages"]
    assert modal["capabilities"]["max_text_chars"] == 10000
    await set_mode(api.ctx.database, "qwen", actor="test", reason="test")

    async def switched() -> bool:
        return bool((await provider())["provider"] == "qwen")

    await eventually(switched, what="the mode is qwen")
    qwen = (await provider())["capabilities"]
    assert (qwen["max_text_chars"], qwen["supports_generate_stream"]) == (2000, True)
    assert qwen["default_generate_mode"] == "stream"


async def test_a_clone_is_uploaded_made_listed_heard_and_deleted(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    listing = await call(user, "GET", "/api/voices?search=JAN&source=uploaded")
    assert listing["pagination"] == {"page": 1, "per_page": 20, "total": 1, "pages": 1}
    assert listing["voices"][0]["id"] == voice_id
    assert listing["voices"][0]["language"] == "English"
    async with user.client.get(f"/api/voices/{voice_id}/preview", allow_redirects=False) as answer:
        assert answer.status == 302
        target = answer.headers["Location"]
    async with api.client.get(target) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
        assert (await answer.read())[:4] == b"RIFF"
    assert await call(user, "DELETE", f"/api/voices/{voice_id}") == {"ok": True}
    assert (await call(user, "GET", "/api/voices"))["voices"] == []
    await call(user, "DELETE", f"/api/voices/{voice_id}", 404)


async def test_a_degraded_voice_says_so(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    assert "degraded" not in (await call(user, "GET", "/api/voices"))["voices"][0]
    async with api.ctx.database.service() as conn:
        await conn.execute("UPDATE public.voices SET provider_metadata = '{\"degraded\": true}'")
    assert (await call(user, "GET", "/api/voices"))["voices"][0]["degraded"] is True
    again = await call(user, "POST", "/api/clone/finalize", json=DRAFT | {"voice_id": voice_id})
    assert again == {"id": voice_id, "name": "Jane", "degraded": True}


async def test_voices_come_in_pages_newest_first(api: Api, user: User) -> None:
    made = [await clone(api, user, name) for name in ("one", "two", "three")]
    first = await call(user, "GET", "/api/voices?per_page=2")
    second = await call(user, "GET", "/api/voices?per_page=2&page=2")
    assert [voice["id"] for voice in first["voices"] + second["voices"]] == made[::-1]
    assert first["pagination"] == {"page": 1, "per_page": 2, "total": 3, "pages": 2}
    assert (await call(user, "GET", "/api/voices?search=%25"))["pagination"]["total"] == 0


async def test_finalizing_without_an_upload_is_refused(user: User) -> None:
    body = DRAFT | {"voice_id": str(uuid4())}
    found = await call(user, "POST", "/api/clone/finalize", 400, json=body)
    assert found == {"detail": "Audio file not uploaded."}


async def test_a_generation_is_admitted_polled_cancelled_and_deleted(api: Api, user: User) -> None:
    voice_id = await clone(api, user)
    body = {"voice_id": voice_id, "text": "four seven one"}
    started = await call(user, "POST", "/api/generate", json=body)
    assert started["status"] == "processing"
    assert started["is_long_running"] is True
    assert started["estimated_duration_minutes"] == 1
    task = await call(user, "GET", f"/api/tasks/{started['task_id']}")
    assert set(task) == {
        "id", "type", "status", "result", "error", "provider", "provider_status", "provider_poll_count",
        "modal_status", "modal_elapsed_seconds", "modal_poll_count",
        # Beyond the contract, for the studio:
        "generation_id", "voice_id", "created_at", "completed_at", "delivery", "brief",
    }  # fmt: skip
    assert (task["type"], task["status"], task["provider"]) == ("generate", "pending", "modal")
    await call(user, "POST", "/api/generate", 409, json=body)
    async with user.client.get(f"/api/generations/{started['generation_id']}/audio") as answer:
        assert (answer.status, await answer.json()) == (404, {"detail": "Generation audio not available."})
    path = f"/api/tasks/{started['task_id']}/cancel"
    assert await call(user, "POST", path) == {"cancelled": True, "task_id": started["task_id"]}
    again = await call(user, "POST", path, 400)
    assert again == {"detail": "Cannot cancel task with status: cancelled"}
    listing = await call(user, "GET", "/api/generations?status=cancelled&search=seven")
    assert listing["pagination"]["total"] == 1
    row = listing["generations"][0]
    assert (row["voice_name"], row["audio_path"], row["status"]) == ("Jane", None, "cancelled")
    assert await call(user, "DELETE", f"/api/generations/{row['id']}") == {"ok": True}
    assert await call(user, "DELETE", f"/api/tasks/{started['task_id']}") == {"ok": True}
    await call(user, "GET", f"/api/tasks/{started['task_id']}", 404)


async def test_stored_audio_is_a_redirect_to_a_signed_url(api: Api, user: User) -> None:
    voice_id, generation_id = await clone(api, user), uuid4()
    key = f"{user.id}/{generation_id}.wav"
    await api.objects.put(GENERATIONS, key, RECORDING, "audio/wav")
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "insert into public.generations (id, user_id, voice_id, text, status, audio_object_key)"
            " values (%s, %s, %s, 'one', 'completed', %s)",
            (generation_id, user.id, UUID(voice_id), key),
        )
    row = (await call(user, "GET", "/api/generations"))["generations"][0]
    assert row["audio_path"] == f"/api/generations/{generation_id}/audio"
    async with user.client.get(row["audio_path"]) as answer:
        assert (answer.status, len(answer.history)) == (200, 1)
        assert answer.history[0].status == 302
        assert await answer.read() == RECORDING


async def test_of_two_generations_at_the_same_instant_one_is_admitted(api: Api, user: User) -> None:
    body = {"voice_id": await clone(api, user), "text": "one"}

    async def generate() -> int:
        async with user.client.post("/api/generate", json=body) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(generate() for _ in range(5)))) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize(("mode", "limit"), [("modal", 10000), ("qwen", 2000)])
async def test_a_text_over_the_limit_is_refused_by_code_points(
    api: Api, user: User, eventually: Any, mode: str, limit: int
) -> None:
    await set_mode(api.ctx.database, mode, actor="test", reason="test")
    await eventually(lambda: api.ctx.mode.view().value == mode, what=f"the mode is {mode}")
    body = {"voice_id": str(uuid4()), "text": "\U0001f600" * (limit + 1)}
    found = await call(user, "POST", "/api/generate", 400, json=body)
    assert found == {"detail": f"Text cannot exceed {limit} characters"}
    await call(user, "POST", "/api/generate", 404, json=body | {"text": "\U0001f600" * limit})


async def test_a_design_is_started_and_not_saved_before_it_is_done(user: User) -> None:
    brief = {"text": "one two", "language": "English", "instruct": "A deep voice"}
    started = await call(user, "POST", "/api/voices/design/preview", json=brief)
    assert started["status"] == "pending"
    form = brief | {"name": "Deep", "task_id": started["task_id"]}
    await call(user, "POST", "/api/voices/design", 409, data=form)
    await call(user, "POST", "/api/voices/design", 404, data=form | {"task_id": str(uuid4())})
    for field, text in [("text", "Text"), ("instruct", "Instruct")]:
        long = brief | {field: "x" * 501}
        found = await call(user, "POST", "/api/voices/design/preview", 400, json=long)
        assert found == {"detail": f"{text} cannot exceed 500 characters"}


async def test_in_modal_mode_a_design_may_bring_its_own_audio(api: Api, user: User) -> None:
    form = aiohttp.FormData({"name": "Own", "text": "one", "language": "en", "instruct": "mine"})
    form.add_field("audio", io.BytesIO(RECORDING), filename="a.wav", content_type="audio/wav")
    saved = await call(user, "POST", "/api/voices/design", data=form)
    assert (saved["name"], saved["source"], saved["language"]) == ("Own", "designed", "English")
    assert saved["description"] == "mine"
    async with api.client.get(saved["preview_url"]) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")


async def test_another_tenants_rows_do_not_exist(api: Api, sign_up: SignUp) -> None:
    ann, eve = await sign_up(), await sign_up()
    voice_id = await clone(api, ann)
    started = await call(ann, "POST", "/api/generate", json={"voice_id": voice_id, "text": "one"})
    task, generation = started["task_id"], started["generation_id"]
    for method, path in [
        ("GET", f"/api/voices/{voice_id}/preview"),
        ("DELETE", f"/api/voices/{voice_id}"),
        ("GET", f"/api/tasks/{task}"),
        ("POST", f"/api/tasks/{task}/cancel"),
        ("DELETE", f"/api/tasks/{task}"),
        ("GET", f"/api/generations/{generation}/audio"),
        ("DELETE", f"/api/generations/{generation}"),
    ]:
        found = await call(eve, method, path, 404)
        assert set(found) == {"detail"}
    await call(eve, "POST", "/api/generate", 404, json={"voice_id": voice_id, "text": "one"})
    for path in ("/api/voices", "/api/generations"):
        assert (await call(eve, "GET", path))["pagination"]["total"] == 0
    assert (await call(ann, "GET", f"/api/tasks/{task}"))["status"] == "pending"
    # Finalizing over another tenant's upload finds nothing: the key begins with the caller's own id.
    await call(eve, "POST", "/api/clone/finalize", 400, json=DRAFT | {"voice_id": voice_id})
