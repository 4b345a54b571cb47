"""What a released revision holds: its migrations are history, and only what came after is judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from understudy.errors import ConfigurationError
from understudy.releases.checkout import Checkout
from understudy.store.migrations import Migration, load_migrations


@dataclass(frozen=True, slots=True)
class Since:
    """The files of now against those of a released revision.

    Parameters
    ----------
    new
        Versions that the release does not have.
    problems
        Files of the release that are edited or gone now.
    """

    commit: str
    new: frozenset[str]
    problems: tuple[str, ...]


def checkout_of(folder: Path) -> Checkout:
    """Return the checkout that ``folder`` lies in; raises :class:`ConfigurationError` outside of one."""
    found = Checkout.containing(folder if folder.is_dir() else folder.parent)
    if found is None:
        raise ConfigurationError(f"{folder} lies in no git checkout, so --since cannot be asked.")
    return found


def export(checkout: Checkout, tag: str, folder: Path) -> str:
    """Write the files of ``tag`` into ``folder`` and return its commit.

    Raises
    ------
    ConfigurationError
        It names no commit here.
    """
    commit = checkout.commit(tag)
    if commit is None:
        raise ConfigurationError(
            f"{tag} names no commit in {checkout.root}. Fetch it: git fetch --all --tags"
        )
    checkout.export(commit, folder)
    return commit


def compare(files: list[Migration], released: Path, commit: str, tag: str) -> Since:
    """Compare the files of now with the migrations in ``released``."""
    then = {one.version: one for one in load_migrations(released)} if released.is_dir() else {}
    now = {one.version: one for one in files}
    gone = [f"{one.file_name} is in {tag} and not here: a released migration stays" for one in then.values()]
    edited = [
        f"{now[version].file_name} is not as {tag} has it: write a new migration for the change"
        for version, one in then.items()
        if version in now and now[version].sha256 != one.sha256
    ]
    newest = max(then, default="")
    late = [
        f"{one.file_name} is new, and older than the newest of {tag} ({newest}): give it a newer timestamp"
        for one in files
        if one.version not in then and one.version < newest
    ]
    missing = [told for told, version in zip(gone, then, strict=True) if version not in now]
    return Since(commit, frozenset(now.keys() - then.keys()), (*missing, *edited, *late))
