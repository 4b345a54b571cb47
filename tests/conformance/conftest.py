"""The providers under test: real adapters, through the fault proxy, against stand-ins in another process."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from tests.conformance.fault_proxy import FaultProxy, fault_proxy
from understudy.audio.wav import join, read_wav, resample, write_wav
from understudy.clock import SystemClock
from understudy.errors import FailureClass
from understudy.providers.base import (
    AudioFormat,
    DesignedVoice,
    Provider,
    Reference,
    SpeakRequest,
    VoiceBinding,
)
from understudy.providers.modal import ModalProvider
from understudy.providers.qwen.provider import QwenProvider
from understudy.resources import samples_dir
from understudy.settings import Settings, load_settings

KEY = "sk-standin-intl-0001"
WRONG_LANE_KEY = "sk-standin-cn-0001"
MODAL_SECRET = "ws-conformance-0001"

TRANSCRIPT = (
    "and mister john dashwood had then leisure to consider how much there might be prudently in his power to "
    "do for them unless to be rather cold hearted and rather selfish is to be ill disposed had he married a "
    "more a amiable woman he might have been made still more respectable than he was"
)


@dataclass(frozen=True)
class StandIns:
    """Base URLs of both stand-ins."""

    dashscope: str
    modal: str

    def of(self, provider: str) -> str:
        return self.dashscope if provider == "qwen" else self.modal


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIns]:
    """Both stand-ins in a process of their own."""
    folder = tmp_path_factory.mktemp("standins")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "understudy.cli.app", "standins"],
            env={
                "PATH": "/usr/bin:/bin",
                "UNDERSTUDY_HOME": str(folder),
                "STANDIN_MODAL_KEY": "wk-conformance",
                "STANDIN_MODAL_SECRET": MODAL_SECRET,
            },
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (folder / "log").read_text()
    addresses = json.loads(line)
    yield StandIns(addresses["dashscope"], addresses["modal"])
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(scope="session")
def recording() -> bytes:
    """The recordings joined (18.4 s), 24 kHz mono: over a megabyte once it travels as base64."""
    clips = [read_wav(path.read_bytes()) for path in sorted(samples_dir().glob("*.wav"))]
    return write_wav(resample(join(clips), 24_000))


@dataclass
class Subject:
    """One provider behind its own fault proxy, and a view of what reached the stand-in."""

    provider: Provider
    proxy: FaultProxy
    standin: str
    secret: str
    faults: dict[str, FailureClass]
    reference: Reference
    http: aiohttp.ClientSession
    voice: VoiceBinding | None = field(default=None)

    async def request(
        self,
        text: str,
        *,
        audio_format: AudioFormat | None = None,
        designed: DesignedVoice | None = None,
        designed_text: str = "",
        resume_job_id: str | None = None,
    ) -> SpeakRequest:
        """A request with an enrolled clone, or with a designed voice spoken from its preview."""
        if designed is not None:
            voice, reference = designed.binding, Reference(designed.preview, designed_text, "English")
        else:
            if self.voice is None:
                self.voice = (await self.provider.enroll(self.reference, label="conformance")).binding
            voice, reference = self.voice, self.reference
        return SpeakRequest(
            text=text,
            language="English",
            voice=voice,
            reference=reference,
            audio_format=audio_format or self.provider.capabilities.formats[0],
            request_id=f"conformance-{uuid.uuid4()}",
            resume_job_id=resume_job_id,
        )

    async def stats(self) -> dict[str, int]:
        async with self.http.get(self.standin + "/_stats") as answer:
            return dict(await answer.json())

    async def cancelled(self) -> int:
        stats = await self.stats()
        return stats["sessions_dropped"] if "sessions_dropped" in stats else stats["jobs_cancelled"]

    async def submitted(self) -> int:
        stats = await self.stats()
        return stats["sessions"] if "sessions" in stats else stats["jobs_submitted"]

    async def billed(self) -> int:
        """What the stand-in has counted of what costs money to say."""
        stats = await self.stats()
        return stats["billed_characters"] if "billed_characters" in stats else stats["jobs_submitted"]

    async def fresh_connections(self) -> None:
        """Drop pooled connections: the proxy's toxics apply from the connection's start."""
        await self.provider.close()

    @asynccontextmanager
    async def fault(self, name: str, probability: float = 1.0) -> AsyncIterator[None]:
        """Turn one fault of the stand-in's panel up, for a block."""
        async with self.panel(**{name: probability}):
            yield

    @asynccontextmanager
    async def panel(self, **settings: float) -> AsyncIterator[None]:
        """Set some of the stand-in's panel, for a block; then each is 0 again."""
        async with self.http.post(self.standin + "/_faults", json=settings) as answer:
            assert answer.status == 200, await answer.text()
        try:
            yield
        finally:
            healed = dict.fromkeys(settings, 0.0)
            async with self.http.post(self.standin + "/_faults", json=healed) as answer:
                assert answer.status == 200


