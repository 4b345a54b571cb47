"""The deployed app's endpoints, served here with the voicebox as engine and used by the real adapter.

What only Modal has is left out: its proxy, its function calls and a GPU.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
import uvicorn
from modal._runtime.asgi import magic_fastapi_app
from modal._utils.async_utils import synchronizer
from starlette.applications import Starlette

from deploy import modal_app
from deploy.modal_jobs import UnreadableCallError
from deploy.qwen_engine import QwenEngine
from tests.conformance.conftest import TRANSCRIPT, settings_for
from tests.integration.standins.account import austen
from understudy.audio.wav import duration_ms, is_silent, read_wav
from understudy.clock import SystemClock
from understudy.errors import ProviderError, ProviderUnavailableError, ValidationError
from understudy.jobserver.engine import outcome_of
from understudy.jobserver.orders import DesignOrder, SpeechOrder
from understudy.jobserver.server import JobServer
from understudy.providers.base import (
    AudioChunk,
    AudioFormat,
    DesignBrief,
    Reference,
    SpeakRequest,
    SpeechFinished,
    VoiceBinding,
)
from understudy.providers.modal import ModalProvider
from understudy.standins.configuration import StandInSettings
from understudy.standins.faults import MODAL_FAULTS, MODAL_NUMBERS, FaultPanel
from understudy.standins.jobs import JobBook
from understudy.standins.pretending import VoiceboxEngine
from understudy.voicebox.client import Voicebox
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

ENDPOINTS = {
    "/job-submit": ("POST", modal_app.job_submit),
    "/job-status": ("GET", modal_app.job_status),
    "/job-result": ("GET", modal_app.job_result),
    "/job-cancel": ("POST", modal_app.job_cancel),
    "/voice-design": ("POST", modal_app.voice_design),
}
SETTINGS = (
    "modal_job_submit",
    "modal_job_status",
    "modal_job_result",
    "modal_job_cancel",
    "modal_endpoint_voice_design",
)


def local(function: Any) -> Any:
    """The object behind Modal's blocking and asynchronous front, which knows the function as written."""
    return synchronizer._translate_in(function)


class UnreadableJobs(JobBook):
    """Jobs that cannot be asked for the first few times, as when Modal's own service stumbles."""

    stumbles = 0

    async def look_up(self, job_id: str) -> Any:
        if self.stumbles:
            self.stumbles -= 1
            raise UnreadableCallError
        return await super().look_up(job_id)


@pytest_asyncio.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[UnreadableJobs]:
    settings, clock, box = StandInSettings(), SystemClock(), Voicebox()
    panel = FaultPanel(MODAL_FAULTS, 1, MODAL_NUMBERS)
    book = UnreadableJobs(tmp_path, settings, VoiceboxEngine(settings, box, clock), panel, clock)
    try:
        yield book
    finally:
        await book.close()
        await box.stop()


