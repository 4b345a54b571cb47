"""One long command of a target, run once for its id, whoever dies meanwhile.

The guard may be killed while a deployment runs, so a process of the job's own runs the command and writes
what became of it. The lock says whether that process lives; the file says how far it came.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from understudy.errors import TargetError
from understudy.logs import Redactor

JOBS_DIR = Path("run") / "commands"
SECRET_NAMES_VARIABLE = "UNDERSTUDY_COMMAND_SECRETS"  # noqa: S105  # names, not values
_MODULE = "understudy.restoration.targets.command_job"
_TAIL_CHARS = 400


class JobState(StrEnum):
    """How far a job is."""

    BEGUN = "begun"
    """Written down; nothing has run."""
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It ran out of time or its process was killed: it may have done its work."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command and what became of it; no secret stands in it.

    Parameters
    ----------
    id
        Idempotency key of who ordered it.
    what
        ``redeploy``, ``deploy_revision`` or ``restore``.
    error
        Why it failed, with the end of what it printed.
    """

    id: str
    what: str
    argv: tuple[str, ...]
    directory: str
    timeout_s: int
    begun_at: str
    state: JobState = JobState.BEGUN
    ended_at: str | None = None
    error: str | None = None


class Jobs:
    """The jobs of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / JOBS_DIR

    def look(self, job_id: str) -> Job | None:
        """Return the job, or None when nothing of it has run: then beginning it again is safe."""
        job = _read(self._file(job_id))
        if job is None or job.state is not JobState.STARTED:
            return None if job is None or job.state is JobState.BEGUN else job
        with _lock(self._file(job_id), wait=False) as free:
            if not free:
                return job
            job = _read(self._file(job_id)) or job
        if job.state is not JobState.STARTED:
            return job
        return replace(job, state=JobState.UNKNOWN, error="the process that ran it was killed")

    def begin(self, job: Job, environment: Mapping[str, str]) -> None:
        """Start it in a process of its own; one that was ever started is left alone.

        Raises
        ------
        TargetError
            The home cannot be written.
        """
        file = self._file(job.id)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _lock(file, wait=True):
                known = _read(file)
                if known is not None and known.state is not JobState.BEGUN:
                    return
                _write(file, job)
            subprocess.run(  # it forks and leaves at once
                [sys.executable, "-P", "-m", _MODULE, str(file)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=True,
            )
        except OSError as error:
            raise TargetError(f"{job.what} could not be begun: {error.strerror} ({file}).") from error
        except subprocess.CalledProcessError as error:
            raise TargetError(
                f"{job.what} could not be begun: its process left with {error.returncode}."
            ) from error

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{sha256(job_id.encode()).hexdigest()[:24]}.json"


def run_job(file: Path) -> None:
    """Run the job of ``file`` unless it was started before; the process of its own ends here."""
    with _lock(file, wait=True):
        job = _read(file)
        if job is None or job.state is not JobState.BEGUN:
            return
        _write(file, replace(job, state=JobState.STARTED))
        state, error = _run(job, file.with_suffix(".log"))
        _write(file, replace(job, state=state, error=error, ended_at=datetime.now(UTC).isoformat()))


def _run(job: Job, log: Path) -> tuple[JobState, str | None]:
    names = filter(None, os.environ.get(SECRET_NAMES_VARIABLE, "").split(","))
    redact = Redactor([os.environ.get(name, "") for name in names])
    handle = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8", errors="replace") as stream:
        try:
            process = subprocess.Popen(
                job.argv,
                cwd=job.directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        except OSError as error:
            return JobState.FAILED, f"{job.argv[0]}: {error.strerror}"
        try:
            code = process.wait(job.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return JobState.UNKNOWN, f"it did not end within {job.timeout_s} s and was killed"
        stream.seek(0)
        said = redact(stream.read())
        stream.seek(0)
        stream.truncate()
        stream.write(said)
    if code == 0:
        return JobState.DONE, None
    return JobState.FAILED, f"exit code {code}: {said.strip()[-_TAIL_CHARS:] or 'it printed nothing'}"


def _read(file: Path) -> Job | None:
    try:
        document = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TargetError(f"{file} cannot be read ({error}); look at the deployment by hand.") from error
    return Job(**document | {"argv": tuple(document["argv"]), "state": JobState(document["state"])})


def _write(file: Path, job: Job) -> None:
    scratch = file.with_suffix(f".{os.getpid()}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(job)))
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(file)


@contextmanager
def _lock(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the job's lock; yields False where another process has it and nobody waits."""
    handle = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


if __name__ == "__main__":
    if os.fork() == 0:
        run_job(Path(sys.argv[1]))
