"""Schemathesis against the real process: every answer is one that ``/openapi.json`` announces."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import socket
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.api.processes import start_on
from understudy.resources import samples_dir
from understudy.settings import Settings

pytestmark = pytest.mark.integration

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
SHORT, LONG = 1000, 10_000
GOTRUE_ERRORS = ({"code", "error_code", "msg"}, {"code", "message"})
DRAFT = {"name": "Jane", "language": "en", "transcript": "It is a truth universally acknowledged."}
OPENAI_ERROR = {"message", "type", "param", "code"}
#: All else that this deployment needs is up: there is no transcriber, and no provider speaks.
MAY_BE_UNAVAILABLE = {"/api/transcriptions", "/v1/audio/speech"}


@schemathesis.serializer("audio/wav")
def serialize_audio(_: Any, value: Any) -> bytes:
    """An upload's bytes as they are; of anything else, its words."""
    binary = getattr(value, "data", value)
    return binary if isinstance(binary, bytes) else str(binary).encode(errors="replace")


@dataclass
class Fuzz:
    """One run: who calls, whose rows there are, what was answered."""

    base: str
    token: str
    known_ids: list[str]
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)
    cases: int = 0

    def run(self, total: int, *, derandomize: bool) -> None:
        """Send ``total`` cases or a few more, spread over operations and over valid and invalid input."""
        schema = schemathesis.openapi.from_url(f"{self.base}/openapi.json")
        # It would erase the account that everything else is asked with; test_contract.py asks it.
        schema = schema.exclude(method="DELETE", path="/api/me")
        operations = [found.ok() for found in schema.get_all_operations()]
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        pairs = [(operation, mode) for operation in operations for mode in modes]
        with requests.Session() as session:
            round_number = 0
            # An operation without input has few distinct cases; the others make up for it in the next round.
            while self.cases < total and round_number < 20:
                each = -(-(total - self.cases) // len(pairs))
                for operation, mode in pairs:
                    self._fuzz(operation, mode, session, each, derandomize=derandomize, seed=round_number)
                round_number += 1

    def _fuzz(
        self,
        operation: APIOperation,
        mode: GenerationMode,
        session: requests.Session,
        examples: int,
        *,
        derandomize: bool,
        seed: int,
    ) -> None:
        ids = itertools.cycle(self.known_ids)

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=derandomize and seed == 0,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case) -> None:
            if mode is GenerationMode.POSITIVE:
                self._aim(case, next(ids))
            self._check(case, session)

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            send()

    def _aim(self, case: Case, known: str) -> None:
        """Point a valid request at a row that exists, or it would only ever see 404."""
        if "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known
        if isinstance(case.body, dict) and "voice_id" in case.body:
            case.body["voice_id"] = known
        if isinstance(case.body, dict) and "voice" in case.body:
            case.body |= {"voice": known, "model": "tts-1"}
        if isinstance(case.query, dict):
            case.query.pop("wait", None)

    def _check(self, case: Case, session: requests.Session) -> None:
        answer = case.call(
            base_url=self.base,
            session=session,
            headers={"Authorization": f"Bearer {self.token}"},
            allow_redirects=False,
        )
        self.cases += 1
        self.statuses[answer.status_code] += 1
        what = f"{case.method} {case.path} -> {answer.status_code}"
        try:
            case.validate_response(answer, checks=CHECKS)
        except (AssertionError, BaseExceptionGroup) as error:
            self.wrong.setdefault(
                f"{what}: outside the contract", f"{error!s:.2000} {answer.content[:300]!r}"
            )
        problem = _problem(case.path, answer.status_code, answer.content)
        if problem:
            self.wrong.setdefault(
                f"{what}: {problem}", f"{case.as_curl_command()[:600]} {answer.content[:300]!r}"
            )


