"""The gateway benchmark, set up: tenants with enrolled voices, one api process, the load."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import aiohttp
import psutil

from bench.load import Plan, Result
from bench.speaking import recording
from bench.stock import Stock, api_process, ended
from understudy.demo.story import RECORDINGS
from understudy.demo.tenant import Tenant
from understudy.store import api_keys

#: What every clip says; ``{n}`` becomes its number.
TEXT = "one two three, number {n}"
TENANTS = 16


@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[tuple[int, psutil.Process]]:
    """A program of this folder that prints its port; ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline()), psutil.Process(process.pid)
    finally:
        await ended(process)


class Load:
    """The load process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def carry_out(self, plan: Plan) -> Result:
        """Hand over a plan, wait for its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            sys.exit("the load process ended")
        return Result(**json.loads(line))


@asynccontextmanager
async def load() -> AsyncIterator[Load]:
    """A load process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield Load(process)
    finally:
        await ended(process)


@dataclass(frozen=True, slots=True)
class Speaker:
    """One tenant: how it signs in, and what it speaks with."""

    token: str
    api_key: str
    voice: str

    def stream(self) -> str:
        """A request of ``POST /api/generate/stream`` by access token."""
        body = {"voice_id": self.voice, "text": TEXT, "language": "English"}
        return _request("/api/generate/stream", self.token, body)

    def openai(self, audio_format: str = "mp3") -> str:
        """A request of ``POST /v1/audio/speech`` by API key."""
        body = {"model": "tts-1", "input": TEXT, "voice": self.voice, "response_format": audio_format}
        return _request("/v1/audio/speech", self.api_key, body)


def twin_request(key: str = "sk-bench", model: str = "tts", path: str = "/v1/audio/speech") -> str:
    """The same for the OpenAI-shaped twin and what stands in front of it."""
    return _request(path, key, {"model": model, "input": TEXT, "voice": "alloy"})


def _request(path: str, bearer: str, body: dict[str, str]) -> str:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json"
    return f"{head}\r\nauthorization: Bearer {bearer}\r\n\r\n{json.dumps(body)}"


async def speakers(place: Stock, api: str) -> list[Speaker]:
    """Sign tenants up, enrol a voice of each at the upstream, give each an API key."""
    made = []
    clip, transcript = recording(), " ".join(RECORDINGS.values())
    async with aiohttp.ClientSession() as http:
        for number in range(TENANTS):
            tenant = Tenant(http, api, f"bench{number}")
            await tenant.sign_up()
            voice = await tenant.clone("bench", clip, transcript)
            token = tenant.access_token
            (row,) = await place.owner("select user_id from public.voices where id = %s", voice)
            user: UUID = row["user_id"]
            async with place.database.service() as conn:
                _, key = await api_keys.create_key(
                    conn, user_id=user, name=f"bench {uuid4().hex[:6]}", at=datetime.now(UTC), expires_at=None
                )
            made.append(Speaker(token, key, voice))
    return made


def gateway_environment(place: Stock, upstream: int) -> dict[str, str]:
    """The api's environment: Qwen on the paced upstream, every guard on and none of them in the way."""
    return {
        **place.environment,
        "TTS_PROVIDER_MODE": "qwen",
        "DASHSCOPE_BASE_URL": f"http://127.0.0.1:{upstream}",
        "MAX_ACTIVE_STREAMS": "8",
        # On, and far away: what keeping count costs is in the figures.
        "BUDGET_GENERATION_TENANT_HOUR_MICROUSD": str(10**12),
        "BUDGET_GENERATION_TENANT_DAY_MICROUSD": str(10**12),
        "LOG_LEVEL": "warning",
    }


@asynccontextmanager
async def gateway(place: Stock, upstream: int) -> AsyncIterator[tuple[int, psutil.Process, list[Speaker]]]:
    """One api process in front of ``upstream``, with tenants."""
    async with api_process(place, gateway_environment(place, upstream)) as (port, process):
        yield port, process, await speakers(place, f"http://127.0.0.1:{port}")
