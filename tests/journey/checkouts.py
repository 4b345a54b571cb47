"""Scratch repositories, this very working tree among them: a known-good tag, and a commit after it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOOD = "known-good"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
_DROPPED = ("UNDERSTUDY_", "DATABASE_URL", "MIGRATION_DATABASE_URL", "TTS_PROVIDER_MODE", "PYTEST_", "GIT_")


def variables(checkout: Path, **added: str) -> dict[str, str]:
    """What a person's shell has there: this Python's programs, running the checkout's code if it has any."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = checkout / "src" if (checkout / "src").is_dir() else ROOT / "src"
    quiet = {"NO_COLOR": "1", "npm_config_update_notifier": "false"}
    return {**kept, **_IDENTITY, **quiet, "PATH": path, "PYTHONPATH": str(source), **added}


def git(folder: Path, *arguments: str) -> str:
    """Run git there and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=variables(folder), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str, files: Mapping[str, str]) -> None:
    """Write ``files`` and commit everything."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A repository whose ``known-good`` tag and branch hold ``files``; ``rollout`` is one commit ahead."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=known-good-branch")
    commit(folder, "good", files)
    git(folder, "tag", GOOD)
    git(folder, "switch", "--quiet", "--create", "rollout")
    commit(folder, "bad", {"ROLLOUT": "broken\n"})
    return folder


def this_repository(folder: Path) -> Path:
    """This working tree, as it is now, in a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return repository(folder, {})
