"""What git says of a checkout, asked of real repositories."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.scratch_repository import commit_all, git
from understudy.errors import ConfigurationError
from understudy.releases.checkout import Checkout

pytestmark = pytest.mark.integration


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "src" / "understudy").mkdir(parents=True)
    (folder / "src" / "understudy" / "__init__.py").write_text("one = 1\n")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "note.md").write_text("of no wheel\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "first")
    return folder


def checkout_at(folder: Path) -> Checkout:
    found = Checkout.at(folder)
    assert found is not None
    return found


def test_only_a_root_with_our_code_is_a_checkout(repository: Path, tmp_path: Path) -> None:
    assert Checkout.at(repository) == Checkout(repository.resolve())
    assert Checkout.at(repository / "src") is None
    assert Checkout.at(tmp_path) is None
    inside = Checkout.containing(repository / "src")
    assert inside is not None
    assert inside.root == repository.resolve()
    assert Checkout.containing(tmp_path / "absent") is None


def test_a_reference_names_a_commit_or_none(repository: Path) -> None:
    checkout, head = checkout_at(repository), git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "a note, so that the tag is an object of its own")
    for name in ("HEAD", "main", "v1", head, head[:9]):
        assert checkout.commit(name) == head
    for name in ("", "v2", "0" * 40, "--all"):
        assert checkout.commit(name) is None
    assert checkout.tag_of(head) == "v1"
    later = commit_all(repository, "second")
    assert checkout.tag_of(later) is None


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("src/understudy/__init__.py", True),
        ("note.md", True),
        ("src/understudy/new.py", True),
        ("migrations/20990101000000_x.sql", True),
        ("new.md", False),
        ("src/understudy/trace.log", False),
    ],
)
def test_what_counts_as_a_change(repository: Path, name: str, counts: bool) -> None:
    checkout, head = checkout_at(repository), git(repository, "rev-parse", "HEAD")
    assert (checkout.changes(), checkout.revision()) == ((), head)
    path = repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed\n")
    assert bool(checkout.changes()) is counts
    revision = checkout.revision()
    assert revision is not None
    assert (revision != head) is counts
    if counts:
        assert revision.startswith(f"{head}+")
        assert checkout.changes() == (name,)


def test_two_changes_on_one_commit_are_two_revisions(repository: Path) -> None:
    checkout, path = checkout_at(repository), repository / "src" / "understudy" / "__init__.py"
    revisions = set()
    for text in ("two = 2\n", "three = 3\n"):
        path.write_text(text)
        revisions.add(checkout.revision())
    assert len(revisions) == 2


def test_an_export_holds_the_commit_and_a_changed_one_only_while_it_is_there(
    repository: Path, tmp_path: Path
) -> None:
    checkout, path = checkout_at(repository), repository / "src" / "understudy" / "__init__.py"
    first = checkout.revision()
    assert first is not None
    path.write_text("two = 2\n")
    changed = checkout.revision()
    assert changed is not None

    def exported(revision: str, name: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        checkout.export(revision, folder)
        return (folder / "src" / "understudy" / "__init__.py").read_text()

    assert exported(first, "a") == "one = 1\n"
    assert exported(changed, "b") == "two = 2\n"
    path.write_text("one = 1\n")
    with pytest.raises(ConfigurationError, match="never committed"):
        exported(changed, "c")
    with pytest.raises(ConfigurationError, match="git fetch --all --tags"):
        exported("0" * 40, "d")


def test_fetching_brings_tags_and_a_remote_that_is_away_is_said(repository: Path, tmp_path: Path) -> None:
    assert checkout_at(repository).fetch(30) is None  # no remote: nothing to fetch
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(repository, "tag", "v1")
    later = commit_all(repository, "second")
    checkout = checkout_at(clone)
    assert (checkout.commit("v1"), checkout.commit(later)) == (None, None)
    assert checkout.fetch(30) is None
    assert checkout.commit("v1") is not None
    assert checkout.commit(later) == later
    shutil.rmtree(repository)
    assert "git fetch failed" in str(checkout.fetch(30))
    # A remote that never answers costs its time box and no more.
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nsleep 60\n")
    hangs.chmod(0o755)
    git(clone, "remote", "set-url", "origin", f"ext::{hangs}")
    git(clone, "config", "protocol.ext.allow", "always")
    began = time.monotonic()
    assert "did not end within 0.5 s" in str(checkout.fetch(0.5))
    assert time.monotonic() - began < 30


def test_variables_of_a_surrounding_git_do_not_lead_elsewhere(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert checkout_at(repository).revision() == head
