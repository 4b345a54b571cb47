"""Pages of the configured origins may call, read errors and headers; others are told nothing."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import Api
from understudy.settings import Settings

pytestmark = pytest.mark.integration

ORIGIN = "https://studio.example.org"
PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One origin, with credentials."""
    return settings.model_copy(
        update={"cors_allowed_origins": f"{ORIGIN}, http://localhost:5173", "cors_allow_credentials": True}
    )


async def test_a_preflight_of_a_named_origin_is_answered(api: Api) -> None:
    headers = {"Origin": ORIGIN, **PREFLIGHT}
    async with api.client.options("/api/profile", headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_page_of_a_named_origin_reads_answers_and_errors(api: Api) -> None:
    for path, status in [("/api/health", 200), ("/api/voices", 401), ("/nowhere", 404)]:
        async with api.client.get(path, headers={"Origin": ORIGIN}) as answer:
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]
    # A refusal of the outermost layer as well: without the header a page could not read why.
    sent = {"data": b"x" * 300_000, "headers": {"Origin": ORIGIN, "Content-Type": "application/json"}}
    async with api.client.post("/api/generate", **sent) as answer:  # type: ignore[arg-type]
        assert answer.status == 413
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["https://evil.example.org", f"{ORIGIN}.evil.org", "http://studio.example.org", "null"]
)
async def test_another_origin_is_told_nothing(api: Api, origin: str) -> None:
    async with api.client.get("/api/health", headers={"Origin": origin}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    async with api.client.options("/api/profile", headers={"Origin": origin, **PREFLIGHT}) as answer:
        assert (answer.status, await answer.json()) == (405, {"detail": "Method not allowed."})
        assert "Access-Control-Allow-Origin" not in answer.headers
