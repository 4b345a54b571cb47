"""The home directory of one machine's deployment: where each file lies, and who may use it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under ``UNDERSTUDY_HOME``; ``root`` is absolute."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        """The home at ``path``, made absolute so that children started elsewhere agree."""
        return cls(path.expanduser().resolve())

    @property
    def env_file(self) -> Path:
        """The durable environment file."""
        return self.root / "understudy.env"

    @property
    def postgres(self) -> Path:
        """Data of the embedded Postgres."""
        return self.root / "postgres"

    @property
    def objects(self) -> Path:
        """Stored audio."""
        return self.root / "objects"

    @property
    def guard(self) -> Path:
        """The guard's own store."""
        return self.root / "guard"

    @property
    def standins(self) -> Path:
        """What the stand-ins remember between starts."""
        return self.root / "standins"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.root / "logs"

    @property
    def reports(self) -> Path:
        """Incident reports."""
        return self.root / "reports"

    @property
    def run(self) -> Path:
        """Facts about the running processes."""
        return self.root / "run"

    @property
    def ready(self) -> Path:
        """Files by which each instance says that it is ready."""
        return self.run / "ready"

    @property
    def control_file(self) -> Path:
        """Address and token of the control socket; present while ``up`` runs."""
        return self.run / "control.json"

    @property
    def state_file(self) -> Path:
        """Addresses of everything; present while ``up`` runs."""
        return self.run / "state.json"

    @property
    def operator_token_file(self) -> Path:
        """The operator's bearer token for the guard's own port."""
        return self.run / "operator.token"

    @property
    def deployments_file(self) -> Path:
        """Every deployment asked for, so that asking again gets the same answer."""
        return self.run / "deployments.json"

    @property
    def release_file(self) -> Path:
        """The release that api and worker are started from; absent while that is this program's own code."""
        return self.run / "release.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one ``understudy up`` of this home."""
        return self.run / "up.lock"

    def create(self) -> None:
        """Make every folder, each 0700; those of an earlier run stay as they are.

        Raises
        ------
        ConfigurationError
            The home cannot be made or written.
        """
        folders = (self.objects, self.guard, self.standins, self.logs, self.reports, self.run, self.ready)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in folders:
                folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.run):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"The home {self.root} cannot be written: {error.strerror}. Choose a folder that this user "
                f"may write with --home, or set UNDERSTUDY_HOME."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this home for one ``understudy up``; the kernel lets go however the process ends.

        Raises
        ------
        ConfigurationError
            Another ``up`` runs here; names its process id.
        """
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise ConfigurationError(
                    f"`understudy up` already runs on {self.root} (process {holder}). Stop it with "
                    f"`kill {holder}`, or start this one with another --home."
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` atomically, readable by the owner alone."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def read_json(path: Path) -> Any:
    """The JSON document at ``path``, or ``None`` where there is none yet (absent, or not whole)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
