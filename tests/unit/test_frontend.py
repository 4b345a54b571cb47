"""The built frontend as answers: pages, their policy, assets, and what is no asset."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from tests.small_frontend import SCRIPT, small_build
from understudy.api.routes.studio import STUDIO_PAGES, studio_frontend
from understudy.errors import NotFoundError
from understudy.frontend import (
    OPERATIONS,
    STUDIO,
    Frontend,
    FrontendNotBuiltError,
    names_tag,
    origins_of,
    takes_gzip,
)
from understudy.resources import frontend_sources_dir
from understudy.settings import Settings

pytestmark = pytest.mark.unit


@pytest.fixture
def frontend(tmp_path: Path) -> Frontend:
    return Frontend(small_build(tmp_path / "dist"))


def test_a_page_has_a_nonce_of_its_own_and_a_policy_that_allows_nothing_inline(frontend: Frontend) -> None:
    seen = set()
    for _ in range(3):
        page = frontend.page(STUDIO)
        policy = page.headers["Content-Security-Policy"]
        (nonce,) = re.findall(r"'nonce-([A-Za-z0-9_-]{20,})'", policy)
        assert page.body.count(f'nonce="{nonce}"'.encode()) == 2
        assert b"__CSP_NONCE__" not in page.body
        assert "unsafe" not in policy
        seen.add(nonce)
    assert len(seen) == 3
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "microphone=(self)" in page.headers["Permissions-Policy"]
    assert policy.split("; ")[:2] == ["default-src 'none'", "script-src 'self'"]
    assert "connect-src 'self'" in policy.split("; ")


def test_other_origins_are_those_of_the_settings() -> None:
    assert origins_of("https://a.example/auth/v1", "", "https://a.example", "http://127.0.0.1:1/x", "no") == (
        "https://a.example",
        "http://127.0.0.1:1",
    )
    named = Settings(
        auth_verifier="jwks", supabase_url="https://p.example/", public_base_url="https://v.example"
    )
    assert studio_frontend(named).origins == ("https://p.example", "https://v.example")
    # The embedded issuer is this very origin, whatever project is named beside it.
    assert studio_frontend(Settings(supabase_url="https://p.example")).origins == ()


def test_an_asset_is_kept_for_ever_and_goes_out_packed_where_that_is_taken(frontend: Frontend) -> None:
    plain = frontend.asset("studio-Ab1_c.js")
    packed = frontend.asset("studio-Ab1_c.js", accept_encoding="br;q=1.0, gzip;q=0.8, *;q=0.1")
    assert (plain.status, plain.body) == (200, SCRIPT)
    assert gzip.decompress(packed.body) == SCRIPT
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for answer in (plain, packed):
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
    assert frontend.asset("theme-Zz9.css", accept_encoding="gzip").body == b"body{margin:0}"
    known = frontend.asset("studio-Ab1_c.js", if_none_match=f'"x", W/{plain.headers["ETag"]}')
    assert (known.status, known.body) == (304, b"")
    assert "Content-Type" not in known.headers


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "..", "../secret.txt", "..%2fsecret.txt", "a/../../secret.txt", "/etc/passwd", "//x", "a//b",
        "studio-Ab1_c.js/", "studio-Ab1_c.js.gz", ".hidden", "a\\b", "a\x00b", "a\n", "link.txt",
        "out/passwd", "none.js", "a/b/c/d/e.js", "x" * 300,
    ],
)  # fmt: skip
def test_nothing_but_assets_is_an_asset(frontend: Frontend, path: str) -> None:
    assets = frontend.place / "assets"
    (assets / "link.txt").symlink_to(frontend.place / "secret.txt")
    (assets / "out").symlink_to("/etc")
    (assets / ".hidden").write_text("x")
    with pytest.raises(NotFoundError):
        frontend.asset(path)


def test_what_is_not_built_says_how(tmp_path: Path) -> None:
    frontend = Frontend(tmp_path / "dist")
    for page, which in ((STUDIO, "studio"), (OPERATIONS, "operations console")):
        with pytest.raises(FrontendNotBuiltError, match=f"The {which} is not built. Run `make frontend`"):
            frontend.page(page)
    with pytest.raises(NotFoundError):
        frontend.icon("favicon.ico")
    assert not frontend.built
    # It may be built while the process runs, and built again.
    place = small_build(tmp_path / "dist")
    assert frontend.built
    assert b"studio-Ab1_c" in frontend.page(STUDIO).body
    (place / STUDIO).write_text("newer")
    os.utime(place / STUDIO, ns=(1, 1))
    assert frontend.page(STUDIO).body == b"newer"
    (place / STUDIO).unlink()
    with pytest.raises(FrontendNotBuiltError):
        frontend.page(STUDIO)


def test_headers_are_read_as_http_means_them() -> None:
    for taken in ("gzip", "GZIP", "br, gzip", "gzip;q=0.1", "*", "deflate , x-gzip"):
        assert takes_gzip(taken), taken
    for refused in ("", "br", "identity", "gzip;q=0", "gzip; q=0.000", "gzipped"):
        assert not takes_gzip(refused), refused
    assert names_tag("*", "a")
    assert not names_tag('"b", a', "a")


def test_the_pages_are_those_that_the_studio_knows() -> None:
    text = (frontend_sources_dir() / "src" / "studio" / "paths.ts").read_text()
    assert sorted(re.findall(r'^\s+\w+: "(/[^"]*)"', text, re.MULTILINE)) == sorted(STUDIO_PAGES)
