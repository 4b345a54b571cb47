"""The store out of reach during a flip: what each api process does, and how it catches up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiohttp import web
from pydantic import SecretStr

from tests.conformance.fault_proxy import FaultProxy, fault_proxy
from tests.integration.api.conftest import Api, serving
from understudy.rollout.mode import set_mode
from understudy.settings import Settings
from understudy.store.mode import list_processes

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]


@asynccontextmanager
async def answering_modal() -> AsyncIterator[str]:
    """What answers a question for an unknown job as Modal does: 404."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/job-status"
    finally:
        await runner.cleanup()


def behind(settings: Settings, wire: FaultProxy, **changes: Any) -> Settings:
    """The same process, whose way to Postgres can be cut."""
    parts = urlsplit(settings.database_url.get_secret_value())
    url = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{wire.port}")).geturl()
    return settings.model_copy(
        update={"database_url": SecretStr(url), "tts_provider_mode": "qwen", **changes}
    )


async def ready(api: Api) -> dict[str, Any]:
    async with api.client.get("/api/ready") as answer:
        return {**await answer.json(), "status": answer.status}


async def provider(api: Api) -> str:
    async with api.client.get("/api/languages") as answer:
        return str((await answer.json())["provider"])


async def test_each_process_that_lost_the_store_during_a_flip(
    settings: Settings, eventually: Eventually
) -> None:
    port = urlsplit(settings.database_url.get_secret_value()).port or 5432
    async with (
        fault_proxy(port) as wire,
        answering_modal() as status_url,
        serving(settings.model_copy(update={"tts_provider_mode": "qwen"})) as beside,
        # Two that lose the store: to one Modal answers its check, to the other it does not.
        serving(behind(settings, wire, modal_job_status=status_url)) as sound,
        serving(behind(settings, wire)) as doubtful,
    ):
        for cut, expected in ((sound, True), (doubtful, False)):

            async def checked(cut: Api = cut, expected: bool = expected) -> bool:
                return cut.ctx.mode.view().known_good_ok is expected

            await eventually(checked, what="the known-good provider was checked")
        epoch = sound.ctx.mode.view().epoch
        credentials = {"email": f"{uuid4().hex}@example.org", "password": "correct horse"}
        async with beside.client.post("/auth/v1/signup", json=credentials) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        await wire.stop()
        row = await set_mode(beside.ctx.database, "modal", actor="guard", reason="incident")
        await eventually(
            lambda: beside.ctx.mode.view().epoch == row.epoch,
            what="in force where the store is",
            within_s=2,
        )

        # Nothing is admitted from the first moment on, whichever mode is remembered.
        async def refused(cut: Api) -> tuple[int, bool]:
            body = {"voice_id": str(uuid4()), "text": "one"}
            async with cut.client.post("/api/generate", json=body, headers=bearer) as answer:
                return answer.status, int(answer.headers.get("Retry-After", 0)) > 0

        answers = await asyncio.gather(refused(sound), refused(doubtful))
        assert list(answers) == [(503, True), (503, True)]
        for cut, falls_to in ((sound, "modal"), (doubtful, "qwen")):

            async def stale(cut: Api = cut) -> bool:
                return bool((await ready(cut))["state"] == "STALE")

            await eventually(stale, what="the process says that it only remembers", within_s=20)
            said = await ready(cut)
            assert (said["status"], said["mode"], said["epoch"]) == (503, falls_to, epoch)
            assert await provider(cut) == falls_to
        async with beside.ctx.database.service() as conn:
            listed = await list_processes(conn, seen_within_s=5)
        assert [process.instance for process in listed] == [beside.ctx.mode.instance]
        await wire.start()
        for cut in (sound, doubtful):

            async def caught_up(cut: Api = cut) -> bool:
                said = await ready(cut)
                return bool((said["status"], said["mode"], said["epoch"]) == (200, "modal", row.epoch))

            await eventually(caught_up, what="fresh again, at the epoch it missed", within_s=30)
