"""Serves what was deployed: the uploaded file in a process of its own, with the secrets of that moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from understudy.standins.management.project import Function

SHIM = Path(__file__).parent / "edge.mjs"


class EdgeRuntime:
    """One address; behind it the newest deployment, like a warm isolate: it never sees a later secret."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""
        self.address = ""
        self.starts = 0

    async def deployed(self, function: Function, secrets: Mapping[str, str]) -> None:
        """Start the new one, then stop the old."""
        self.starts += 1
        code = self._folder / f"isolate-{self.starts}.mjs"
        code.write_bytes(function.files[function.entrypoint_path])
        process = await asyncio.create_subprocess_exec(
            "node",
            str(SHIM),
            str(code),
            env={"PATH": os.environ["PATH"], **secrets},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        port = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        assert port, "the deployed function did not start"
        await self.stop()
        self._process, self._url = process, f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def forward(self, request: web.Request) -> web.Response:
        if self._process is None:
            return web.json_response(
                {"code": "NOT_FOUND", "message": "Requested function was not found"}, status=404
            )
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self._url}{request.path}") as answer,
        ):
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type
            )


@asynccontextmanager
async def edge_runtime(folder: Path) -> AsyncIterator[EdgeRuntime]:
    runtime = EdgeRuntime(folder)
    app = web.Application()
    app.router.add_get("/{path:.*}", runtime.forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    runtime.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield runtime
    finally:
        await runtime.stop()
        await runner.cleanup()
