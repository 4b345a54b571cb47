"""While writes are frozen every write answers 503 with Retry-After; reads and sign-in go on."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.api.test_routes import DRAFT, clone
from understudy.rollout.freeze import set_freeze

pytestmark = pytest.mark.integration

SOME_ID = str(uuid4())


async def ask(user: User, method: str, path: str, **sent: Any) -> tuple[int, Any, str]:
    async with user.client.request(method, path, allow_redirects=False, **sent) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else None, answer.headers.get("Retry-After", "")


async def counts(api: Api) -> list[Any]:
    """How many rows there are of all that a tenant can write."""
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute(
            "select (select count(*) from public.voices where deleted_at is null) as voices,"
            " (select count(*) from public.generations) as generations,"
            " (select count(*) from public.tasks where status <> 'cancelled') as tasks,"
            " (select count(*) from public.profiles) as profiles,"
            " (select count(*) from auth.users) as users"
        )
        return await cursor.fetchall()


async def test_writes_wait_and_reads_go_on(api: Api, user: User, sign_up: SignUp, eventually: Any) -> None:
    voice_id = await clone(api, user)
    status, started, _ = await ask(
        user, "POST", "/api/generate", json={"voice_id": voice_id, "text": "four seven"}
    )
    assert status == 200
    newcomer = await sign_up()
    _, ticket, _ = await ask(user, "POST", "/api/clone/upload-url", json=DRAFT)
    before = await counts(api)
    await set_freeze(api.ctx.database, frozen=True, actor="ada", reason="a reason for operators")
    await eventually(lambda: api.ctx.freeze.frozen, what="frozen here")
    task, generation = started["task_id"], started["generation_id"]
    form = {"name": "x", "text": "a", "instruct": "b", "task_id": task}
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/api/profile", {"json": {"handle": "frozen_one"}}),
        ("POST", "/api/clone/upload-url", {"json": DRAFT}),
        ("POST", "/api/clone/finalize", {"json": DRAFT | {"voice_id": voice_id}}),
        ("DELETE", f"/api/voices/{voice_id}", {}),
        ("POST", "/api/voices/design/preview", {"json": {"text": "a", "instruct": "b"}}),
        ("POST", "/api/voices/design", {"data": form}),
        ("POST", "/api/generate", {"json": {"voice_id": voice_id, "text": "a"}}),
        ("POST", f"/api/tasks/{task}/cancel", {}),
        ("DELETE", f"/api/tasks/{task}", {}),
        ("DELETE", f"/api/generations/{generation}", {}),
        ("PUT", ticket["upload_url"], {"data": b"x", "headers": {"Content-Type": "audio/wav"}}),
    ]
    for method, path, sent in writes:
        status, body, retry_after = await ask(user, method, path, **sent)
        assert (status, set(body)) == (503, {"detail"}), (method, path, body)
        assert "reason for operators" not in body["detail"]
        assert int(retry_after) > 0, (method, path)
    signup = {"email": "new@example.org", "password": "long-enough"}
    status, body, retry_after = await ask(user, "POST", "/auth/v1/signup", json=signup)
    assert (status, set(body), int(retry_after) > 0) == (503, {"code", "error_code", "msg"}, True)
    assert await counts(api) == before
    credentials = {"email": user.email, "password": user.password}
    reads: list[tuple[str, str, int, dict[str, Any]]] = [
        ("GET", "/api/health", 200, {}),
        ("GET", "/api/languages", 200, {}),
        ("GET", "/api/voices", 200, {}),
        ("GET", f"/api/voices/{voice_id}/preview", 302, {}),
        ("GET", "/api/generations", 200, {}),
        ("GET", f"/api/tasks/{task}", 200, {}),
        ("POST", f"/api/generations/{generation}/regenerate", 200, {}),
        ("POST", "/auth/v1/token?grant_type=password", 200, {"json": credentials}),
        ("GET", "/auth/v1/user", 200, {}),
    ]
    for method, path, expected, sent in reads:
        status, body, _ = await ask(user, method, path, **sent)
        assert status == expected, (method, path, body)
    # A read does not write either: the profile that is made on first sight waits.
    _, me, _ = await ask(newcomer, "GET", "/api/me")
    assert (me["signed_in"], me["profile"]) == (True, None)
    assert await counts(api) == before
    _, ready, _ = await ask(user, "GET", "/api/ready")
    assert (ready["ready"], ready["frozen"]) == (True, True)
    await set_freeze(api.ctx.database, frozen=False, actor="ada", reason="done")
    await eventually(lambda: not api.ctx.freeze.frozen, what="thawed here")
    assert (await ask(newcomer, "GET", "/api/me"))[1]["profile"] is not None
    assert (await ask(user, "DELETE", f"/api/voices/{voice_id}"))[0] == 200


async def test_a_token_is_asked_for_before_the_freeze_is_told(api: Api, eventually: Any) -> None:
    await set_freeze(api.ctx.database, frozen=True, actor="ada", reason="restore")
    await eventually(lambda: api.ctx.freeze.frozen, what="frozen here")
    async with api.client.delete(f"/api/voices/{SOME_ID}") as answer:
        assert answer.status == 401
