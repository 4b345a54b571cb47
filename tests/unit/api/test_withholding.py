from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message

from understudy.api.withholding import SEEN_BYTES, WITHHELD, Withholding

pytestmark = pytest.mark.unit

SECRET = 'canary/"ü"/0123456789'


async def ask(app: ASGIApp, path: str = "/api/voices") -> tuple[list[Message], list[str]]:
    """Every message of the answer, and the names that were told."""
    sent: list[Message] = []
    told: list[str] = []
    watched = {"canary-1": SecretStr(SECRET), "SHORT": SecretStr("fifteen-chars-x")}

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "server": None
    }  # fmt: skip
    await Withholding(app, watched=watched, on_leak=lambda name, _: told.append(name))(scope, receive, send)
    return sent, told


def body_of(sent: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"name": SECRET}),
        Response(json.dumps({"name": SECRET}), media_type="application/problem+json"),
        PlainTextResponse(f"before {SECRET} after", status_code=404),
        StreamingResponse(iter([SECRET[:9].encode(), SECRET[9:].encode()]), media_type="text/html"),
    ],
)
async def test_an_answer_with_a_secret_does_not_leave(answer: Response) -> None:
    sent, told = await ask(answer)
    assert told == ["canary-1"]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 500
    assert json.loads(body_of(sent)) == {"detail": WITHHELD}


async def test_each_dialect_gets_its_own_shape() -> None:
    sent, _ = await ask(JSONResponse({"name": SECRET}), "/v1/models")
    assert json.loads(body_of(sent))["error"]["message"] == WITHHELD


async def test_what_holds_no_secret_leaves_as_it_was() -> None:
    sent, told = await ask(JSONResponse({"name": "fifteen-chars-x"}, status_code=201))
    assert (told, sent[0]["status"], body_of(sent)) == ([], 201, b'{"name":"fifteen-chars-x"}')


@pytest.mark.parametrize(
    "kind", ["audio/wav", "text/event-stream; charset=utf-8", "application/octet-stream"]
)
async def test_audio_and_streams_pass_message_by_message(kind: str) -> None:
    chunks = [b"one", b"two", SECRET.encode()]
    seen: list[int] = []

    async def app(_: object, __: object, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", kind.encode())]}
        )
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            seen.append(len(chunk))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    sent, told = await ask(app)
    assert (told, body_of(sent), len(sent)) == ([], b"".join(chunks), 5)


async def test_a_long_text_is_looked_at_up_to_a_bound_and_then_passes() -> None:
    piece = b"x" * (SEEN_BYTES // 4)
    sent, told = await ask(StreamingResponse(iter([piece] * 4 + [SECRET.encode()]), media_type="text/plain"))
    assert (told, len(body_of(sent))) == ([], SEEN_BYTES + len(SECRET.encode()))


async def test_an_app_that_fails_while_it_is_held_has_answered_nothing() -> None:
    async def app(_: object, __: object, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        )
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ask(app)
