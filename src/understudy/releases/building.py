"""Builds a release: revision to wheel, wheel and installed dependencies into a folder, tried, sealed, placed.

Nothing is fetched and nothing is installed, but what npm wants for the pages when a person asks for that. The
checkout and the environment that it is built from stay as they are, and may be gone when it is needed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from understudy.clock import Clock
from understudy.errors import ConfigurationError, ProcessError
from understudy.frontend_build import is_built
from understudy.releases.checkout import CHANGED_MARK, Checkout
from understudy.releases.dependencies import link_files, link_into, needed_by
from understudy.releases.identity import PACKAGE, REVISION_FILE, revision_in
from understudy.releases.pages import add_pages, write_pages
from understudy.releases.release import Release, damages, read_release, release_name, seal, site_packages
from understudy.releases.trial import try_imports
from understudy.resources import frontend_dir

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_BUILD_TIMEOUT_S = 120.0
_LAUNCHER = '#!/bin/sh\nexec "$(dirname "$0")/python" -P -m understudy.cli.app "$@"\n'


def build_release(
    checkout: Checkout, revision: str, folder: Path, clock: Clock, *, with_npm: bool = False
) -> Release:
    """Build ``revision`` of ``checkout`` into ``folder``; one that is there and whole is left alone.

    Its pages are copied from a build of the same frontend sources, of the checkout's or of another release's.

    Parameters
    ----------
    revision
        As :meth:`Checkout.revision` gives it.
    folder
        Of all releases: ``home/releases``.
    with_npm
        Build the pages with npm where no such build is there. Without them the release is whole as well.

    Raises
    ------
    ConfigurationError
        The revision is not there, needs what is not installed, or the folder cannot be written.
    ProcessError
        It does not build, or what was built does not start.
    """
    present = _whole(folder / release_name(revision))
    if present is not None:
        return present
    if importlib.util.find_spec("hatchling") is None:
        raise ConfigurationError(
            "A release is built with hatchling, which is not installed: pip install 'understudy[build]'"
        )
    commit = revision.partition(CHANGED_MARK)[0]
    with _staging(folder, release_name(revision)) as staging, tempfile.TemporaryDirectory() as place:
        source = Path(place)
        checkout.export(revision, source)
        package = source / "src" / "understudy"
        if not package.is_dir():
            raise ConfigurationError(f"Revision {revision[:12]} holds no understudy.")
        (package / REVISION_FILE).write_text(json.dumps({"revision": revision}) + "\n", "utf-8")
        wheel = _build_wheel(source, staging / "wheel", checkout.committed_at(commit) or 0)
        site = site_packages(staging, _PYTHON)
        with zipfile.ZipFile(wheel) as files:
            files.extractall(site)
        # Beside the wheel, not in it: the same commit gives the same wheel, with npm or without.
        pages = add_pages(source, site / "understudy", builds=_builds(checkout, folder), with_npm=with_npm)
        write_pages(staging, pages)
        return _finish(staging, revision, checkout.tag_of(commit), wheel, clock)


def release_of_installation(folder: Path, clock: Clock) -> Release:
    """Make a release of the installed wheel that this process runs: its own files, and its dependencies.

    Raises
    ------
    ConfigurationError
        This process runs no installed wheel, or the folder cannot be written.
    ProcessError
        What was made does not start.
    """
    try:
        dist = distribution("understudy")
    except PackageNotFoundError:
        dist = None
    base = Path(str(dist.locate_file(""))).resolve() if dist is not None else None
    if dist is None or base != PACKAGE.parent or dist.files is None:
        raise ConfigurationError(
            f"The code in {PACKAGE.parent} is neither a git checkout nor an installed wheel, so nothing says "
            f"which revision it is. Install a wheel, or run it from a checkout."
        )
    own = Path(sys.prefix)
    if own.parent == folder and _whole(own) is not None:
        return read_release(own)
    revision = revision_in(PACKAGE / REVISION_FILE) or f"version-{dist.version}"
    present = _whole(folder / release_name(revision))
    if present is not None:
        return present
    with _staging(folder, release_name(revision)) as staging:
        link_files(base, (file.as_posix() for file in dist.files), site_packages(staging, _PYTHON))
        return _finish(staging, revision, None, None, clock)


def _whole(path: Path) -> Release | None:
    try:
        release = read_release(path)
    except ConfigurationError:
        return None
    return None if damages(release) else release


def _builds(checkout: Checkout, folder: Path) -> Iterator[Path]:
    """Where a build of the pages may lie: the checkout's, what this process serves, every whole release's."""
    yield checkout.root / "frontend" / "dist"
    yield frontend_dir()
    for path in folder.glob("[!.]*"):
        place = site_packages(path, _PYTHON) / "understudy" / "frontend"
        # A damaged one must not pass its damage on.
        if is_built(place) and _whole(path) is not None:
            yield place


@contextmanager
def _staging(folder: Path, name: str) -> Iterator[Path]:
    """A folder beside the others in which a release is made; gone unless it was moved to its place."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"No release can be written to {folder}: {error.strerror or error}."
        ) from error


def _build_wheel(source: Path, into: Path, committed_at: int) -> Path:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # The same commit gives the same bytes, whenever it is built.
    environment = {**kept, "SOURCE_DATE_EPOCH": str(max(committed_at, 315532800))}
    command = (sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(into))
    try:
        done = subprocess.run(
            command,
            cwd=source,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessError(f"The wheel could not be built: {error}.") from None
    wheels = list(into.glob("*.whl")) if into.is_dir() else []
    if done.returncode != 0 or len(wheels) != 1:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["hatchling gave no reason"]
        raise ProcessError(f"The wheel could not be built: {said[-1]}.")
    return wheels[0]


def _finish(staging: Path, revision: str, tag: str | None, wheel: Path | None, clock: Clock) -> Release:
    """Add dependencies and interpreter, try it, seal it, and move it to its place in one step."""
    site = site_packages(staging, _PYTHON)
    (info,) = site.glob("understudy-*.dist-info")
    ours = Distribution.at(info)
    needed = needed_by(ours)
    link_into(site, needed)
    _add_interpreter(staging)
    try_imports(staging / "bin" / "python", staging)
    release = Release(
        path=staging,
        name=release_name(revision),
        revision=revision,
        tag=tag,
        version=ours.version,
        wheel=wheel.name if wheel else None,
        wheel_sha256=sha256(wheel.read_bytes()).hexdigest() if wheel else None,
        sums_sha256=seal(staging),
        python=_PYTHON,
        built_at=clock.now().isoformat(),
        tells_revision=(site / "understudy" / "releases" / "identity.py").is_file(),
        dependencies={name: dist.version for name, dist in sorted(needed.items())},
    )
    release.write()
    place = staging.parent / release.name
    present = _whole(place)
    if present is not None:  # another build was faster
        return present
    if place.exists():  # damaged: processes that run from it keep what they have opened
        shutil.rmtree(place)
    staging.rename(place)
    return read_release(place)


def _add_interpreter(staging: Path) -> None:
    """As a virtual environment does: a link to this machine's Python, which then finds its packages here."""
    base = Path(os.path.realpath(sys.executable))
    (staging / "bin").mkdir()
    (staging / "bin" / "python").symlink_to(base)
    launcher = staging / "bin" / "understudy"
    launcher.write_text(_LAUNCHER, "utf-8")
    launcher.chmod(0o755)
    (staging / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {_PYTHON}\n", "utf-8"
    )
