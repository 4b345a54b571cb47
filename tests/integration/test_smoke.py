from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from typer.testing import CliRunner

from tests.integration.broken_deployment import BrokenDeployment
from tests.integration.promises import Break
from understudy.cli.commands import app as command_line
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, StoreUnavailableError, TargetError, ValidationError
from understudy.restoration.verification.canaries import (
    CanaryAccount,
    CanaryIdentities,
    CanaryToken,
    remembered_identities,
    sign_in_both,
)
from understudy.restoration.verification.checklist import CHECKLIST, derive_checklist
from understudy.restoration.verification.client import DeploymentClient, Limits
from understudy.restoration.verification.evidence import Outcome, SmokeResult
from understudy.restoration.verification.junit import to_junit
from understudy.restoration.verification.smoke import CHECKS, run_smoke

pytestmark = pytest.mark.integration

QUICK = Limits(connect_s=2, request_s=5, task_s=0.5, suite_s=20, cleanup_s=5, poll_interval_s=0.005)
NAMES = {check.name for check in CHECKS}

BREAKAGES: list[tuple[Break, set[str], set[str]]] = [
    (Break.HEALTH_EXTRA, {"health"}, set()),
    (Break.HEALTH_NOT_OK, {"health"}, set()),
    (Break.HEALTH_HTML, {"health"}, set()),
    (Break.OTHER_PROVIDER, {"languages"}, set()),
    (Break.MODAL_STREAMS, {"languages"}, set()),
    (Break.DEFAULT_STREAM, {"languages"}, set()),
    (Break.NO_TRANSCRIPTION, {"languages"}, set()),
    (Break.FEW_LANGUAGES, {"languages"}, set()),
    (Break.UNHASHABLE_LANGUAGES, {"languages"}, set()),
    (Break.UPLOAD_REFUSED, {"clone"}, {"generate", "task_polling", "isolation"}),
    (Break.FOREIGN_UPLOAD_URL, {"clone"}, {"generate", "task_polling", "isolation"}),
    (Break.FINALIZE_FAILS, {"clone"}, {"generate", "task_polling", "isolation"}),
    (Break.REFERENCE_SILENT, {"clone"}, set()),
    (Break.GENERATE_REFUSED, {"generate"}, {"task_polling", "isolation"}),
    (Break.AUDIO_SILENT, {"generate"}, set()),
    (Break.AUDIO_CUT, {"generate"}, set()),
    (Break.AUDIO_HEADER_LIES, {"generate"}, set()),
    (Break.AUDIO_HTML, {"generate"}, set()),
    (Break.AUDIO_ELSEWHERE, {"generate"}, set()),
    (Break.AUDIO_LOOPS, {"generate"}, set()),
    (Break.DURATION_LIES, {"generate"}, set()),
    (Break.SPEECH_FAILS, {"generate", "task_polling"}, set()),
    (Break.SPEECH_NEVER_ENDS, {"generate", "task_polling"}, set()),
    (Break.TASK_NEVER_ENDS, {"task_polling"}, set()),
    (Break.TASK_LEAVES_END, {"task_polling"}, set()),
    (Break.TASK_GOES_BACK, {"task_polling"}, set()),
    (Break.TASK_AUDIO_URL, {"task_polling"}, set()),
    (Break.TASK_PROVIDER, {"task_polling"}, set()),
    (Break.TASK_FIELD_MISSING, {"task_polling"}, set()),
    (Break.DESIGN_FAILS, {"design_preview"}, set()),
    (Break.DESIGN_SILENT, {"design_preview"}, set()),
    (Break.DESIGN_TEMP_URL, {"design_preview"}, set()),
    (Break.LISTS_VOICES_OF_ALL, {"isolation"}, set()),
    (Break.LISTS_GENERATIONS_OF_ALL, {"isolation"}, set()),
    (Break.SHOWS_TASKS_OF_ALL, {"isolation"}, set()),
    (Break.PLAYS_GENERATIONS_OF_ALL, {"isolation"}, set()),
    (Break.FORBIDS_INSTEAD, {"isolation"}, set()),
    (Break.TELLS_EXISTENCE, {"isolation"}, set()),
    (Break.SPEAKS_FOR_ALL, {"isolation"}, set()),
    (Break.DELETES_FOR_ALL, {"isolation"}, set()),
    (Break.SAVES_TASKS_OF_ALL, {"isolation"}, set()),
    (Break.READS_WITHOUT_TOKEN, {"isolation"}, set()),
    (Break.OBJECTS_PUBLIC, {"isolation"}, set()),
    (Break.ERROR_LIST, {"error_shape"}, set()),
    (Break.ERROR_EXTRA, {"error_shape"}, set()),
    (Break.ERROR_HTML, {"error_shape"}, set()),
    (Break.ERROR_422, {"error_shape"}, set()),
    (Break.ERROR_STACK, {"error_shape"}, set()),
    (Break.ERROR_SURROGATE, {"error_shape", "isolation"}, set()),
    (Break.UNKNOWN_PATH_TEXT, {"error_shape"}, set()),
    (Break.TOKEN_SENTENCE, {"error_shape"}, set()),
    (Break.AUTH_DOWN, set(), NAMES - {"health", "languages"}),
]


