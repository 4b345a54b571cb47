"""The Modal app's five URLs (facts/modal.md), Modal's proxy in front of them, and a fault panel beside."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from understudy.audio.wav import Clip, read_wav, write_wav
from understudy.clock import Clock
from understudy.errors import ValidationError
from understudy.jobserver.answers import Answer, refusal
from understudy.jobserver.orders import DesignOrder
from understudy.jobserver.server import JobServer, design_answer
from understudy.standins.access import passes_proxy
from understudy.standins.configuration import StandInSettings
from understudy.standins.faults import MODAL_FAULTS, MODAL_NUMBERS, FaultPanel, reset_connection
from understudy.standins.hanging import SilentConnections
from understudy.standins.jobs import JobBook
from understudy.standins.panel import add_panel
from understudy.standins.pretending import VoiceboxEngine
from understudy.voicebox.client import Voicebox

#: Query field with which Modal's redirect names the running call.
CALL_ID = "__modal_function_call_id"
#: What ``status_unknown`` says, and how often before the truth.
UNKNOWN_WORD, UNKNOWN_POLLS = "warming_up", 3
_MAX_BODY_BYTES = 24 * 1024 * 1024
#: Design calls whose answer can still be fetched.
_CALLS_KEPT = 256


class ModalServer:
    """State and routes of the stand-in. The reference in each request is the voice; nothing is enrolled."""

    def __init__(self, settings: StandInSettings, folder: Path, voicebox: Voicebox, clock: Clock) -> None:
        self._settings = settings
        self._panel = FaultPanel(MODAL_FAULTS, settings.fault_seed, MODAL_NUMBERS)
        self._jobs = JobBook(folder, settings, VoiceboxEngine(settings, voicebox, clock), self._panel, clock)
        self._server = JobServer(self._jobs)
        self._calls: OrderedDict[str, asyncio.Task[Answer]] = OrderedDict()
        self._polls: dict[str, int] = {}
        #: Status polls of a job that ``status_unknown`` struck.
        self._unknown_polls: dict[str, int] = {}
        self._silent = SilentConnections()
        self._designs = 0
        self._submits = 0

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._proxy])
        app.router.add_post("/job-submit", self._submit)
        app.router.add_get("/job-status", self._status)
        app.router.add_get("/job-result", self._result)
        app.router.add_post("/job-cancel", self._cancel)
        app.router.add_post("/voice-design", self._design)
        app.router.add_get("/voice-design", self._design_poll)
        add_panel(app, self._panel, self._stats)
        app.on_shutdown.append(self._close)
        return app

    def _stats(self) -> dict[str, Any]:
        counts = {f"jobs_{status}": count for status, count in self._jobs.counts().items()}
        return {"jobs_submitted": self._submits, **counts, "designs": self._designs}

    @web.middleware
    async def _proxy(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/_") and not passes_proxy(request.headers, self._settings):
            return web.Response(status=401, text="modal-http: missing or invalid proxy authorization")
        response: web.StreamResponse = await handler(request)
        return response

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        if self._panel.strikes("submit_500"):
            return _internal_error()
        answer = await self._server.submit(await request.read())
        if answer.status == 200:
            self._submits += 1
            # The job runs in both: only the answer is lost.
            if self._panel.strikes("submit_hang"):
                return await self._hang(request)
            if self._panel.strikes("submit_reset"):
                return _reset(request)
        return _response(answer)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        job_id = request.query.get("job_id", "")
        answer = await self._server.status(job_id)
        if answer.status != 200:
            return _response(answer)
        if self._panel.strikes("status_500"):
            return _internal_error()
        if self._panel.strikes("status_hang"):
            return await self._hang(request)
        if self._panel.strikes_once("status_unknown", job_id):
            polls = self._unknown_polls[job_id] = self._unknown_polls.get(job_id, 0) + 1
            if polls <= UNKNOWN_POLLS:
                return _response(answer.with_fields(status=UNKNOWN_WORD, result_ready=False))
        return _response(answer)

    async def _result(self, request: web.Request) -> web.StreamResponse:
        job_id = request.query.get("job_id", "")
        answer = await self._server.result(job_id)
        if answer.status != 200:
            return _response(answer)
        if self._panel.strikes_once("result_202_forever", job_id):
            return web.json_response({"job_id": job_id, "status": "processing"}, status=202)
        if self._panel.strikes("result_410"):
            return _response(refusal(410, "The result has expired."))
        return await self._send_wav(request, answer)

    async def _cancel(self, request: web.Request) -> web.Response:
        return _response(await self._server.cancel(await request.read()))

    async def _design(self, request: web.Request) -> web.StreamResponse:
        if self._panel.strikes("submit_500"):
            return _internal_error()
        try:
            order = DesignOrder.from_body(await request.read())
        except ValidationError as error:
            return _response(refusal(422, error.message))
        call_id = f"fc-{secrets.token_hex(13)}"
        if self._panel.strikes_once("redirect_loop", call_id):
            return _redirect(call_id)
        self._designs += 1
        self._calls[call_id] = asyncio.create_task(self._run_design(order), name=call_id)
        while len(self._calls) > _CALLS_KEPT:
            self._calls.popitem(last=False)[1].cancel()
        return await self._await_call(request, call_id, wait_answer=303)

    async def _run_design(self, order: DesignOrder) -> Answer:
        return design_answer(await self._jobs.design(order))

    async def _design_poll(self, request: web.Request) -> web.StreamResponse:
        call_id = request.query.get(CALL_ID, "")
        if self._panel.struck("redirect_loop", call_id):
            return _redirect(call_id)
        if call_id not in self._calls:
            return _response(refusal(404, "There is no such call."))
        # Modal redirects again; facts/modal.md also knows 202. Both come in turn, so that clients meet both.
        polls = self._polls[call_id] = self._polls.get(call_id, 0) + 1
        return await self._await_call(request, call_id, wait_answer=202 if polls % 2 else 303)

    async def _await_call(
        self, request: web.Request, call_id: str, *, wait_answer: int
    ) -> web.StreamResponse:
        task = self._calls[call_id]
        await asyncio.wait({task}, timeout=self._settings.modal_redirect_after_s)
        if not task.done():
            if wait_answer == 303:
                return _redirect(call_id)
            return web.json_response({"status": "running"}, status=202)
        answer = task.result()
        return await self._send_wav(request, answer) if answer.status == 200 else _response(answer)

    async def _send_wav(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if self._panel.strikes("result_hang"):
            return await self._hang(request)
        wav = answer.body
        if self._panel.strikes("result_silent"):
            wav = await asyncio.to_thread(_silenced, wav)
        if self._panel.strikes("result_truncated"):
            wav = wav[: len(wav) // 2]
        if not self._panel.strikes("reset_result"):
            return web.Response(body=wav, content_type=answer.content_type)
        response = web.StreamResponse(headers={"Content-Type": "audio/wav", "Content-Length": str(len(wav))})
        await response.prepare(request)
        await response.write(wav[: len(wav) // 3])
        reset_connection(request.transport)
        return response

    async def _hang(self, request: web.Request) -> web.Response:
        """Answer nothing until the client leaves or the server stops."""
        await self._silent.hold(request.transport)
        return _reset(request)

    async def _close(self, _: web.Application) -> None:
        self._silent.release()
        await self._jobs.close()
        for task in self._calls.values():
            task.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)


def _redirect(call_id: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/voice-design?{CALL_ID}={call_id}"})


def _internal_error() -> web.Response:
    return web.Response(status=500, text="Internal Server Error")


def _reset(request: web.Request) -> web.Response:
    reset_connection(request.transport)
    return web.Response()


def _silenced(wav: bytes) -> bytes:
    clip = read_wav(wav)
    return write_wav(Clip(np.zeros_like(clip.samples), clip.rate))
