"""This repository's present files as a git repository of their own, for a test to commit to and break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@understudy.invalid", "-c", "commit.gpgsign=false")
#: What runs and what a wheel is made of; tests, benchmarks and pages stay away.
_PARTS = (
    "src",
    "migrations",
    "playbooks",
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
    ".gitignore",
)


def git(folder: Path, *arguments: str) -> str:
    """Run git in ``folder``; its answer without the last line end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ("git", *_IDENTITY, *arguments), cwd=folder, env=own, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(folder: Path, message: str) -> str:
    """Commit everything in ``folder``; the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def copy_of_this_repository(folder: Path) -> str:
    """Make ``folder`` a repository of the files as they are now, committed or not; its first commit."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "--", *_PARTS)
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    git(folder, "init", "--quiet", "--initial-branch=main")
    return commit_all(folder, "first")


def command_of(folder: Path, *arguments: str) -> list[str]:
    """The command line of ``understudy``; with :func:`environment_of` it runs the code in ``folder``."""
    return [sys.executable, "-P", "-m", "understudy.cli.app", *arguments]


def environment_of(folder: Path) -> dict[str, str]:
    """This process's environment without settings, with the code of ``folder`` before what is installed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNDERSTUDY_", "TTS_", "GIT_"))
    }
    return kept | {"PYTHONPATH": str(folder / "src")}
