"""What this machine remembers about a project: the API tells no value and knows no idempotency keys."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from understudy.errors import TargetError

#: Deployments and restores remembered; older ones belong to incidents long over.
_KEPT = 200
_SECTIONS = ("values", "deployments", "restores", "deployed")


class ProjectState:
    """``home/supabase/<ref>/state.json``, replaced atomically; no secret's value is ever in it.

    Sections: ``values`` (public names: value and the digest seen with it), ``deployments`` and ``restores``
    (by idempotency key), ``deployed`` (which commit the version in force came from).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "state.json"
        self.stopped_file = folder / "stopped.json"

    def section(self, name: str) -> dict[str, Any]:
        """One section as it is now."""
        found: dict[str, Any] = self._read()[name]
        return found

    def record(self, name: str, key: str, value: Any) -> None:
        """Set one entry of a section, durably, before this returns."""
        with self._locked():
            state = self._read()
            section = state[name]
            section.pop(key, None)
            section[key] = value
            while len(section) > _KEPT:
                del section[next(iter(section))]
            self._write(self._file, state)

    def stop(self, document: dict[str, Any]) -> None:
        """Refuse every further change until a person has looked."""
        with self._locked():
            self._write(self.stopped_file, document)

    def stopped(self) -> dict[str, Any] | None:
        """Why nothing may be changed, or None."""
        if not self.stopped_file.exists():
            return None
        try:
            document: dict[str, Any] = json.loads(self.stopped_file.read_text())
        except (OSError, ValueError):  # there, and that is what counts
            document = {}
        return document

    def go_on(self) -> None:
        """Allow changes again."""
        self.stopped_file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {name: {} for name in _SECTIONS}
        try:
            state = json.loads(self._file.read_text())
            return {name: dict(state.get(name) or {}) for name in _SECTIONS}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TargetError(
                f"{self._file} cannot be read ({type(error).__name__}). Move it aside: what was deployed and "
                f"set is then read from the project, as far as it tells."
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / "state.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TargetError(f"{self._folder} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        handle, name = -1, ""
        try:
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._folder)
            with os.fdopen(handle, "w") as stream:
                json.dump(document, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except OSError as error:
            if name:
                Path(name).unlink(missing_ok=True)
            raise TargetError(f"{path} cannot be written: {error.strerror}.") from error
