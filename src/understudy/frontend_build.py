"""The frontend's sources by digest, their build with npm, and what is written beside it.

Nothing but the standard library is used: `make frontend` runs this file before there is a ``.venv``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

#: A build without this file serves, but nothing says what it was made of.
BUILD_FILE: Final = "build.json"
PAGES: Final = ("studio.html", "operations.html")
NODE_WANTED: Final = "Node 20.19 or newer of 20, or 22.12 or newer"
#: On two cores the whole of it takes under a minute; a registry that is slow may take the rest.
INSTALL_WITHIN_S: Final = 600.0
BUILD_WITHIN_S: Final = 300.0
#: Who asked for the service, and not for its pages, waits no longer for a registry.
SOFT_INSTALL_WITHIN_S: Final = 180.0

INSTALL: Final = ("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
_MADE_FOLDERS: Final = frozenset(
    {"node_modules", "dist", "coverage", "playwright-report", "test-results", "__pycache__"}
)
_MADE_NAMES: Final = frozenset({"schema.d.ts", "Thumbs.db"})
_MADE_ENDINGS: Final = (".tsbuildinfo", ".local", ".log", ".new", "~", ".swp")
#: The two hidden names that decide what is built.
_HIDDEN_SOURCES: Final = frozenset({".npmrc", ".nvmrc"})
#: Below it the headers of a gzip answer cost what it saves.
_WORTH_PACKING_BYTES: Final = 1024
_PACKED_ENDINGS: Final = frozenset({".css", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".wasm"})
_LINES_TOLD: Final = 25
#: Colours, which some tools give whatever they are told.
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
#: What npm may be told from outside: where it finds things, never a setting of the service.
_KEPT_VARIABLES: Final = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"}
)


class FrontendBuildError(Exception):
    """The frontend cannot be built here; the text says why, in a sentence."""


class BuildState(StrEnum):
    """What lies in ``dist``."""

    BUILT = "built"
    #: Of other sources than lie here now, or of sources that nothing names.
    STALE = "stale"
    ABSENT = "absent"


def sources_digest(folder: Path) -> str:
    """SHA-256 over the path and the content of every source file below ``folder``, sorted by path.

    What is made from them is left out: dependencies, builds, generated types, hidden files.
    """
    told = hashlib.sha256()
    for name in sorted(_sources(folder)):
        content = (folder / name).read_bytes()
        told.update(f"{name}\0{len(content)}\0".encode() + hashlib.sha256(content).digest())
    return told.hexdigest()


def built_from(dist: Path) -> str | None:
    """Return the digest of the sources that ``dist`` was built from; None where it does not say."""
    try:
        said = json.loads((dist / BUILD_FILE).read_text("utf-8"))["source_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said, str) and said else None


def is_built(dist: Path) -> bool:
    """Whether ``dist`` holds every page."""
    return all((dist / page).is_file() for page in PAGES)


def build_state(folder: Path) -> BuildState:
    """Return whether ``folder / "dist"`` is a build of the sources in ``folder``."""
    dist = folder / "dist"
    if not is_built(dist):
        return BuildState.ABSENT
    return BuildState.BUILT if built_from(dist) == sources_digest(folder) else BuildState.STALE


def build(
    folder: Path, *, install_within_s: float = INSTALL_WITHIN_S, within_s: float = BUILD_WITHIN_S
) -> None:
    """Install the locked dependencies where they are others, and build ``folder / "dist"`` anew.

    What is served from there meanwhile stays until the new one is whole.

    Raises
    ------
    FrontendBuildError
        Node is missing or too old, or a step failed.
    """
    install(folder, within_s=install_within_s)
    try:
        with tempfile.TemporaryDirectory(prefix=".dist-", dir=folder) as place:
            fresh = Path(place, "dist")
            _run(
                ("npm", "run", "build", "--", "--outDir", str(fresh.resolve()), "--emptyOutDir"),
                folder,
                within_s,
            )
            finish_build(folder, fresh)
            replaced, dist = Path(place, "replaced"), folder / "dist"
            with suppress(FileNotFoundError):
                dist.rename(replaced)
            fresh.rename(dist)
    except OSError as error:
        raise FrontendBuildError(f"The frontend in {folder} cannot be built: {error}.") from error


def install(folder: Path, *, within_s: float = INSTALL_WITHIN_S) -> None:
    """Install what ``package-lock.json`` names, unless it is there already; raises as :func:`build`."""
    problem = node_problem()
    if problem is not None:
        raise FrontendBuildError(problem)
    try:
        if not is_installed(folder):
            _run(INSTALL, folder, within_s)
    except OSError as error:
        raise FrontendBuildError(f"The dependencies of {folder} cannot be installed: {error}.") from error


def is_installed(folder: Path) -> bool:
    """Whether ``folder / "node_modules"`` holds what ``package-lock.json`` names, by npm's own record of it.

    What is optional, such as a program for another platform, may be missing.
    """
    wanted = _packages(folder / "package-lock.json")
    present = _packages(folder / "node_modules" / ".package-lock.json")
    wanted.pop("", None)
    missing = [name for name in wanted.keys() - present.keys() if not wanted[name].get("optional")]
    if not present or missing or present.keys() - wanted.keys():
        return False
    return all(entry.get("version") == wanted[name].get("version") for name, entry in present.items())


def _packages(lock: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads(lock.read_text("utf-8"))["packages"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def node_problem() -> str | None:
    """Return why this machine cannot build, and how to mend it; None where it can."""
    how = (
        f"Get {NODE_WANTED} from nodejs.org, your distribution or a version manager (it brings npm), and run "
        f"`make frontend` again."
    )
    if shutil.which("npm") is None or shutil.which("node") is None:
        return f"Building the studio and the operations console needs Node, which is not here. {how}"
    try:
        told = subprocess.run(("node", "--version"), capture_output=True, text=True, timeout=20, check=True)
        major, minor = (int(part) for part in told.stdout.strip().removeprefix("v").split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"`node --version` gave no version ({type(error).__name__}). {how}"
    if (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22:
        return None
    return (
        f"Building the studio and the operations console needs {NODE_WANTED}; here is {major}.{minor}. {how}"
    )


def finish_build(folder: Path, dist: Path) -> None:
    """Complete a fresh build of ``folder``: packed copies of its text files, then what it was made of.

    Raises
    ------
    FrontendBuildError
        A page is missing.
    """
    for page in PAGES:
        if not (dist / page).is_file():
            raise FrontendBuildError(f"The build made no {page}.")
    for path in sorted(dist.rglob("*")):
        if path.suffix in _PACKED_ENDINGS and path.name != BUILD_FILE and path.is_file():
            _pack(path)
    document = {"source_sha256": sources_digest(folder), "version": _version(folder)}
    (dist / BUILD_FILE).write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _run(command: Sequence[str], folder: Path, within_s: float) -> None:
    own = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT_VARIABLES or name.lower().startswith("npm_config_")
    }
    with subprocess.Popen(
        command,
        cwd=folder,
        env=own | {"CI": "true", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(timeout=within_s)
        except BaseException as error:
            # What npm started holds the pipe open, and would outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                called = " ".join(command[:3])
                raise FrontendBuildError(f"`{called}` did not end within {within_s:g} s.") from None
            raise
    if process.returncode != 0:
        lines = [line for line in _ESCAPES.sub("", out).splitlines() if not line.lstrip().startswith("at ")]
        said = "\n".join(lines[-_LINES_TOLD:]).strip() or "it gave no reason"
        raise FrontendBuildError(f"`{' '.join(command[:3])}` failed: {said}")


def _sources(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _MADE_FOLDERS and not name.startswith(".")]
        for name in names:
            hidden = name.startswith(".") and name not in _HIDDEN_SOURCES
            path = Path(place, name)
            if hidden or name in _MADE_NAMES or name.endswith(_MADE_ENDINGS) or not path.is_file():
                continue
            yield path.relative_to(folder).as_posix()


def _pack(path: Path) -> None:
    packed = path.with_name(f"{path.name}.gz")
    content = path.read_bytes()
    # The same content gives the same bytes: no time, no name.
    smaller = gzip.compress(content, compresslevel=9, mtime=0)
    if len(content) < _WORTH_PACKING_BYTES or len(smaller) >= len(content):
        packed.unlink(missing_ok=True)
        return
    packed.write_bytes(smaller)


def _version(folder: Path) -> str:
    """The service's version, as ``pyproject.toml`` beside ``folder`` has it; empty where there is none."""
    try:
        with (folder.resolve().parent / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except (OSError, ValueError, KeyError):
        return ""


_EXIT_CODES: Final = {BuildState.BUILT: 0, BuildState.STALE: 1, BuildState.ABSENT: 2}


def main(arguments: list[str]) -> int:
    """Run one command.

    ``state FOLDER``
        Exit code 0 built, 1 stale, 2 absent.
    ``digest FOLDER``
        Of the sources.
    ``install FOLDER``
        The dependencies, where they are others than the lock names.
    ``build FOLDER [--softly]``
        Nothing where it is built of these sources already. With ``--softly`` what hinders it is told, and
        the exit code is 0 all the same.
    """
    match arguments:
        case ["state", folder]:
            state = build_state(Path(folder))
            sys.stdout.write(f"{state}\n")
            return _EXIT_CODES[state]
        case ["digest", folder]:
            sys.stdout.write(f"{sources_digest(Path(folder))}\n")
            return 0
        case ["install", folder]:
            return _install_told(Path(folder))
        case ["build", folder, *more] if more in ([], ["--softly"]):
            return _build_told(Path(folder), softly=bool(more))
    sys.stderr.write("usage: frontend_build.py state|digest|install|build FOLDER [--softly]\n")
    return 64


def _install_told(folder: Path) -> int:
    try:
        install(folder)
    except FrontendBuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _build_told(folder: Path, *, softly: bool) -> int:
    state = build_state(folder)
    if state is BuildState.BUILT:
        return 0
    if softly and not (folder / "package.json").is_file():
        return 0
    began_s = time.monotonic()
    if node_problem() is None:
        sys.stderr.write("building the studio and the operations console, once for these sources\n")
    try:
        build(folder, install_within_s=SOFT_INSTALL_WITHIN_S if softly else INSTALL_WITHIN_S)
    except FrontendBuildError as error:
        without = {
            BuildState.STALE: "The older build that is there is served.",
            BuildState.ABSENT: "The service runs without these pages.",
        }
        sys.stderr.write(f"{error}\n" + (f"{without[state]}\n" if softly else ""))
        return 0 if softly else 1
    sys.stderr.write(f"built in {time.monotonic() - began_s:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
