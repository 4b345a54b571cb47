"""Both secrets are rotated while a client keeps working, across two real processes on one socket."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import pytest
from pydantic import SecretStr

from tests.integration.api.processes import ApiProcess, start
from understudy.api.server import open_listener
from understudy.settings import Settings

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]


async def serve(
    settings: Settings, listener: socket.socket, home: Path, eventually: Eventually
) -> ApiProcess:
    name = uuid4().hex
    ready = home / f"{name}.ready"
    arguments = ["--fd", str(listener.fileno()), "--ready-file", str(ready)]
    process = await start(settings, home / f"{name}.log", arguments, pass_fds=[listener.fileno()])
    await eventually(ready.exists, what="the api serves", within_s=30)
    return process


async def test_no_request_fails_while_the_secrets_rotate(
    settings: Settings, tmp_path: Path, eventually: Eventually
) -> None:
    rotated = settings.model_copy(
        update={
            "jwt_secret": SecretStr(secrets.token_hex(32)),
            "jwt_secret_previous": settings.jwt_secret,
            "object_url_secret": SecretStr(secrets.token_hex(32)),
            "object_url_secret_previous": settings.object_url_secret,
        }
    )
    listener = open_listener(None, "127.0.0.1", 0)
    old = await serve(settings, listener, tmp_path, eventually)
    running = [old]
    host, port = listener.getsockname()[:2]
    answered: list[int] = []
    stopping = asyncio.Event()
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            credentials = {"email": "a@example.org", "password": "secret1"}
            async with http.post("/auth/v1/signup", json=credentials) as answer:
                session: dict[str, Any] = await answer.json()
            bearer = {"Authorization": f"Bearer {session['access_token']}"}
            draft = {"name": "n", "transcript": "t", "language": "English"}
            async with http.post("/api/clone/upload-url", json=draft, headers=bearer) as answer:
                upload_url = (await answer.json())["upload_url"]

            async def keep_working() -> None:
                while not stopping.is_set():
                    async with http.get("/api/voices", headers=bearer) as answer:
                        answered.append(answer.status)

            working = asyncio.create_task(keep_working())
            running.append(await serve(rotated, listener, tmp_path, eventually))
            old.terminate()
            assert await old.exit_code() == 0
            before = len(answered)
            await eventually(lambda: len(answered) > before + 20, what="the client goes on")
            stopping.set()
            await working
            assert set(answered) == {200}

            # The link that the old secret signed still takes its upload.
            audio = {"data": b"RIFF", "headers": {"Content-Type": "audio/wav"}}
            async with http.put(upload_url, **audio) as answer:
                assert answer.status == 200, await answer.text()
            refresh = {"refresh_token": session["refresh_token"]}
            async with http.post("/auth/v1/token?grant_type=refresh_token", json=refresh) as answer:
                assert answer.status == 200
                token = (await answer.json())["access_token"]
            jwt.decode(
                token, rotated.jwt_secret.get_secret_value(), algorithms=["HS256"], audience="authenticated"
            )
    finally:
        stopping.set()
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.exit_code()
        listener.close()
    logs = "".join(process.text() for process in running)
    for secret in (settings.jwt_secret, rotated.jwt_secret, rotated.object_url_secret):
        assert secret.get_secret_value() not in logs
