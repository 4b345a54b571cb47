"""What an api process notices, shows and never lets out: signals, metrics, secrets, traces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr

from tests.integration.api.conftest import Api, SignUp, serving
from tests.integration.api.test_routes import clone
from understudy.api.withholding import WITHHELD
from understudy.logs import Leaks, configure_logging, get_logger
from understudy.settings import Settings
from understudy.store.calls import CallRecord
from understudy.store.mode import list_processes

pytestmark = pytest.mark.integration

CANARY = f"canary-{secrets.token_hex(12)}"
TOKEN = secrets.token_hex(12)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a canary planted, and metrics behind a token."""
    changes = {"planted_canaries": SecretStr(CANARY), "metrics_token": SecretStr(TOKEN)}
    return settings.model_copy(update=changes)


@pytest.fixture
def leaks(api: Api) -> Iterator[Leaks]:
    """The process's log, watched as ``serve`` watches it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    found = Leaks()
    configure_logging("api", named=api.ctx.settings.watched(), leaks=found)
    found.attach(lambda name: api.ctx.signals.leak("log", name))
    yield found
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    structlog.reset_defaults()


async def rows(api: Api, table: str) -> list[dict[str, Any]]:
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute(f"select to_jsonb(t) as row from understudy.{table} t")  # type: ignore[call-overload]
        return [row["row"] for row in await cursor.fetchall()]


async def test_a_canary_in_a_log_line_and_in_an_answer_is_on_record_by_name(
    api: Api, sign_up: SignUp, leaks: Leaks, capsys: pytest.CaptureFixture[str]
) -> None:
    user = await sign_up()
    # As if a bug had put what must stay inside into a tenant's row.
    await clone(api, user)
    async with api.ctx.database.service() as conn:
        await conn.execute("update public.voices set name = %s where user_id = %s", (CANARY, user.id))
    get_logger("test_a_canary").error("refused_by_provider", header=f"X-Key: {CANARY}")
    answered = []
    for path in ("/api/voices", "/v1/audio/voices"):
        async with user.client.get(path) as answer:
            answered.append((answer.status, await answer.text()))
    assert await api.ctx.signals.flush()
    hits = await rows(api, "secret_hits")
    assert {(hit["where"], hit["name"], hit["process"]) for hit in hits} == {
        ("log", "canary-1", "api"),
        ("response", "canary-1", "api"),
    }
    assert sum(hit["count"] for hit in hits if hit["where"] == "response") == 2
    assert leaks.counts == {"canary-1": 1}
    assert [status for status, _ in answered] == [500, 500]
    assert json.loads(answered[0][1]) == {"detail": WITHHELD}
    told = json.dumps([answered, hits, capsys.readouterr().err])
    assert CANARY not in told


async def test_processes_tell_digests_of_their_secrets(api: Api) -> None:
    async with api.ctx.database.service() as conn:
        (process,) = await list_processes(conn, 10)
    assert process.secret_digests == api.ctx.settings.secret_digests()
    assert {"JWT_SECRET", "OBJECT_URL_SECRET", "DASHSCOPE_API_KEY", "METRICS_TOKEN"} <= set(
        process.secret_digests
    )
    assert api.ctx.settings.jwt_secret.get_secret_value() not in str(process)


async def test_admissions_and_those_the_mode_refused_are_counted_without_canaries(
    api: Api, sign_up: SignUp
) -> None:
    user, canary = await sign_up(), await sign_up()
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "insert into understudy.synthetic_users (user_id, label) values (%s, 'canary')", (canary.id,)
        )
    spoken = {"voice_id": await clone(api, user), "text": "One.", "language": "English"}
    for asking, path, status in (
        (user, "/api/generate/stream", 409),
        (canary, "/api/generate/stream", 409),
        (user, "/api/generate", 200),
        (user, "/api/generate", 409),  # one generation at a time: nothing of the mode
    ):
        async with asking.client.post(path, json=spoken) as answer:
            assert answer.status == status, await answer.text()
    async with user.client.post("/api/generate", json=spoken | {"voice_id": str(uuid4())}) as answer:
        assert answer.status == 404
    assert await api.ctx.signals.flush()
    counts = await rows(api, "refusals")
    assert {(row["provider"], row["operation"], row["mode_epoch"]) for row in counts} == {
        ("modal", "speak", api.ctx.mode.view().epoch)
    }
    # The second generation could have been spoken: that it was one too many is another matter.
    assert (sum(row["asked"] for row in counts), sum(row["refused"] for row in counts)) == (3, 1)
    assert {row["instance"] for row in counts} == {str(api.ctx.mode.instance)}


async def test_metrics_are_by_route_template_and_for_the_token_alone(api: Api, sign_up: SignUp) -> None:
    user = await sign_up()
    for path in (f"/api/tasks/{uuid4()}", f"/api/tasks/{uuid4()}", "/api/nowhere/secret-path"):
        async with user.client.get(path) as answer:
            assert answer.status == 404
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with api.client.get("/metrics") as answer:
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    async with user.client.get("/metrics") as answer:
        assert answer.status == 401
    async with api.client.get("/metrics", headers=bearer) as answer:
        assert answer.status == 200
        text = await answer.text()
    tasks = 'understudy_http_requests_total{method="GET",route="/api/tasks/{id}",status="404"} 2.0'
    assert tasks in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert 'understudy_mode_info{state="FRESH",value="modal"} 1.0' in text
    assert "understudy_streams_active 0.0" in text
    assert "secret-path" not in text
    assert str(user.id) not in text
    async with api.client.get("/openapi.json") as answer:
        assert "/metrics" not in (await answer.json())["paths"]


class Collector:
    """An OTLP receiver."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.Response(content_type="application/x-protobuf")

    def spans(self) -> dict[str, Span]:
        found = {}
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found |= {span.name: span for span in scope.spans}
        return found


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    """Listens on loopback."""
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_a_request_and_its_provider_call_are_one_trace_that_holds_no_text(
    settings: Settings, collector: Collector
) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    endpoint = settings.model_copy(update={"otel_exporter_otlp_endpoint": collector.url})
    async with serving(endpoint) as api:
        headers = {"traceparent": f"00-{trace}-{parent}-01", "Authorization": "Bearer not-a-token-0123"}
        async with api.client.get(f"/api/tasks/{uuid4()}?q=spoken-text", headers=headers) as answer:
            assert answer.status == 401
        record = CallRecord(
            at=api.ctx.clock.now(), operation="speak", provider="qwen", model="m", outcome="failed",
            latency_ms=1200, mode_epoch=4, failure_class="transport", code="idle_closed",
        )  # fmt: skip
        fails = RuntimeError("spoken-text")
        with contextlib.suppress(RuntimeError), api.ctx.tracing.span("task generate"):
            api.ctx.call_ended(record)
            raise fails
    spans = collector.spans()
    asked, task, call = (spans[name] for name in ("GET /api/tasks/{id}", "task generate", "provider speak"))
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (trace, parent)
    assert {item.key: item.value.int_value for item in asked.attributes}["http.response.status_code"] == 401
    assert call.parent_span_id == task.span_id
    assert call.end_time_unix_nano - call.start_time_unix_nano == 1_200_000_000
    assert (asked.status.code, task.status.code, call.status.code) == (0, 2, 2)
    for told in (
        b"spoken-text",
        b"not-a-token",
        *(s.get_secret_value().encode() for s in settings.watched().values()),
    ):
        assert not any(told in body for body in collector.bodies)


async def test_a_collector_that_hangs_holds_nobody_up(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # accepts nothing, so answers nothing
        url = f"http://127.0.0.1:{hung.getsockname()[1]}"
        async with (
            asyncio.timeout(15),
            serving(settings.model_copy(update={"otel_exporter_otlp_endpoint": url})) as api,
            api.client.get("/api/health") as answer,
        ):
            assert answer.status == 200
