"""A built release on disk: its own interpreter, our package, its dependencies, and the sums of all of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError
from understudy.releases.checkout import CHANGED_MARK
from understudy.releases.pages import read_pages

MANIFEST = "release.json"
SUMS = "files.sha256"
RELEASES = "releases"
_FORMAT = 1
_COMMIT = re.compile(r"[0-9a-f]{40}(?:\+[0-9a-f]{8})?\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,79}\Z")


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Parameters
    ----------
    name
        Name of its folder: see :func:`release_name`.
    revision
        The commit; with a digest behind a ``+`` where it was built with changes; a version where an installed
        wheel names no commit.
    tag
        The tag that named the commit when it was built.
    wheel_sha256
        Of the wheel it was built from; None for one made of an installed distribution.
    sums_sha256
        Of :data:`SUMS`, which lists every file.
    dependencies
        Versions by name of all that lies beside our package.
    tells_revision
        Whether its processes say themselves which revision they are; code from before releases does not.
    """

    path: Path
    name: str
    revision: str
    tag: str | None
    version: str
    wheel: str | None
    wheel_sha256: str | None
    sums_sha256: str
    python: str
    built_at: str
    tells_revision: bool
    dependencies: Mapping[str, str] = field(hash=False)

    @property
    def interpreter(self) -> Path:
        """Its own Python: it sees this release's packages and no others."""
        return self.path / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Folder of our package and its dependencies."""
        return site_packages(self.path, self.python)

    @property
    def migrations_dir(self) -> Path:
        """The migrations that its code needs."""
        return self.site_packages / "understudy" / "migrations"

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line of its ``understudy`` with ``arguments``."""
        return (str(self.interpreter), "-P", "-m", "understudy.cli.app", *arguments)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` without what would put other code before the release's own."""
        return {name: value for name, value in base.items() if not name.startswith("PYTHON")}

    def document(self) -> dict[str, Any]:
        """Return what the known-good record keeps of it."""
        pages = read_pages(self.path)
        return {
            "pages": pages.document() if pages is not None else None,
            "name": self.name,
            "revision": self.revision,
            "tag": self.tag,
            "wheel_sha256": self.wheel_sha256,
            "sums_sha256": self.sums_sha256,
            "path": str(self.path),
            "dependencies": dict(self.dependencies),
        }

    def write(self) -> None:
        """Write its manifest."""
        document = {**asdict(self), "format": _FORMAT}
        del document["path"], document["name"]
        (self.path / MANIFEST).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")


def site_packages(path: Path, python: str) -> Path:
    """Return where packages lie in the release at ``path``, for Python ``python`` (such as ``3.12``)."""
    return path / "lib" / f"python{python}" / "site-packages"


def releases_dir(home: Path) -> Path:
    """Return the folder of all releases of a home."""
    return home / RELEASES


def release_name(revision: str) -> str:
    """Return the name of a revision's folder: twelve digits of its commit, and what marks changes on top."""
    if not _COMMIT.match(revision):
        return re.sub(r"[^A-Za-z0-9.+_-]", "-", revision)[:80]
    commit, mark, changed = revision.partition(CHANGED_MARK)
    return f"{commit[:12]}{mark}{changed}"


def read_release(path: Path) -> Release:
    """Read the release in the folder ``path``.

    Raises
    ------
    ConfigurationError
        There is none, or its manifest is not whole.
    """
    try:
        document = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if document.pop("format") != _FORMAT:
            raise ConfigurationError(f"{path / MANIFEST} is of a format that this version does not know.")
        return Release(path=path, name=path.name, **document)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no release {path.name} in {path.parent}. Build it: understudy releases build"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path / MANIFEST} cannot be read ({type(error).__name__}).") from None


def find_release(home: Path, revision: str) -> Release:
    """Return the release of ``revision``: its name, a whole commit, or the first seven or more digits of one.

    Raises
    ------
    ConfigurationError
        There is none, or several begin so.
    """
    folder = releases_dir(home)
    exact = folder / release_name(revision)
    if _NAME.match(exact.name) and (exact / MANIFEST).is_file():
        return read_release(exact)
    begun = [
        release
        for release in list_releases(home)
        if len(revision) >= 7 and release.revision.startswith(revision)
    ]
    if len(begun) > 1:
        raise ConfigurationError(
            f"{revision} is the beginning of {' and '.join(release.name for release in begun)}. Say which."
        )
    return begun[0] if begun else read_release(exact)


def list_releases(home: Path) -> list[Release]:
    """Return the whole releases of a home, newest first; one that is being built is none yet."""
    found = []
    for manifest in releases_dir(home).glob(f"[!.]*/{MANIFEST}"):
        try:
            found.append(read_release(manifest.parent))
        except ConfigurationError:
            continue
    return sorted(found, key=lambda release: release.built_at, reverse=True)


def seal(path: Path) -> str:
    """Write the SHA-256 of every file (``sha256sum -c files.sha256`` reads it); return that file's own.

    Compiled modules are left out: Python makes them anew when it likes.
    """
    lines = [f"{_digest(path / name)}  {name}\n" for name in _sealed(path)]
    (path / SUMS).write_text("".join(lines), encoding="utf-8")
    return _digest(path / SUMS)


def damages(release: Release) -> list[str]:
    """Return what is not as it was built, in words; empty when every file is."""
    try:
        listed = (release.path / SUMS).read_text(encoding="utf-8")
        if hashlib.sha256(listed.encode()).hexdigest() != release.sums_sha256:
            return [f"{SUMS} was changed"]
    except (OSError, UnicodeDecodeError):
        return [f"{SUMS} is missing"]
    wrong = []
    for line in listed.splitlines():
        wanted, _, name = line.partition("  ")
        try:
            if _digest(release.path / name) != wanted:
                wrong.append(f"{name} was changed")
        except OSError:
            wrong.append(f"{name} is missing")
    added = set(_sealed(release.path)) - {line.partition("  ")[2] for line in listed.splitlines()}
    wrong += [f"{name} was added" for name in sorted(added)]
    if shutil.which(str(release.interpreter)) is None:
        wrong.append("its interpreter is gone: the Python that it was built with was removed")
    return wrong


def _sealed(path: Path) -> list[str]:
    folders = (path / "lib", path / "wheel")
    return sorted(
        file.relative_to(path).as_posix()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
