"""Releases built from this repository's own files, and what `known-good record` makes of a checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.scratch_repository import command_of, commit_all, copy_of_this_repository, environment_of, git
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, ProcessError
from understudy.releases.building import build_release
from understudy.releases.checkout import Checkout
from understudy.releases.release import Release, damages, releases_dir
from understudy.store.guard import GUARD_FILE

pytestmark = pytest.mark.integration

SECRET = "0123456789-0123456789-0123456789"


class Scratch:
    """A copy of this repository and a home beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        self.first = copy_of_this_repository(self.folder)
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "understudy.env").write_text(f"TTS_PROVIDER_MODE=modal\nJWT_SECRET={SECRET}\n")

    @property
    def checkout(self) -> Checkout:
        found = Checkout.at(self.folder)
        assert found is not None
        return found

    def build(self, revision: str) -> Release:
        return build_release(self.checkout, revision, releases_dir(self.home), SystemClock())

    def understudy(self, *arguments: str, code: int = 0) -> Any:
        done = subprocess.run(
            command_of(self.folder, *arguments, "--home", str(self.home)),
            env=environment_of(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout) if "--json" in arguments and not code else done.stderr


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def test_a_changed_checkout_is_recorded_only_when_that_is_asked_for(scratch: Scratch) -> None:
    record = ("known-good", "record", "--reason", "a week of it", "--no-release")
    module = scratch.folder / "src" / "understudy" / "clock.py"
    module.write_text(module.read_text() + "\n# by hand\n")
    refused = " ".join(scratch.understudy(*record, code=1).split())
    assert "differs from its commit (src/understudy/clock.py)" in refused
    assert not (scratch.home / GUARD_FILE).exists()
    (kept,) = scratch.understudy(*record, "--allow-dirty", "--json")["known_good"]
    assert kept["git"] == {
        "revision": scratch.first,
        "tag": None,
        "changed": True,
        "checkout": str(scratch.folder.resolve()),
    }
    assert (kept["release"], kept["settings"]) == (None, {"TTS_PROVIDER_MODE": "modal"})


@pytest.mark.long
def test_one_commit_gives_one_wheel_and_what_is_damaged_is_built_again(scratch: Scratch) -> None:
    first = scratch.build(scratch.first)
    assert (first.revision, first.name, first.tells_revision) == (scratch.first, scratch.first[:12], True)
    assert damages(first) == []
    assert scratch.build(scratch.first).built_at == first.built_at  # whole: left alone

    module = first.site_packages / "understudy" / "clock.py"
    whole = module.read_bytes()
    module.unlink()
    module.write_bytes(whole.replace(b"def", b"dfe", 1))
    assert [line.endswith("clock.py was changed") for line in damages(first)] == [True]
    again = scratch.build(scratch.first)
    assert damages(again) == []
    assert again.built_at > first.built_at
    assert (again.wheel_sha256, again.dependencies) == (first.wheel_sha256, first.dependencies)
    # Dependencies too, and without any: a folder that a package lost.
    shutil.rmtree(again.site_packages / "aiohttp")
    assert any("aiohttp" in line for line in damages(again))
    assert damages(scratch.build(scratch.first)) == []


@pytest.mark.long
def test_a_release_runs_without_repository_environment_and_network(scratch: Scratch, tmp_path: Path) -> None:
    release = scratch.build(scratch.first)
    scratch.folder.rename(tmp_path / "gone")
    code = (
        "import understudy, aiohttp, numpy, understudy.releases.identity as i\n"
        "print(understudy.__file__, aiohttp.__file__, i.running_revision())"
    )
    elsewhere = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "gone" / "src")}
    done = subprocess.run(
        [release.interpreter, "-P", "-c", code],
        env=release.environment(elsewhere),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    ours, theirs, revision = done.stdout.split()
    assert all(Path(path).is_relative_to(release.path) for path in (ours, theirs))
    assert revision == scratch.first
    version = subprocess.run(
        [release.path / "bin" / "understudy", "--version"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.startswith("understudy ")
    sums = subprocess.run(
        ["sha256sum", "--quiet", "-c", "files.sha256"], cwd=release.path, capture_output=True, check=False
    )
    assert (sums.returncode, sums.stdout) == (0, b"")


@pytest.mark.long
def test_what_does_not_build_or_start_leaves_nothing(scratch: Scratch) -> None:
    serve = scratch.folder / "src" / "understudy" / "cli" / "serve.py"
    whole = serve.read_text()
    serve.write_text(whole + "\nimport no_such_module\n")
    broken = commit_all(scratch.folder, "does not start")
    with pytest.raises(ProcessError, match="No module named 'no_such_module'"):
        scratch.build(broken)
    project = scratch.folder / "pyproject.toml"
    serve.write_text(whole)
    project.write_text(project.read_text().replace('"aiohttp>=3.14"', '"aiohttp>=999", "no-such-thing"'))
    with pytest.raises(ConfigurationError, match=r"aiohttp>=999; 3\.[\d.]+ is installed; .*no-such-thing"):
        scratch.build(commit_all(scratch.folder, "needs more"))
    project.write_text("[build-system]\n")
    with pytest.raises(ProcessError, match="could not be built"):
        scratch.build(commit_all(scratch.folder, "no wheel"))
    git(scratch.folder, "rm", "-r", "--quiet", "src")
    empty, checkout = commit_all(scratch.folder, "no code"), Checkout(scratch.folder)
    with pytest.raises(ConfigurationError, match="holds no understudy"):
        build_release(checkout, empty, releases_dir(scratch.home), SystemClock())
    assert list(releases_dir(scratch.home).iterdir()) == []


@pytest.mark.long
def test_recording_a_changed_checkout_keeps_its_very_files(scratch: Scratch) -> None:
    module = scratch.folder / "src" / "understudy" / "clock.py"
    module.write_text(module.read_text() + "\nBY_HAND = True\n")
    (kept,) = scratch.understudy("known-good", "record", "--allow-dirty", "--reason", "drill", "--json")[
        "known_good"
    ]
    release = kept["release"]
    assert release["revision"].startswith(f"{scratch.first}+")
    inside = list((Path(release["path"]) / "lib").glob("*/site-packages/understudy/clock.py"))
    assert "BY_HAND" in inside[0].read_text()
    assert kept["migrations"]["files"]
    (listed,) = scratch.understudy("known-good", "list", "--json")["known_good"]
    assert (listed["release"], listed["changed"]) == (release["name"], True)
    shown = scratch.understudy("releases", "list", "--check", "--json")
    assert [(row["name"], row["served"], row["damages"]) for row in shown["releases"]] == [
        (release["name"], False, [])
    ]
    stored = (scratch.home / GUARD_FILE).read_bytes()
    assert SECRET.encode() not in stored
    inside[0].write_text("changed")
    scratch.understudy("releases", "list", "--check", code=1)