def settings_for(address: str, *, key: str = KEY, modal_secret: str = MODAL_SECRET) -> Settings:
    paths = {
        "modal_job_submit": "/job-submit",
        "modal_job_status": "/job-status",
        "modal_job_result": "/job-result",
        "modal_job_cancel": "/job-cancel",
        "modal_endpoint_voice_design": "/voice-design",
    }
    return load_settings(
        **{name: address + path for name, path in paths.items()},
        modal_key="wk-conformance",
        modal_secret=modal_secret,
        modal_poll_interval_s=0.05,
        modal_submit_timeout_s=4.0,
        modal_status_timeout_s=4.0,
        modal_result_timeout_s=4.0,
        dashscope_base_url=address,
        dashscope_api_key=key,
        provider_connect_timeout_s=2.0,
        provider_first_audio_timeout_s=4.0,
        provider_chunk_gap_timeout_s=3.0,
        provider_total_timeout_s=20.0,
    )


FAULTS = {
    "qwen": {
        "reset_mid_audio": FailureClass.TRANSPORT,
        "garbage_frame": FailureClass.PROTOCOL,
        "error_event": FailureClass.PROVIDER,
    },
    "modal": {
        "reset_result": FailureClass.TRANSPORT,
        "result_truncated": FailureClass.PROTOCOL,
        "submit_500": FailureClass.PROVIDER,
    },
}


@asynccontextmanager
async def subject_of(
    name: str,
    standins: StandIns,
    recording: bytes,
    *,
    refused: bool = False,
    deadlines: Mapping[str, float] | None = None,
) -> AsyncIterator[Subject]:
    address = standins.of(name)
    async with fault_proxy(urlsplit(address).port or 0) as proxy, aiohttp.ClientSession() as http:
        behind = f"http://127.0.0.1:{proxy.port}"
        settings = (
            settings_for(behind, key=WRONG_LANE_KEY, modal_secret="ws-wrong-0001")
            if refused
            else settings_for(behind).model_copy(update=deadlines)
        )
        provider: Provider = (
            QwenProvider(settings) if name == "qwen" else ModalProvider(settings, SystemClock())
        )
        try:
            yield Subject(
                provider=provider,
                proxy=proxy,
                standin=address,
                secret=KEY if name == "qwen" else MODAL_SECRET,
                faults=FAULTS[name],
                reference=Reference(recording, TRANSCRIPT, "English"),
                http=http,
            )
        finally:
            await provider.close()


@pytest_asyncio.fixture(params=["modal", "qwen"])
async def subject(
    request: pytest.FixtureRequest, standins: StandIns, recording: bytes
) -> AsyncIterator[Subject]:
    """Each provider in turn."""
    async with subject_of(request.param, standins, recording) as made:
        yield made


@pytest_asyncio.fixture(params=["modal", "qwen"])
async def refused(
    request: pytest.FixtureRequest, standins: StandIns, recording: bytes
) -> AsyncIterator[Subject]:
    """Each provider with credentials it does not accept."""
    async with subject_of(request.param, standins, recording, refused=True) as made:
        yield made
