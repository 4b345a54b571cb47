"""The Modal app behind the five URLs: light endpoints that spawn, ask and cancel; one GPU class that speaks.

Deploy with ``modal deploy -m deploy.modal_app`` (deploy/README.md). The handlers are those of the stand-in.
"""

from __future__ import annotations

import modal
from fastapi import Request
from fastapi.responses import Response

from deploy.modal_jobs import ModalJobs, UnreadableCallError
from deploy.qwen_engine import CLONE_MODEL, DESIGN_MODEL, QwenEngine, load_model
from understudy.jobserver.answers import Answer, refusal
from understudy.jobserver.engine import Outcome, outcome_of
from understudy.jobserver.orders import DesignOrder, SpeechOrder
from understudy.jobserver.server import JobServer

SOURCES = ("understudy", "deploy")
WEIGHTS = "/weights"
#: A job may run this long on the GPU; the API gives up after PROVIDER_TOTAL_TIMEOUT_S (180).
JOB_TIMEOUT_S = 600
#: Modal's proxy answers 303 after 150 s; the API follows for 180.
ENDPOINT_TIMEOUT_S = 200

app = modal.App("understudy-speech")
records = modal.Dict.from_name("understudy-jobs", create_if_missing=True)
weights = modal.Volume.from_name("understudy-weights", create_if_missing=True)
light = (
    modal.Image.debian_slim(python_version="3.12")
    .uv_pip_install("fastapi>=0.115", "numpy>=2.2,<2.5", "soxr>=1.1")
    .add_local_python_source(*SOURCES)
)
speaking = (
    modal.Image.debian_slim(python_version="3.12")
    .apt_install("sox", "libsndfile1")
    .uv_pip_install("qwen-tts==0.1.1", "torch", "soxr>=1.1", "fastapi>=0.115")
    .env({"HF_HOME": WEIGHTS})
    .add_local_python_source(*SOURCES)
)


@app.cls(
    image=speaking,
    gpu="A10G",
    volumes={WEIGHTS: weights},
    timeout=JOB_TIMEOUT_S,
    startup_timeout=900,
    scaledown_window=300,
)
class Speaker:
    """Both models in one container; orders queue at Modal, one at a time on each GPU."""

    @modal.enter()
    def load(self) -> None:
        """Load the weights once for each container."""
        self.engine = QwenEngine(clone=load_model(CLONE_MODEL), design=load_model(DESIGN_MODEL))

    @modal.method()
    async def speak(self, order: SpeechOrder) -> Outcome:
        """Speak; never raises, because a raised ``TimeoutError`` would look pending for ever."""
        return await outcome_of(self.engine.speak(order))

    @modal.method()
    async def design(self, order: DesignOrder) -> Outcome:
        """Design; never raises."""
        return await outcome_of(self.engine.design(order))


def server() -> JobServer:
    """The handlers over Modal's function calls."""
    speaker = Speaker()
    return JobServer(ModalJobs(speaker.speak, speaker.design, records))


@app.function(image=light)
@modal.concurrent(max_inputs=64)
@modal.fastapi_endpoint(method="POST", label="understudy-job-submit", requires_proxy_auth=True)
async def job_submit(request: Request) -> Response:
    """``MODAL_JOB_SUBMIT``; answers as soon as the job is queued, GPU or no GPU."""
    return _response(await server().submit(await request.body()))


@app.function(image=light)
@modal.concurrent(max_inputs=64)
@modal.fastapi_endpoint(method="GET", label="understudy-job-status", requires_proxy_auth=True)
async def job_status(job_id: str = "") -> Response:
    """``MODAL_JOB_STATUS``."""
    try:
        return _response(await server().status(job_id))
    except UnreadableCallError as error:
        return _response(refusal(error.status, error.message))


@app.function(image=light)
@modal.concurrent(max_inputs=16)
@modal.fastapi_endpoint(method="GET", label="understudy-job-result", requires_proxy_auth=True)
async def job_result(job_id: str = "") -> Response:
    """``MODAL_JOB_RESULT``."""
    try:
        return _response(await server().result(job_id))
    except UnreadableCallError as error:
        return _response(refusal(error.status, error.message))


@app.function(image=light)
@modal.concurrent(max_inputs=64)
@modal.fastapi_endpoint(method="POST", label="understudy-job-cancel", requires_proxy_auth=True)
async def job_cancel(request: Request) -> Response:
    """``MODAL_JOB_CANCEL``."""
    try:
        return _response(await server().cancel(await request.body()))
    except UnreadableCallError as error:
        return _response(refusal(error.status, error.message))


@app.function(image=light, timeout=ENDPOINT_TIMEOUT_S)
@modal.concurrent(max_inputs=64)
@modal.fastapi_endpoint(method="POST", label="understudy-voice-design", requires_proxy_auth=True)
async def voice_design(request: Request) -> Response:
    """``MODAL_ENDPOINT_VOICE_DESIGN``; its 303 chain is Modal's own."""
    return _response(await server().design(await request.body()))


def _response(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)
