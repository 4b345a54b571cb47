"""Which release api and worker are started from; written down, so that a restarted ``up`` goes on with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import ConfigurationError
from understudy.processes.child import ChildSpec
from understudy.processes.home import Home, read_json, write_private
from understudy.processes.service import SpecOf
from understudy.releases.release import Release, read_release, releases_dir

#: Name of what is no release: the code of ``up`` itself.
OWN_CODE = "checkout"
ReleaseSpecOf = Callable[[UUID, Release | None], ChildSpec]


class ServingRelease:
    """The release in force on one home.

    Parameters
    ----------
    kinds
        How a process of each kind is started from a release, or from this program's own code.
    """

    def __init__(self, home: Home, kinds: Mapping[str, ReleaseSpecOf], *, clock: Clock) -> None:
        self._home = home
        self._kinds = kinds
        self._clock = clock
        self._current: Release | None = None

    @property
    def in_force(self) -> str:
        """Its name; :data:`OWN_CODE` where there is none."""
        return self._current.name if self._current is not None else OWN_CODE

    def load(self) -> None:
        """Take up what an earlier run put in force.

        Raises
        ------
        ConfigurationError
            That release is gone: starting other code without a word would be no restart.
        """
        kept = read_json(self._home.release_file)
        if not isinstance(kept, dict) or not isinstance(kept.get("name"), str):
            self._current = None
            return
        try:
            self._current = self._find(kept["name"])
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{self._home.release_file} names the release {kept['name']}, which cannot be started: "
                f"{error.message} To start this program's own code instead, remove that file."
            ) from None

    def check(self, name: str) -> None:
        """Raise :class:`ConfigurationError` unless processes can be started from release ``name``."""
        self._find(name)

    def spec_of(self, kind: str, name: str) -> SpecOf:
        """How a process of ``kind`` is started from release ``name``."""
        return partial(self._spec, kind, self._find(name))

    def spec_in_force(self, kind: str) -> SpecOf:
        """How a process of ``kind`` is started from whatever is in force when it is started."""
        return lambda instance: self._spec(kind, self._current, instance)

    def put_in_force(self, name: str) -> None:
        """Start every process from release ``name`` from now on; raises :class:`OSError`."""
        release = self._find(name)
        if release is None:
            self._home.release_file.unlink(missing_ok=True)
        else:
            kept = {"name": name, "revision": release.revision, "since": self._clock.now().isoformat()}
            write_private(self._home.release_file, json.dumps(kept))
        self._current = release

    def _spec(self, kind: str, release: Release | None, instance: UUID) -> ChildSpec:
        return self._kinds[kind](instance, release)

    def _find(self, name: str) -> Release | None:
        if name == OWN_CODE:
            return None
        if "/" in name or name.startswith("."):
            raise ConfigurationError(f"{name!r} is not the name of a release.")
        release = read_release(releases_dir(self._home.root) / name)
        if not release.interpreter.exists():
            raise ConfigurationError(
                f"The Python that release {name} was built with is gone. Build it again: understudy releases "
                f"build {release.revision[:12]}"
            )
        return release
