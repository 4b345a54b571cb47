"""What a build is made of, whether it still is, and what comes with it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from hatch_build import FrontendHook
from tests.small_frontend import small_build
from understudy import frontend_build
from understudy.frontend_build import (
    BuildState,
    FrontendBuildError,
    build_state,
    finish_build,
    is_installed,
    main,
    sources_digest,
)
from understudy.processes.home import Home
from understudy.processes.recovery import Recovery
from understudy.releases.pages import ReleasePages, add_pages, read_pages, write_pages

pytestmark = pytest.mark.unit


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "frontend"
    (folder / "src" / "studio" / "api").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / ".npmrc").write_text("fund=false\n")
    (folder / "src" / "main.tsx").write_text("export {};\n")
    return folder


def built(sources: Path) -> Path:
    dist = small_build(sources / "dist")
    finish_build(sources, dist)
    return dist


def test_the_digest_is_of_sources_only(sources: Path) -> None:
    before = sources_digest(sources)
    for made in (
        "node_modules/react/index.js", "dist/studio.html", ".dist-x/dist/a.js", "src/studio/api/schema.d.ts",
        "coverage/index.html", "tsconfig.tsbuildinfo", ".vite/deps.json",
    ):  # fmt: skip
        path = sources / made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
    assert sources_digest(sources) == before
    seen = {before}
    for change in ("src/main.tsx", "src/other.tsx", ".npmrc", "openapi.json"):
        (sources / change).write_text("changed")
        seen.add(sources_digest(sources))
    (sources / "src" / "other.tsx").rename(sources / "src" / "moved.tsx")
    seen.add(sources_digest(sources))
    assert len(seen) == 6
    copied = sources.parent / "elsewhere"
    shutil.copytree(sources, copied)
    assert sources_digest(copied) == sources_digest(sources)


def test_a_build_is_known_by_what_it_was_made_of(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build_state(sources) is BuildState.ABSENT
    dist = small_build(sources / "dist")
    assert build_state(sources) is BuildState.STALE
    (sources.parent / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    finish_build(sources, dist)
    assert json.loads((dist / "build.json").read_text()) == {
        "source_sha256": sources_digest(sources),
        "version": "1.2.3",
    }
    script = dist / "assets" / "studio-Ab1_c.js"
    assert gzip.decompress(Path(f"{script}.gz").read_bytes()) == script.read_bytes()
    # Too small to be worth it; pages get a nonce each time.
    assert not (dist / "assets" / "theme-Zz9.css.gz").exists()
    assert not (dist / "studio.html.gz").exists()
    assert main(["state", str(sources)]) == 0
    assert main(["build", str(sources)]) == 0
    (sources / "src" / "main.tsx").write_text("export const a = 1;\n")
    assert main(["state", str(sources)]) == 1
    assert capsys.readouterr().out.split() == ["built", "stale"]
    (dist / "operations.html").unlink()
    with pytest.raises(FrontendBuildError, match=r"made no operations\.html"):
        finish_build(sources, dist)


def test_without_node_it_says_how_to_get_it(
    sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(sources))
    assert main(["build", str(sources)]) == 1
    assert main(["build", str(sources), "--softly"]) == 0
    said = capsys.readouterr().err
    assert said.count("needs Node, which is not here. Get Node 20.19") == 2
    assert said.count("The service runs without these pages.") == 1
    assert main(["build"]) == 64


def test_dependencies_are_installed_when_the_lock_says_so(sources: Path) -> None:
    def lock(path: Path, packages: dict[str, object]) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"packages": packages}))

    wanted, present = sources / "package-lock.json", sources / "node_modules" / ".package-lock.json"
    vite, other = (
        {"node_modules/vite": {"version": "8.0.0"}},
        {"node_modules/x": {"version": "1", "optional": True}},
    )
    lock(wanted, {"": {}, **vite, **other})
    assert not is_installed(sources)
    lock(present, vite)
    assert is_installed(sources)
    lock(present, vite | other)
    assert is_installed(sources)
    lock(present, vite | {"node_modules/gone": {"version": "1"}})
    assert not is_installed(sources)
    lock(present, {"node_modules/vite": {"version": "7.0.0"}})
    assert not is_installed(sources)

    # A local recovery installs them before it checks, and only then.
    (sources / "package.json").write_text(json.dumps({"scripts": {"check": "biome ci ."}}))
    recovery = Recovery(sources.parent, Home.at(sources.parent / "home"), "main")
    steps = list(recovery._frontend())
    assert [step.name for step in steps] == ["frontend dependencies", "frontend check", "frontend typecheck"]
    assert steps[0].argv[:4] == ("npm", "--prefix", "frontend", "ci")
    assert [bool(step.skipped) for step in steps] == [False, False, True]
    lock(present, vite)
    assert [step.name for step in recovery._frontend()] == ["frontend check", "frontend typecheck"]
    (sources / "package.json").unlink()
    assert all(step.skipped and step.optional for step in recovery._frontend())


def test_a_release_takes_a_build_of_the_very_sources(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = built(sources)
    exported = tmp_path / "exported"
    shutil.copytree(sources, exported / "frontend", ignore=shutil.ignore_patterns("dist"))
    package = tmp_path / "release" / "understudy"
    found = add_pages(exported, package, builds=[tmp_path / "none", dist], with_npm=False)
    assert (found.how, found.source_sha256) == ("copied", sources_digest(sources))
    assert (package / "frontend" / "assets" / "studio-Ab1_c.js.gz").is_file()
    write_pages(tmp_path, found)
    assert read_pages(tmp_path) == found
    assert read_pages(package) is None

    (exported / "frontend" / "src" / "main.tsx").write_text("export const older = 1;\n")
    older = tmp_path / "older"
    without = add_pages(exported, older, builds=[dist], with_npm=False)
    assert (without.how, (older / "frontend").exists()) == ("none", False)
    assert "make frontend" in str(without.why)

    def fails(_: Path, **__: float) -> None:
        raise FrontendBuildError("`npm ci` did not end within 120 s.")

    monkeypatch.setattr(frontend_build, "build", fails)
    assert (
        add_pages(exported, older, builds=[dist], with_npm=True).why == "`npm ci` did not end within 120 s."
    )
    shutil.rmtree(exported / "frontend")
    none = add_pages(exported, older, builds=[dist], with_npm=True)
    assert none == ReleasePages("none", why="this revision has no frontend")


def test_a_wheel_and_a_source_archive_take_the_build_along(sources: Path, tmp_path: Path) -> None:
    root = sources.parent

    def taken(target: str, version: str = "standard") -> dict[str, str]:
        data: dict[str, dict[str, str]] = {"force_include": {}}
        hook = FrontendHook(str(root), {}, None, None, str(tmp_path), target)  # type: ignore[arg-type]
        hook.initialize(version, data)
        return data["force_include"]

    assert taken("wheel") == {}
    dist = str(built(sources))
    assert taken("wheel") == {dist: "understudy/frontend"}
    assert taken("sdist") == {dist: "frontend/dist"}
    assert taken("wheel", "editable") == {}
