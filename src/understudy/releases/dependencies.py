"""What a distribution needs of those installed here, and putting that into a release without any network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from understudy.errors import ConfigurationError

#: Parts that a machine may have or not; what is here goes along.
OPTIONAL = ("local", "codecs", "otel")


def needed_by(root: Distribution) -> dict[str, Distribution]:
    """Return the installed distributions that ``root`` needs, by name, with all that those need.

    Raises
    ------
    ConfigurationError
        One is missing, or is installed in a version that does not fit: names each.
    """
    found: dict[str, Distribution] = {}
    problems: list[str] = []
    seen: set[tuple[str, frozenset[str]]] = set()

    def walk(dist: Distribution, extras: frozenset[str], *, by: str) -> None:
        for requirement in _required(dist, extras):
            name = canonicalize_name(requirement.name)
            wanted = frozenset(requirement.extras)
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            try:
                installed = distribution(requirement.name)
            except PackageNotFoundError:
                problems.append(f"{by} needs {requirement.name}, which is not installed")
                continue
            if not requirement.specifier.contains(installed.version, prereleases=True):
                problems.append(
                    f"{by} needs {requirement.name}{requirement.specifier}; {installed.version} is installed"
                )
            found[name] = installed
            walk(installed, wanted, by=requirement.name)

    walk(root, frozenset(), by="understudy")
    for extra in OPTIONAL:
        if _all_installed(root, extra):
            walk(root, frozenset({extra}), by=f"understudy[{extra}]")
    if problems:
        raise ConfigurationError(
            f"This Python lacks what the revision needs: {'; '.join(problems)}. Install that, then try again."
        )
    return found


def link_into(folder: Path, distributions: Mapping[str, Distribution]) -> None:
    """Put the files of ``distributions`` into ``folder``: hard links where the file system allows it.

    An upgrade writes new files and leaves linked ones as they are.

    Raises
    ------
    ConfigurationError
        A distribution does not list its files.
    """
    for name, dist in distributions.items():
        if dist.files is None:
            raise ConfigurationError(
                f"{name} does not list its files (the system's package manager installed it). Install "
                f"understudy into a virtual environment."
            )
        base = Path(str(dist.locate_file("")))
        link_files(base, (file.as_posix() for file in dist.files), folder)


def link_files(base: Path, names: Iterable[str], folder: Path) -> None:
    """Put the files ``names`` below ``base`` into ``folder``; scripts, which lie outside, stay away."""
    made: set[Path] = set()
    for name in names:
        source = base / name
        if ".." in name.split("/") or name.startswith("/") or not source.is_file():
            continue
        target = folder / name
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        _link(source, target)


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, another owner, too many links
        shutil.copy2(source, target)


def _required(dist: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """Return the requirements in force: those that hold always, and those of ``extras``."""
    chosen = extras or {""}
    parsed = [Requirement(text) for text in dist.requires or ()]
    return [
        requirement
        for requirement in parsed
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in chosen)
    ]


def _all_installed(root: Distribution, extra: str) -> bool:
    for requirement in _required(root, frozenset({extra})):
        try:
            distribution(requirement.name)
        except PackageNotFoundError:
            return False
    return True
