"""Releases on disk: found by name or revision, and every damage named; what they are made of."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.small_release import small_release
from understudy.errors import ConfigurationError, ProcessError
from understudy.releases.dependencies import link_into, needed_by
from understudy.releases.identity import ready_text
from understudy.releases.kept_environment import (
    environment_digest,
    environment_of_record,
    keep_environment,
    kept_environment_file,
)
from understudy.releases.release import SUMS, damages, find_release, list_releases, read_release, release_name
from understudy.releases.trial import try_imports

pytestmark = pytest.mark.integration

ONE, TWO = "1" * 40, "1" * 8 + "2" * 32


def test_a_release_is_found_by_its_name_its_commit_or_the_beginning_of_it(tmp_path: Path) -> None:
    small_release(tmp_path, ONE)
    changed = small_release(tmp_path, f"{ONE}+0123abcd")
    small_release(tmp_path, TWO)
    assert find_release(tmp_path, ONE).name == "1" * 12
    assert find_release(tmp_path, "1" * 12).revision == ONE
    assert find_release(tmp_path, f"{ONE}+0123abcd") == changed
    assert find_release(tmp_path, TWO[:10]).revision == TWO
    with pytest.raises(ConfigurationError, match="Say which"):
        find_release(tmp_path, "1" * 8)
    for unknown in ("3" * 40, "111", "../1", "v1.0"):
        with pytest.raises(ConfigurationError, match="understudy releases build"):
            find_release(tmp_path, unknown)
    assert len(list_releases(tmp_path)) == 3
    assert list_releases(tmp_path / "nowhere") == []
    assert release_name("version-0.1.0") == "version-0.1.0"


def test_one_that_is_being_built_and_one_without_a_manifest_are_none(tmp_path: Path) -> None:
    release = small_release(tmp_path, ONE)
    release.path.rename(release.path.with_name(".111.building"))
    (tmp_path / "releases" / "222").mkdir()
    assert list_releases(tmp_path) == []
    (tmp_path / "releases" / "222" / "release.json").write_text('{"format": 99}')
    assert list_releases(tmp_path) == []
    with pytest.raises(ConfigurationError, match="format"):
        read_release(tmp_path / "releases" / "222")


def test_every_damage_is_named_and_compiled_modules_are_none(tmp_path: Path) -> None:
    release = small_release(tmp_path, ONE)
    note = release.site_packages / "understudy" / "note.txt"
    cache = note.parent / "__pycache__"
    cache.mkdir()
    (cache / "x.cpython-311.pyc").write_bytes(b"made by Python")
    assert damages(release) == []
    whole = note.read_bytes()
    note.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert damages(release) == [f"{note.relative_to(release.path)} was changed"]
    note.unlink()
    assert damages(release) == [f"{note.relative_to(release.path)} is missing"]
    note.write_bytes(whole)
    (note.parent / "planted.py").write_text("")
    assert damages(release) == [f"{note.relative_to(release.path).with_name('planted.py')} was added"]
    (note.parent / "planted.py").unlink()
    release.interpreter.unlink()
    assert "interpreter is gone" in damages(release)[0]
    (release.path / SUMS).write_text("")
    assert damages(release) == [f"{SUMS} was changed"]


def test_a_release_sees_its_own_code_and_no_other(tmp_path: Path) -> None:
    release = small_release(tmp_path, ONE)
    clean = release.environment({"PATH": "/bin", "PYTHONPATH": "/elsewhere", "PYTHONHOME": "/elsewhere"})
    assert clean == {"PATH": "/bin"}
    with pytest.raises(ProcessError, match="loads other code than its own"):
        try_imports(release.interpreter, release.path)  # this small one borrows the checkout's


def distribution_at(folder: Path, *requires: str) -> Distribution:
    info = folder / "thing-1.0.dist-info"
    info.mkdir(parents=True)
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n{lines}")
    return Distribution.at(info)


def test_what_is_needed_comes_with_what_that_needs_and_extras_only_where_they_are(tmp_path: Path) -> None:
    found = needed_by(
        distribution_at(
            tmp_path,
            "aiohttp>=3",
            "no-such-thing; sys_platform == 'nowhere'",
            "no-such-thing; extra == 'local'",
            "av; extra == 'codecs'",
        )
    )
    assert {"aiohttp", "yarl", "multidict", "idna", "av"} <= found.keys()
    assert "pytest" not in found
    assert "no-such-thing" not in found


def test_what_is_missing_or_does_not_fit_is_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        needed_by(distribution_at(tmp_path, "no-such-thing", "aiohttp>=999"))
    assert "no-such-thing, which is not installed" in caught.value.message
    assert "aiohttp>=999; 3." in caught.value.message


def test_files_are_linked_and_an_upgrade_of_the_original_does_not_reach_them(tmp_path: Path) -> None:
    original = tmp_path / "site"
    dist = distribution_at(original)
    (original / "thing.py").write_text("one = 1\n")
    record = "thing.py,,\nthing-1.0.dist-info/METADATA,,\n../../bin/thing,,\n/etc/passwd,,\ngone.py,,\n"
    (original / "thing-1.0.dist-info" / "RECORD").write_text(record)
    target = tmp_path / "release"
    link_into(target, {"thing": dist})
    linked = target / "thing.py"
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == ["METADATA", "thing.py"]
    assert linked.samefile(original / "thing.py")
    (original / "thing.py").unlink()
    (original / "thing.py").write_text("two = 2\n")
    assert linked.read_text() == "one = 1\n"
    (original / "thing-1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(ConfigurationError, match="virtual environment"):
        link_into(target, {"thing": dist})


def test_the_kept_environment_is_private_and_refused_once_it_was_changed(tmp_path: Path) -> None:
    text = b"# by hand\nTTS_PROVIDER_MODE=modal\nJWT_SECRET='0123456789-0123456789-0123456789'\n"
    path = keep_environment(tmp_path, 3, text)
    assert path == kept_environment_file(tmp_path, 3)
    assert path.stat().st_mode & 0o777 == 0o600
    values = {"TTS_PROVIDER_MODE": "modal", "JWT_SECRET": "0123456789-0123456789-0123456789"}
    assert environment_of_record(tmp_path, 3, environment_digest(values)) == values
    path.write_bytes(text.replace(b"modal", b"qwen"))
    with pytest.raises(ConfigurationError, match="it was changed since"):
        environment_of_record(tmp_path, 3, environment_digest(values))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        environment_of_record(tmp_path, 4, environment_digest(values))


def test_a_ready_file_names_the_instance_and_the_code() -> None:
    assert ready_text("abc", ONE) == f"abc\n{ONE}\n"
    assert ready_text("abc", None) == "abc\n"
