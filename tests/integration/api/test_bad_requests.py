"""Whatever goes wrong, the answer is one sentence in JSON, and nothing of the inside."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from yarl import URL

from tests.integration.api.conftest import Api, User
from understudy.api.boundary import DISCARDED_BYTES, FORM_BODY_BYTES, JSON_BODY_BYTES
from understudy.api.server import MAXIMUM_HEAD_BYTES

pytestmark = pytest.mark.integration

SOME_ID = str(uuid4())
JSON = {"Content-Type": "application/json"}
DRAFT = {"name": "Ann", "language": "en", "transcript": "one two three"}


def is_one_sentence(body: bytes, headers: Any) -> bool:
    """Whether the answer is exactly the error shape, with the headers of every answer."""
    found = json.loads(body)
    return (
        set(found) == {"detail"}
        and isinstance(found["detail"], str)
        and 0 < len(found["detail"]) < 400
        and "\n" not in found["detail"]
        and headers["content-type"] == "application/json"
        and headers["x-content-type-options"] == "nosniff"
        and not any(
            word in found["detail"]
            for word in ("Traceback", "psycopg", "pydantic", "/site-packages/", "understudy.")
        )
    )


CASES: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("unknown path", "GET", "/nowhere", {}, 404),
    ("unknown path of the api", "GET", "/api/nowhere", {}, 404),
    ("trailing slash", "GET", "/api/voices/", {}, 404),
    ("doubled slash", "GET", "//api/voices", {}, 404),
    ("encoded traversal", "GET", "/objects/references/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 403),
    ("wrong method", "POST", "/api/health", {}, 405),
    ("wrong method on a listing", "PUT", "/api/voices", {}, 405),
    ("unheard-of method", "BREW", "/api/health", {}, 400),
    ("malformed JSON", "POST", "/api/generate", {"data": "{", "headers": JSON}, 400),
    ("empty body", "POST", "/api/generate", {"data": "", "headers": JSON}, 400),
    (
        "a body that is not UTF-8",
        "POST",
        "/api/generate",
        {"data": b'{"text": "\xff"}', "headers": JSON},
        400,
    ),
    ("a list for an object", "POST", "/api/generate", {"json": []}, 400),
    ("a string for an object", "POST", "/api/generate", {"json": "text"}, 400),
    ("null", "POST", "/api/generate", {"json": None}, 400),
    (
        "another content type",
        "POST",
        "/api/generate",
        {"data": "{}", "headers": {"Content-Type": "text/plain"}},
        400,
    ),
    ("JSON nested without end", "POST", "/api/generate", {"data": "[" * 100_000, "headers": JSON}, 400),
    ("a number without end", "POST", "/api/generate", {"data": "9" * 100_000, "headers": JSON}, 400),
    ("missing fields", "POST", "/api/generate", {"json": {}}, 400),
    ("wrong field type", "POST", "/api/generate", {"json": {"voice_id": SOME_ID, "text": {"a": 1}}}, 400),
    ("a voice id that is none", "POST", "/api/generate", {"json": {"voice_id": "1", "text": "a"}}, 400),
    ("an unknown voice", "POST", "/api/generate", {"json": {"voice_id": SOME_ID, "text": "a"}}, 404),
    ("blank text", "POST", "/api/generate", {"json": {"voice_id": SOME_ID, "text": " \n"}}, 400),
    ("text with NUL", "POST", "/api/generate", {"json": {"voice_id": SOME_ID, "text": "a\0b"}}, 400),
    (
        "half a surrogate",
        "POST",
        "/api/generate",
        {"data": json.dumps({"voice_id": SOME_ID, "text": "\ud800"}), "headers": JSON},
        400,
    ),
    (
        "unknown language",
        "POST",
        "/api/generate",
        {"json": {"voice_id": SOME_ID, "text": "a", "language": "Klingon"}},
        400,
    ),
    ("too long a name", "POST", "/api/clone/upload-url", {"json": DRAFT | {"name": "x" * 101}}, 400),
    ("no name", "POST", "/api/clone/upload-url", {"json": DRAFT | {"name": ""}}, 400),
    ("no transcript", "POST", "/api/clone/upload-url", {"json": {"name": "Ann"}}, 400),
    ("nothing uploaded", "POST", "/api/clone/finalize", {"json": DRAFT | {"voice_id": SOME_ID}}, 400),
    ("finalize with a path", "POST", "/api/clone/finalize", {"json": DRAFT | {"voice_id": "../x"}}, 400),
    ("page zero", "GET", "/api/voices?page=0", {}, 400),
    ("page that is no number", "GET", "/api/voices?page=one", {}, 400),
    ("page beyond all numbers", "GET", f"/api/voices?page={10**30}", {}, 400),
    ("too large a page", "GET", "/api/voices?per_page=101", {}, 400),
    ("negative page size", "GET", "/api/generations?per_page=-1", {}, 400),
    ("unknown source", "GET", "/api/voices?source=stolen", {}, 400),
    ("unknown status", "GET", "/api/generations?status=odd", {}, 400),
    ("search with NUL", "GET", "/api/voices?search=%00", {}, 400),
    ("search without end", "GET", "/api/voices?search=" + "x" * 501, {}, 400),
    ("an id that is none", "GET", "/api/tasks/1", {}, 404),
    ("an id with NUL", "GET", "/api/tasks/%00", {}, 404),
    ("an id as SQL", "DELETE", "/api/voices/1'%20or%20'1'='1", {}, 404),
    ("an id in another notation", "GET", f"/api/tasks/%7B{SOME_ID}%7D", {}, 404),
    ("an unknown task", "GET", f"/api/tasks/{SOME_ID}", {}, 404),
    ("an unknown task to cancel", "POST", f"/api/tasks/{SOME_ID}/cancel", {}, 404),
    ("an unknown generation's audio", "GET", f"/api/generations/{SOME_ID}/audio", {}, 404),
    ("an unknown voice's preview", "GET", f"/api/voices/{SOME_ID}/preview", {}, 404),
    ("design without a text", "POST", "/api/voices/design/preview", {"json": {"instruct": "deep"}}, 400),
    (
        "design with too long a text",
        "POST",
        "/api/voices/design/preview",
        {"json": {"text": "x" * 501, "instruct": "deep"}},
        400,
    ),
    ("saved design without a form", "POST", "/api/voices/design", {"json": {"name": "x"}}, 400),
    ("saved design of no task", "POST", "/api/voices/design", {"data": {"name": "x", "task_id": "1"}}, 400),
    (
        "a broken form",
        "POST",
        "/api/voices/design",
        {"data": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        400,
    ),
    (
        "a form without boundary",
        "POST",
        "/api/voices/design",
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        400,
    ),
    (
        "a body over the limit",
        "POST",
        "/api/generate",
        {"data": b"x" * (JSON_BODY_BYTES + 1), "headers": JSON},
        413,
    ),
    ("an unsigned link", "GET", "/objects/references/a/b.wav", {}, 403),
    ("an upload nobody signed", "PUT", "/objects/references/a/b.wav", {"data": b"x"}, 403),
]


async def test_a_bad_request_is_answered_with_one_sentence(api: Api, user: User) -> None:
    wrong = []
    for what, method, path, sent, status in CASES:
        async with user.client.request(method, URL(api.base + path, encoded=True), **sent) as answer:
            body = await answer.read()
            if answer.status != status or not is_one_sentence(body, answer.headers):
                wrong.append((what, status, answer.status, body))
    assert wrong == []


PROTECTED = [
    ("GET", "/api/voices"),
    ("GET", f"/api/voices/{SOME_ID}/preview"),
    ("DELETE", f"/api/voices/{SOME_ID}"),
    ("POST", "/api/voices/design/preview"),
    ("POST", "/api/voices/design"),
    ("POST", "/api/clone/upload-url"),
    ("POST", "/api/clone/finalize"),
    ("POST", "/api/generate"),
    ("GET", "/api/generations"),
    ("GET", f"/api/generations/{SOME_ID}/audio"),
    ("DELETE", f"/api/generations/{SOME_ID}"),
    ("GET", f"/api/tasks/{SOME_ID}"),
    ("POST", f"/api/tasks/{SOME_ID}/cancel"),
    ("DELETE", f"/api/tasks/{SOME_ID}"),
    ("PATCH", "/api/profile"),
]


async def test_every_protected_route_wants_a_token_before_anything_else(api: Api, user: User) -> None:
    good = user.session["access_token"]
    for method, path in PROTECTED:
        for headers, detail in [
            ({}, "Missing authorization header"),
            ({"Authorization": " "}, "Missing authorization header"),
            ({"Authorization": "Bearer"}, "Invalid or expired token"),
            ({"Authorization": f"Basic {good}"}, "Invalid or expired token"),
            ({"Authorization": f"Bearer {good}x"}, "Invalid or expired token"),
        ]:
            async with api.client.request(method, path, data=b"{", headers=headers | JSON) as answer:
                assert (answer.status, await answer.json()) == (401, {"detail": detail}), (method, path)
                assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_wrong_method_names_the_right_one(api: Api) -> None:
    async with api.client.post("/api/health") as answer:
        assert answer.headers["Allow"] == "GET"


async def test_a_body_that_announces_nothing_is_counted_as_it_comes(user: User) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    # The server answers and closes; whether the client sees that answer or the closed connection is a race.
    try:
        async with user.client.post("/api/generate", data=endless(), headers=JSON) as answer:
            assert answer.status == 413
            assert answer.headers["Connection"] == "close"
    except aiohttp.ClientConnectionError:
        pass
    assert sent < 2 * DISCARDED_BYTES


async def test_a_form_may_bring_a_megabyte_and_no_more(user: User) -> None:
    for size, status in [(JSON_BODY_BYTES * 2, 400), (FORM_BODY_BYTES + 1, 413)]:
        form = aiohttp.FormData({"name": "x", "text": "a", "instruct": "b"})
        form.add_field("audio", io.BytesIO(b"x" * size), filename="a.wav", content_type="audio/wav")
        async with user.client.post("/api/voices/design", data=form) as answer:
            assert answer.status == status, await answer.text()
            assert is_one_sentence(await answer.read(), answer.headers)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nContent-Length: minus\r\n\r\n", 400),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (MAXIMUM_HEAD_BYTES + 1), 431),
        (b"GET /api/" + b"x" * (MAXIMUM_HEAD_BYTES + 1), 431),
        (b"POST /api/generate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /api/voices HTTP/1.1\r\nHost: a b<c>\r\n\r\n", 401),
        (b"GET /api/voices HTTP/1.0\r\n\r\n", 401),
        (b"GET /api/%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    ],
    ids=range(10),
)
async def test_what_is_hardly_http_is_answered_in_json_too(
    api: Api, request_bytes: bytes, status: int
) -> None:
    async with asyncio.timeout(10):
        found, headers, body = await api.raw(request_bytes)
    assert found == status, body
    if status != 200:
        assert is_one_sentence(body, headers)


async def test_an_answer_carries_a_request_id_of_its_own_unless_a_good_one_was_given(api: Api) -> None:
    for given, kept in [("abc-1.2_3", True), ("x" * 65, False), ("a b", False), ("<script>", False)]:
        async with api.client.get("/api/health", headers={"X-Request-Id": given}) as answer:
            assert (answer.headers["X-Request-Id"] == given) == kept
            assert await answer.json() == {"ok": True}


async def test_the_documentation_is_whole_and_loads_nothing_from_elsewhere(api: Api) -> None:
    async with api.client.get("/openapi.json") as answer:
        schema = await answer.json()
    assert schema["components"]["schemas"]["ErrorBody"]["required"] == ["detail"]
    assert "HTTPValidationError" not in json.dumps(schema)
    assert {path for _, path in PROTECTED if SOME_ID not in path} <= set(schema["paths"])
    async with api.client.get("/docs") as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "/api/generate" in page
    assert "src=" not in page
