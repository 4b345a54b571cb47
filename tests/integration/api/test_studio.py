"""The studio as the api serves it: pages, files, configuration, and every other path as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.api.conftest import Api, serving
from tests.small_frontend import SCRIPT, small_build
from understudy.api.routes.studio import STUDIO_PAGES
from understudy.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"understudy_frontend_dir": tmp_path / "dist"})


async def test_pages_files_and_paths_that_are_neither(api: Api, tmp_path: Path) -> None:
    async with api.client.get("/") as answer:
        assert (answer.status, answer.content_type) == (404, "application/json")
        assert "`make frontend`" in (await answer.json())["detail"]
        assert answer.headers["Cache-Control"] == "no-store"
    small_build(tmp_path / "dist")
    for path in (*STUDIO_PAGES, "/voices?mine=1"):
        for method in ("GET", "HEAD"):
            async with api.client.request(method, path) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html"), path
                assert "'nonce-" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["X-Request-Id"]
                assert int(answer.headers["Content-Length"]) > 100
                assert len(await answer.read()) == (0 if method == "HEAD" else answer.content_length)
    async with api.client.get("/assets/studio-Ab1_c.js") as answer:
        # aiohttp asks for gzip and unpacks it.
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]
        assert (await answer.read(), answer.content_type) == (SCRIPT, "text/javascript")
        tag = answer.headers["ETag"]
    async with api.client.get("/assets/studio-Ab1_c.js", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    for path in (
        "/nowhere", "/voices/", "/voices/new", "/studio.html", "/operations", "/assets", "/assets/",
        "/assets/none.js", "/assets/..%2fsecret.txt", "/assets/%2e%2e/secret.txt", "/favicon.ico",
    ):  # fmt: skip
        status, headers, body = await api.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (status, headers["content-type"]) == (404, "application/json"), path
        assert headers["cache-control"] == "no-store"
        assert body.startswith(b'{"detail":')
    async with api.client.post("/", json={}) as answer:
        assert (answer.status, list(await answer.json())) == (405, ["detail"])
    # Labels are routes, never what a caller types.
    async with api.client.get("/openapi.json") as answer:
        documented = (await answer.json())["paths"]
    assert "/api/config" in documented
    assert not {"/", "/assets/{path}", "/voices"} & set(documented)
    counted = api.ctx.metrics.registry.get_sample_value
    asked = {"method": "GET", "route": "/assets/{path:path}", "status": "404"}
    assert (counted("understudy_http_requests_total", asked) or 0) >= 3


async def test_what_the_studio_is_told(api: Api) -> None:
    async with api.client.get("/api/config") as answer:
        found = await answer.json()
    assert found["auth"] == {"url": "", "key": "embedded"}
    assert found["sign_up"] is True
    assert found["prices"]["design_create_microusd"]["qwen"] == 200_000
    assert found["prices"]["clone_create_microusd"] == {"qwen": 10_000, "modal": 0}
    assert found["prices"]["per_10k_chars_microusd"]["qwen"] == {"cloned": 130_000, "designed": 143_353}
    assert found["limits"] == {
        "clone_bytes": 10_485_760,
        "design_text_chars": 500,
        "design_description_chars": 500,
        "max_active_generations": 1,
        "max_streams": 8,
        "clone_consent_required": False,
    }


async def test_a_projects_issuer_is_named_with_its_publishable_key(
    settings: Settings, tmp_path: Path
) -> None:
    named = settings.model_copy(
        update={
            "auth_verifier": "hs256",
            "supabase_url": "https://project.example/",
            "supabase_jwt_secret": settings.jwt_secret,
            "supabase_publishable_key": "sb_publishable_made_up",
        }
    )
    small_build(tmp_path / "dist")
    async with serving(named) as api:
        async with api.client.get("/api/config") as answer:
            auth = (await answer.json())["auth"]
        async with api.client.get("/sign-in") as answer:
            policy = answer.headers["Content-Security-Policy"]
    assert auth == {"url": "https://project.example", "key": "sb_publishable_made_up"}
    assert "connect-src 'self' https://project.example;" in policy