@asynccontextmanager
async def deployed(*breaks: Break) -> AsyncIterator[tuple[BrokenDeployment, str]]:
    deployment = BrokenDeployment(*breaks)
    async with TestServer(deployment.app(), host="127.0.0.1") as server:
        yield deployment, str(server.make_url("")).rstrip("/")


async def smoke(base_url: str, identities: CanaryIdentities | None = None, **more: object) -> SmokeResult:
    options: dict[str, object] = {"expect_provider": "modal", "limits": QUICK, **more}
    return await run_smoke(base_url, identities=identities or CanaryIdentities.fresh(), **options)  # type: ignore[arg-type]


def named(result: SmokeResult, outcome: Outcome) -> set[str]:
    return {check.name for check in result.checks if check.outcome is outcome}


async def test_an_honest_deployment_passes_and_every_point_is_ticked() -> None:
    async with deployed() as (deployment, url):
        result = await smoke(url)
        assert result.ok, result.to_json()
        assert {check.name for check in result.checks} == NAMES
        assert deployment.remaining() == []
        assert result.left_behind == ()
        assert result.provider == "modal"
        checklist = derive_checklist(result)
        assert checklist.ok
        assert checklist.markdown().count("- [x] ") == 8
        for check in result.checks:
            assert check.requests
            assert check.digest is not None
            assert len(check.digest) == 64
            assert check.duration_ms >= 0
        for name in ("clone", "generate", "design_preview"):
            heard = result.check(name)
            assert heard is not None
            assert heard.audio_ms is not None
            assert heard.audio_ms > 1000
        assert SmokeResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(("broken", "red", "blocked"), BREAKAGES, ids=[str(item[0]) for item in BREAKAGES])
async def test_a_broken_promise_turns_its_check_red_and_no_other(
    broken: Break, red: set[str], blocked: set[str]
) -> None:
    async with deployed(broken) as (deployment, url):
        result = await smoke(url)
        details = {check.name: check.detail for check in result.checks}
        assert named(result, Outcome.FAILED) == red, details
        assert named(result, Outcome.BLOCKED) == blocked, details
        assert not result.ok
        assert not derive_checklist(result).ok
        assert deployment.remaining() == []
        json.dumps(result.to_json(), ensure_ascii=False).encode()


async def test_every_break_is_exercised() -> None:
    elsewhere = {Break.DELETE_REFUSED, Break.ECHOES_TOKEN}
    assert {item[0] for item in BREAKAGES} | elsewhere == set(Break)


