"""Rules of the repository that no linter has: run by ``make check``, prints each breach and fails.

Files stay under 500 lines; SQL lives in the store; no machine path and no registry host is named, and no lock
says where a package was fetched from.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_LINES = 500
_S = r"[ \t]+"
SQL = re.compile(
    rf"""["' \t](select{_S}.+?{_S}from|insert{_S}into|update{_S}\w[\w.]*{_S}set|delete{_S}from)[ \t]""",
    re.IGNORECASE,
)
REGISTRY = re.compile(r"https?://[a-z0-9.-]*(pypi|pythonhosted|npmjs|debian)\.(org|com)")
MACHINE_PATH = re.compile(r"(^|[^a-z.])/(work|farm)/")
RESOLVED = re.compile(r'"resolved":\s*"https?:')
_READ_FOR_PLACES = (
    *(".py", ".md", ".yaml", ".toml", ".txt", ".sql", ".json", ".in", ""),
    *(".ts", ".tsx", ".js", ".mjs", ".css", ".html", ".svg"),
)
UNFINISHED = re.compile(r"NotImplementedError|\b(TODO|FIXME|XXX)\b")


def tracked(*suffixes: str) -> Iterator[Path]:
    """Files git knows or would add, with one of ``suffixes``."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        path = ROOT / name
        if path.suffix in suffixes and path.is_file() and path != Path(__file__):
            yield path


def breaches() -> Iterator[str]:
    """Each breach as one line a person can act on."""
    for path in tracked(".py", ".ts", ".tsx", ".sql", ".css"):
        name, text = path.relative_to(ROOT), path.read_text()
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield f"{name}: {lines} lines; split it by noun (at most {MAX_LINES})"
        if path.is_relative_to(ROOT / "src") and not path.is_relative_to(ROOT / "src/understudy/store"):
            for found in SQL.finditer(text):
                yield f"{name}: SQL outside the store: {found.group(0).strip()[:60]}"
        if path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "frontend/src"):
            for found in UNFINISHED.finditer(text):
                yield f"{name}: unfinished: {found.group(0)}"
    for path in tracked(*_READ_FOR_PLACES):
        name, text = path.relative_to(ROOT), path.read_text(errors="replace")
        if path.name == "package-lock.json" and RESOLVED.search(text):
            yield f"{name}: says where packages come from: .npmrc wants omit-lockfile-registry-resolved=true"
        if REGISTRY.search(text):
            yield f"{name}: names a package registry's host"
        if MACHINE_PATH.search(text):
            yield f"{name}: names a path of one machine"


if __name__ == "__main__":
    found = list(breaches())
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.exit(1 if found else 0)
