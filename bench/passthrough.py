"""The least a Python gateway can do: Starlette takes the request, aiohttp asks, the body is passed on.

``python -m bench.passthrough UPSTREAM`` prints its port. ``/v1/audio/speech`` passes HTTP on, ``/realtime``
holds DashScope's conversation for the client. No accounts, no quota, no record, no check of the audio: the
figure to stay near.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route


def application(upstream: str) -> Starlette:
    """The proxy in front of ``upstream``."""
    session: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal session
        connector = aiohttp.TCPConnector(limit=256)
        async with aiohttp.ClientSession(upstream, connector=connector, auto_decompress=False) as session:
            yield

    async def speech(request: Request) -> StreamingResponse:
        headers = {"content-type": "application/json"}
        answer = await session.post("/v1/audio/speech", data=await request.body(), headers=headers)

        async def body() -> AsyncIterator[bytes]:
            async with answer:
                async for chunk in answer.content.iter_any():
                    yield chunk

        return StreamingResponse(
            body(), status_code=answer.status, media_type=answer.headers.get("content-type")
        )

    async def realtime(request: Request) -> StreamingResponse:
        text = (await request.json())["input"]
        socket = await session.ws_connect("/api-ws/v1/realtime?model=bench")
        await socket.receive()
        await socket.send_json({"type": "session.update", "session": {"response_format": "mp3"}})
        await socket.receive()
        await socket.send_json({"type": "input_text_buffer.append", "text": text})
        await socket.send_json({"type": "session.finish"})

        async def body() -> AsyncIterator[bytes]:
            async with socket:
                async for message in socket:
                    event = message.json()
                    if event["type"] == "response.audio.delta":
                        yield base64.b64decode(event["delta"])
                    elif event["type"] == "session.finished":
                        return

        return StreamingResponse(body(), media_type="audio/mpeg")

    routes = [
        Route("/v1/audio/speech", speech, methods=["POST"]),
        Route("/realtime", realtime, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Serve until ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(application(sys.argv[1]), loop="uvloop", log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