async def test_what_cannot_be_deleted_is_named() -> None:
    async with deployed(Break.DELETE_REFUSED) as (deployment, url):
        result = await smoke(url)
        assert result.ok
        assert len(result.left_behind) == len(deployment.remaining()) == 4
        assert all("answered 503" in item for item in result.left_behind)


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told yet"])
async def test_a_run_that_is_cancelled_still_cleans_up(
    eventually: Callable[..., Awaitable[None]], told: bool
) -> None:
    async with deployed(Break.SPEECH_NEVER_ENDS) as (deployment, url):
        if not told:  # what the deployment has made, its answer has not said
            deployment.tells.clear()
        patient = Limits(task_s=60, poll_interval_s=0.005)
        running = asyncio.create_task(smoke(url, limits=patient))
        await eventually(
            lambda: any(item.startswith("generation") for item in deployment.remaining()),
            what="the canary has a generation",
        )
        running.cancel()
        asyncio.get_running_loop().call_later(0.1, deployment.tells.set)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert deployment.remaining() == []


async def test_the_suite_has_a_deadline_of_its_own() -> None:
    async with deployed(Break.SPEECH_NEVER_ENDS) as (deployment, url):
        result = await smoke(url, limits=Limits(task_s=60, suite_s=1.0, poll_interval_s=0.01))
        late = result.check("generate")
        assert late is not None
        assert late.outcome is Outcome.FAILED
        assert "within the suite's 1 s" in late.detail
        assert late.requests
        assert result.check("health").ok  # type: ignore[union-attr]
        assert deployment.remaining() == []


async def test_no_secret_of_the_canaries_is_in_the_evidence() -> None:
    async with deployed(Break.GENERATE_REFUSED, Break.ECHOES_TOKEN) as (deployment, url):
        identities = CanaryIdentities.fresh()
        result = await smoke(url, identities)
        text = json.dumps(result.to_json()) + to_junit(result)
        assert deployment.tokens
        assert "[redacted]" in text
        for secret in [*deployment.tokens, *(s.get_secret_value() for s in identities.secrets())]:
            assert secret not in text


async def test_an_unreachable_deployment_is_all_red_and_raises_nothing() -> None:
    async with deployed() as (_, url):
        pass
    result = await smoke(url)
    assert named(result, Outcome.FAILED) == {"health", "languages"}
    assert named(result, Outcome.BLOCKED) == NAMES - {"health", "languages"}
    assert result.check("health").status is None  # type: ignore[union-attr]


async def test_the_identities_are_told_before_anything_is_made() -> None:
    seen: list[UUID] = []
    async with deployed() as (deployment, url):

        async def told(users: object) -> None:
            seen.extend(users)  # type: ignore[arg-type]
            assert deployment.remaining() == []

        assert (await smoke(url, on_identified=told)).ok
        assert len(set(seen)) == 2


async def test_nothing_is_made_for_canaries_that_cannot_be_told_from_users() -> None:
    async def refuse(_: object) -> None:
        raise StoreUnavailableError

    async with deployed() as (deployment, url):
        result = await smoke(url, on_identified=refuse)
        assert named(result, Outcome.BLOCKED) == NAMES - {"health", "languages"}
        assert deployment.generate_attempts == 0