def _problem(path: str, status: int, content: bytes) -> str | None:
    if status < 400:
        return None
    refused = (status == 503 and path in MAY_BE_UNAVAILABLE) or (
        status == 501 and path.startswith("/auth/v1")
    )
    if status >= 500 and not refused:
        return "a failure of ours"
    try:
        body = json.loads(content)
    except ValueError:
        return "an error that is not JSON"
    if path.startswith("/auth/v1"):
        return None if set(body) - {"weak_password"} in GOTRUE_ERRORS else "not GoTrue's shape"
    if path.startswith("/v1/"):
        told = body.get("error") if isinstance(body, dict) and set(body) == {"error"} else None
        fits = told is not None and set(told) == OPENAI_ERROR and told["message"].strip()
        return None if fits else "not OpenAI's shape"
    whole = isinstance(body, dict) and set(body) == {"detail"} and isinstance(body["detail"], str)
    return None if whole and body["detail"].strip() else "not exactly {detail}"


async def _prepared(base: str) -> Fuzz:
    """A tenant with voices and generations, so that valid input finds something."""
    known: list[str] = []
    recording = (samples_dir() / "austen-0870.wav").read_bytes()
    async with aiohttp.ClientSession(base) as client:
        credentials = {"email": "fuzz@example.org", "password": "long-enough"}
        async with client.post("/auth/v1/signup", json=credentials) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(4):
            async with client.post("/api/clone/upload-url", json=DRAFT, headers=headers) as answer:
                ticket = await answer.json()
            wav = {"Content-Type": "audio/wav"}
            async with client.put(ticket["upload_url"], data=io.BytesIO(recording), headers=wav) as answer:
                assert answer.status == 200
            body = DRAFT | {"voice_id": ticket["voice_id"]}
            async with client.post("/api/clone/finalize", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            speech: dict[str, Any] = {"voice_id": ticket["voice_id"], "text": "one"}
            async with client.post("/api/generate", json=speech, headers=headers) as answer:
                started = await answer.json()
            assert answer.status == 200, started
            known += [ticket["voice_id"], started["task_id"], started["generation_id"]]
    return Fuzz(base, token, [*known, str(uuid4())])


async def _fuzz(settings: Settings, tmp_path: Path, total: int, *, derandomize: bool) -> Fuzz:
    many = settings.model_copy(update={"max_active_generations": 1_000_000})
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        process = await start_on(many, tmp_path / "api.log", listener, uuid4())
        try:
            fuzz = await _prepared("http://{}:{}".format(*listener.getsockname()))
            await asyncio.to_thread(fuzz.run, total, derandomize=derandomize)
        finally:
            process.terminate()
            code = await process.exit_code()
    assert code == 0
    events = [json.loads(line) for line in process.text().splitlines()]
    crashes = [event["exception"][-600:] for event in events if event["event"] == "request_crashed"]
    fuzz.wrong |= {f"crash: {crash.splitlines()[-1]}": crash for crash in crashes}
    return fuzz


def _assert_within_the_contract(fuzz: Fuzz, total: int) -> None:
    assert fuzz.wrong == {}, "\n\n".join(f"{what}\n{why}" for what, why in fuzz.wrong.items())
    assert fuzz.cases >= total
    # A fuzz that never gets past validation, or never fails it, proves little.
    assert min(fuzz.statuses[status] for status in (200, 302, 400, 404)) > 0, fuzz.statuses


async def test_a_thousand_cases_stay_within_the_contract(settings: Settings, tmp_path: Path) -> None:
    _assert_within_the_contract(await _fuzz(settings, tmp_path, SHORT, derandomize=True), SHORT)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_ten_thousand_cases_stay_within_the_contract(settings: Settings, tmp_path: Path) -> None:
    fuzz = await _fuzz(settings, tmp_path, LONG, derandomize=False)
    print(f"{fuzz.cases} cases: {dict(sorted(fuzz.statuses.items()))}")
    _assert_within_the_contract(fuzz, LONG)