@pytest_asyncio.fixture
async def provider(jobs: UnreadableJobs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModalProvider]:
    """The adapter, at the app's own endpoint functions."""
    monkeypatch.setattr(modal_app, "server", lambda: JobServer(jobs))
    web = Starlette()
    for path, (method, function) in ENDPOINTS.items():
        # What Modal's container does with an endpoint function.
        web.mount(path, magic_fastapi_app(local(function)._raw_f, method, docs=False))
    server = uvicorn.Server(uvicorn.Config(web, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    urls = {
        setting: f"http://127.0.0.1:{port}{path}/" for setting, path in zip(SETTINGS, ENDPOINTS, strict=True)
    }
    settings = settings_for(f"http://127.0.0.1:{port}").model_copy(update=urls)
    adapter = ModalProvider(settings, SystemClock())
    try:
        yield adapter
    finally:
        await adapter.close()
        server.should_exit = True
        await serving


def request(text: str = "4 7 1 9 3 0", language: str = "English") -> SpeakRequest:
    return SpeakRequest(
        text=text,
        language=language,
        voice=VoiceBinding("modal"),
        reference=Reference(austen(), TRANSCRIPT, "English"),
        audio_format=AudioFormat.WAV,
        request_id=f"task-{text}-{language}",
    )


async def test_the_adapter_speaks_through_the_apps_endpoints(provider: ModalProvider) -> None:
    assert (await provider.check()).detail == "job status answers HTTP 404"
    events = [event async for event in provider.speak(request())]
    (chunk,) = [event for event in events if isinstance(event, AudioChunk)]
    assert isinstance(events[-1], SpeechFinished)
    assert digit_error_rate("471930", await hear_digits(chunk.data)) <= 0.2
    brief = DesignBrief(text="4 7 1 9 3 0", language="English", instruct="a calm, deep male narrator")
    designed = await provider.design(brief, label="x")
    assert not is_silent(read_wav(designed.preview))


async def test_refusals_and_failures_keep_their_meaning(
    provider: ModalProvider, jobs: UnreadableJobs, eventually
) -> None:
    with pytest.raises(ProviderError) as caught:
        [event async for event in provider.speak(request(language="Klingon"))]
    assert caught.value.provider_code == "job_ended"
    with pytest.raises(ProviderError) as caught:
        await provider.design(DesignBrief("hello", "Klingon", "a man"), label="x")
    assert caught.value.status == 400
    jobs.stumbles = 2
    with pytest.raises(ProviderUnavailableError):
        await provider.check()
    events = [event async for event in provider.speak(request())]
    assert isinstance(events[-1], SpeechFinished)
    speaking = provider.speak(request("one " * 200))
    await anext(speaking)
    await speaking.aclose()
    await eventually(lambda: jobs.counts()["cancelled"] == 1, what="the job is cancelled")


def test_every_endpoint_wants_proxy_keys_and_its_method() -> None:
    for path, (method, function) in ENDPOINTS.items():
        config = local(function)._webhook_config
        assert (config.method, config.requires_proxy_auth) == (method, True), path
        assert config.requested_suffix == f"understudy{path.replace('/', '-')}"


def test_the_light_endpoints_load_no_engine() -> None:
    """They start in a second because neither torch nor the product comes along."""
    code = (
        "import sys, deploy.modal_app\n"
        "rooms = {'api', 'store', 'speech', 'providers', 'standins', 'voicebox'}\n"
        "heavy = {'torch', 'qwen_tts', 'psycopg'} | {f'understudy.{room}' for room in rooms}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


class ToneModel:
    """Stands where the weights stand: a tone of the text's length, and a note of how it was called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def generate_voice_clone(self, **call: Any) -> tuple[list[npt.NDArray[np.float32]], int]:
        return self._tone(call)

    def generate_voice_design(self, **call: Any) -> tuple[list[npt.NDArray[np.float32]], int]:
        return self._tone(call)

    def get_supported_languages(self) -> list[str] | None:
        return ["chinese", "english"]

    def _tone(self, call: dict[str, Any]) -> tuple[list[npt.NDArray[np.float32]], int]:
        self.calls.append(call)
        times = np.arange(24_000 * len(call["text"]) // 20) / 24_000
        # A little over full scale: clipped, never wrapped around.
        return [(1.2 * np.sin(2 * np.pi * 220 * times)).astype(np.float32)], 24_000


async def test_the_qwen_engine_hands_over_what_the_model_wants() -> None:
    clone, design = ToneModel(), ToneModel()
    engine = QwenEngine(clone=clone, design=design)
    reference = austen()
    encoded = base64.b64encode(reference).decode()
    wav = await engine.speak(SpeechOrder("Twenty characters ok", "English", encoded, TRANSCRIPT, 1234))
    clip = read_wav(wav)
    assert (clip.rate, duration_ms(clip)) == (24_000, 1000)
    assert clip.samples.max() == 32767
    assert np.abs(np.diff(clip.samples.astype(int))).max() < 3_000
    (call,) = clone.calls
    samples, rate = call.pop("ref_audio")
    assert call == {
        "text": "Twenty characters ok",
        "language": "English",
        "ref_text": TRANSCRIPT,
        "max_new_tokens": 1234,
    }
    assert rate == 24_000
    assert samples.dtype == np.float32
    assert np.allclose(samples * 32768, read_wav(reference).samples)
    await engine.design(DesignOrder("Hello", "Auto", "a calm man"))
    assert design.calls == [{"text": "Hello", "language": "Auto", "instruct": "a calm man"}]


@pytest.mark.parametrize(
    "order",
    [
        SpeechOrder("x", "Klingon", base64.b64encode(b"x").decode(), "x"),
        SpeechOrder("x", "English", "###", "x"),
        SpeechOrder("x", "English", base64.b64encode(b"no wav").decode(), "x"),
    ],
)
async def test_the_qwen_engine_refuses_before_the_gpu(order: SpeechOrder) -> None:
    model = ToneModel()
    engine = QwenEngine(clone=model, design=model)
    with pytest.raises(ValidationError):
        await engine.speak(order)
    outcome = await outcome_of(engine.speak(order))
    assert (outcome.wav, outcome.refused) == (None, True)
    assert model.calls == []