async def test_accounts_are_signed_up_once_and_signed_in_after() -> None:
    async with deployed() as (deployment, url):
        identities = CanaryIdentities.fresh()
        async with DeploymentClient(url, clock=SystemClock(), limits=QUICK) as client:
            first = await sign_in_both(client, identities)
            again = await sign_in_both(client, identities)
            assert [a.user_id for a in first] == [a.user_id for a in again]
            assert len(deployment.accounts) == 2
            tokens = CanaryIdentities(CanaryToken(first[0].token), CanaryToken(first[1].token))
            assert (await sign_in_both(client, tokens))[0].user_id == first[0].user_id
            same = CanaryIdentities(CanaryToken(first[0].token), CanaryToken(first[0].token))
            with pytest.raises(TargetError, match="same user"):
                await sign_in_both(client, same)
            assert isinstance(identities.a, CanaryAccount)
            wrong = CanaryAccount(identities.a.email, SecretStr("not the password"))
            with pytest.raises(TargetError, match="neither sign in nor sign up"):
                await sign_in_both(client, CanaryIdentities(wrong, identities.b))
            stranger = CanaryIdentities(CanaryToken(SecretStr("nobody")), identities.b)
            with pytest.raises(TargetError, match="does not recognise"):
                await sign_in_both(client, stranger)


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b" " * 65536)
        except ConnectionError:
            return answer

    app = web.Application()
    app.router.add_get("/api/health", endless)
    async with TestServer(app, host="127.0.0.1") as server:
        client = DeploymentClient(str(server.make_url("")), clock=SystemClock(), limits=QUICK)
        async with client:
            with pytest.raises(TargetError, match="more than 1048576 bytes"):
                await client.call("GET", "/api/health", log=[])


def test_a_client_stays_on_its_host() -> None:
    client = DeploymentClient("http://127.0.0.1:8000/functions/v1", clock=SystemClock())
    assert client.resolve("/api/x") == "http://127.0.0.1:8000/functions/v1/api/x"
    assert client.resolve("/storage/v1/y?token=1") == "http://127.0.0.1:8000/storage/v1/y?token=1"
    for leaving in (
        "https://127.0.0.1:8000/x",
        "http://127.0.0.1:8001/x",
        "http://evil.example/x",
        "//evil.example/x",
        "http://127.0.0.1:8000@evil.example/x",
        "file:///etc/passwd",
        "http://[::bad/x",
    ):
        with pytest.raises(TargetError):
            client.resolve(leaving)
    for bad in ("http://evil.example", "ftp://127.0.0.1", "http://u:p@127.0.0.1", "http://127.0.0.1/?q=1"):
        with pytest.raises(ConfigurationError):
            DeploymentClient(bad, clock=SystemClock())


async def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValidationError, match="The canaries speak"):
        await smoke("http://127.0.0.1:9", language="Klingon")


def test_accounts_are_remembered_privately_and_for_one_host_each(tmp_path: Path) -> None:
    file = tmp_path / "run" / "canaries.json"
    first = remembered_identities(file, "http://127.0.0.1:8000/api")
    assert remembered_identities(file, "http://127.0.0.1:8001") == first
    remote = remembered_identities(file, "https://voice.example/functions/v1")
    assert remembered_identities(file, "https://voice.example") == remote
    assert remembered_identities(file, "https://voice.example:8443") not in (first, remote)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("[]")
    with pytest.raises(ConfigurationError, match="delete it"):
        remembered_identities(file, "http://127.0.0.1:8000")


async def test_the_command_prints_ticks_and_writes_junit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    async with deployed() as (deployment, url):

        async def run(*options: str) -> tuple[int, str]:
            arguments = ["smoke", "--base-url", url, "--expect-provider", "modal", *options]
            ended = await asyncio.to_thread(CliRunner().invoke, command_line, arguments)
            return ended.exit_code, ended.stdout

        code, text = await run("--junit", str(tmp_path / "smoke.xml"))
        assert code == 0, text
        assert text.count("✓") == 8
        assert "8 of 8 checks passed" in text
        suite = ET.fromstring((tmp_path / "smoke.xml").read_text())
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("8", "0", "0")

        deployment.breaks.add(Break.FINALIZE_FAILS)
        code, text = await run("--json", "--junit", str(tmp_path / "smoke.xml"))
        assert code == 1
        document = json.loads(text)
        assert [item["sentence"] for item in document["checklist"]["items"]] == [s for s, _ in CHECKLIST]
        assert document["ok"] is False
        suite = ET.fromstring((tmp_path / "smoke.xml").read_text())
        assert (suite.get("failures"), suite.get("errors")) == ("1", "3")
        assert len(deployment.accounts) == 2

        code, text = await run("--junit", str(tmp_path / "none" / "smoke.xml"))
        assert code == 1
