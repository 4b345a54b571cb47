"""Long work that an operator asks for: it runs beside the guard's looks, one of a kind, and ends with it.

The newest are kept in memory alone. What a job makes (a backup, a drill's row and report) is on disk, and who
asked for it is in the journal.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from understudy.clock import Clock
from understudy.errors import ConflictError, NotFoundError, UnderstudyError
from understudy.logs import Redactor, get_logger
from understudy.plain_text import plain_text
from understudy.restoration.incidents import person_named
from understudy.store.guard import GuardStore

JobKind = Literal["backup", "verify", "drill", "simulation"]
JobState = Literal["running", "done", "failed", "stopped"]
#: Jobs that are remembered, what each may say, and how long a line may be.
KEPT, KEPT_LINES, LINE_CHARS = 50, 200, 300
#: When the guard ends, jobs have so long to end by themselves, in seconds.
CLOSE_WITHIN_S = 3.0
#: Kinds of the journal's entries about jobs.
ASKED, STOPPED = "job", "job_stopped"

log = get_logger(__name__)


class JobFailedError(UnderstudyError):
    """A job that ended without success, with what it found out all the same."""

    code = "job_failed"

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


@dataclass(slots=True)
class Job:
    """One piece of work.

    Parameters
    ----------
    subject
        What it is about, such as a scenario; the same kind and subject is the same work.
    """

    id: str
    kind: JobKind
    subject: str | None
    asked_by: str
    reason: str
    started_at: datetime
    redactor: Redactor
    state: JobState = "running"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    result: Any = None
    error: str | None = None
    ended_at: datetime | None = None
    task: asyncio.Task[None] | None = None

    def say(self, line: str) -> None:
        """Tell how far it is; only the newest lines are kept."""
        words = self.clean(line)
        if words:
            self.lines.append(words if len(words) <= LINE_CHARS else f"{words[: LINE_CHARS - 1]}…")

    def clean(self, text: str) -> str:
        """Return it without secrets and without anything that a terminal obeys."""
        return plain_text(self.redactor(text)).strip()

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "id": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state,
            "said": list(self.lines),
            "result": self.result,
            "error": self.error,
            "asked_by": self.asked_by,
            "reason": self.reason,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


#: Does the work and returns its result as plain data; it is cancelled to stop it.
Work = Callable[[Job], Awaitable[Any]]


class Jobs:
    """What was asked of one guard since it started."""

    def __init__(self, store: GuardStore, clock: Clock, redactor: Redactor) -> None:
        self._store = store
        self._clock = clock
        self._redactor = redactor
        self._jobs: deque[Job] = deque()

    def begin(
        self, kind: JobKind, work: Work, *, person: str, reason: str, subject: str | None = None
    ) -> Job:
        """Start a job, or return the one that does the same already.

        Raises
        ------
        ConflictError
            Another of its kind runs.
        StoreUnavailableError
            It cannot be written down who asked; nothing was started.
        """
        running = self.running(kind)
        if running is not None:
            if running.subject == subject:
                return running
            about = f" of {running.subject}" if running.subject else ""
            raise ConflictError(f"A {kind}{about} runs already; wait for it, or stop it.")
        now = self._clock.now()
        job = Job(
            id=f"job-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            kind=kind,
            subject=subject,
            asked_by=person_named(person),
            reason=reason,
            started_at=now,
            redactor=self._redactor,
        )
        self._record(ASKED, job, job.asked_by, reason)
        self._jobs.appendleft(job)
        while len(self._jobs) > KEPT and (over := self._oldest_that_ended()) is not None:
            self._jobs.remove(over)
        job.task = asyncio.create_task(self._run(job, work), name=job.id)
        job.task.add_done_callback(lambda _: self._over(job, "stopped"))
        return job

    def stop(self, job_id: str, *, person: str, reason: str) -> Job:
        """Tell a job to end; one that has ended, or was told so, stays as it is."""
        job = self.get(job_id)
        if job.task is not None and job.state == "running" and not job.task.cancelling():
            actor = person_named(person)
            self._record(STOPPED, job, actor, reason)
            job.say(f"{actor} stops it: {reason}")
            job.task.cancel()
        return job

    def get(self, job_id: str) -> Job:
        """Return one job; raises :class:`NotFoundError`."""
        found = next((job for job in self._jobs if job.id == job_id), None)
        if found is None:
            raise NotFoundError(f"There is no job {job_id}: the newest {KEPT} are kept while the guard runs.")
        return found

    def all(self) -> list[Job]:
        """Return every job that is remembered, newest first."""
        return list(self._jobs)

    def running(self, kind: JobKind) -> Job | None:
        """Return the job of this kind that runs."""
        return next((job for job in self._jobs if job.kind == kind and job.state == "running"), None)

    def newest(self, kind: JobKind) -> Job | None:
        """Return the newest job of this kind."""
        return next((job for job in self._jobs if job.kind == kind), None)

    async def close(self) -> None:
        """End what runs: told to first, and cut off after a moment."""
        tasks = [job.task for job in self._jobs if job.task is not None and not job.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_WITHIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _oldest_that_ended(self) -> Job | None:
        return next((job for job in reversed(self._jobs) if job.state != "running"), None)

    def _record(self, kind: str, job: Job, actor: str, reason: str) -> None:
        body = {"job": job.id, "kind": job.kind, "subject": job.subject, "reason": reason}
        self._store.announce(None, kind=kind, actor=actor, body=body)

    async def _run(self, job: Job, work: Work) -> None:
        state: JobState = "failed"
        try:
            job.result = await work(job)
            state = "done"
        except asyncio.CancelledError:
            state = "stopped"
        except UnderstudyError as error:
            job.error = job.clean(error.message)
            job.result = error.result if isinstance(error, JobFailedError) else None
        except Exception:
            log.exception("job_broke", job=job.id)
            job.error = "Something went wrong; the guard's log has it."
        self._over(job, state)

    def _over(self, job: Job, state: JobState) -> None:
        """Note how it ended, once: a job that was stopped before it began never ran."""
        if job.state == "running":
            job.state, job.ended_at = state, self._clock.now()
            log.info("job_ended", job=job.id, kind=job.kind, state=state, error=job.error)
