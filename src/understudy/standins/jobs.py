"""Modal's speech jobs: queued, running, then completed, failed or cancelled; results kept on disk."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.clock import Clock
from understudy.jobserver.answers import TERMINAL, JobStatus, JobView
from understudy.jobserver.engine import Engine, Outcome, outcome_of
from understudy.jobserver.orders import DesignOrder, SpeechOrder
from understudy.logs import get_logger
from understudy.standins.configuration import StandInSettings
from understudy.standins.durable import write_atomically
from understudy.standins.faults import FaultPanel

#: What a job says that the fault ``job_failed`` struck.
GPU_LOST = "CUDA error: an illegal memory access was encountered"


@dataclass(slots=True)
class Job:
    """One job. ``elapsed_s`` is frozen when it ends."""

    job_id: str
    request_id: str | None
    submitted_s: float
    status: JobStatus = JobStatus.QUEUED
    error: str | None = None
    elapsed_s: float = 0.0
    finished_at: datetime | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class JobBook:
    """All jobs. Finished ones survive a restart; one that ran when the process died is unknown afterwards."""

    def __init__(
        self, folder: Path, settings: StandInSettings, engine: Engine, panel: FaultPanel, clock: Clock
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._engine = engine
        self._panel = panel
        self._clock = clock
        self._log = get_logger("standins.jobs")
        self._containers = asyncio.Semaphore(settings.modal_containers)
        self._jobs: dict[str, Job] = {}
        self._by_request: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in sorted(folder.glob("fc-*.json")):
            self._recall(json.loads(file.read_text()))

    async def submit(self, order: SpeechOrder) -> str:
        """Start a job; the same ``request_id`` again answers the job it already made."""
        if order.request_id and order.request_id in self._by_request:
            return self._by_request[order.request_id]
        job = Job(f"fc-{secrets.token_hex(13)}", order.request_id, self._clock.monotonic_s())
        self._jobs[job.job_id] = job
        if order.request_id:
            self._by_request[order.request_id] = job.job_id
        job.task = asyncio.create_task(self._run(job, order), name=job.job_id)
        return job.job_id

    async def look_up(self, job_id: str) -> JobView | None:
        """Return the job with this id as it is now."""
        job = self._jobs.get(job_id)
        if job is None:
            return None
        ended = job.status in TERMINAL
        elapsed_s = job.elapsed_s if ended else self._clock.monotonic_s() - job.submitted_s
        return JobView(job.job_id, job.status, elapsed_s, job.error, expired=self._is_expired(job))

    async def audio(self, job_id: str) -> bytes:
        """Read a completed job's WAV."""
        return await asyncio.to_thread((self._folder / f"{job_id}.wav").read_bytes)

    async def cancel(self, job_id: str) -> None:
        """Stop a job; one that ended stays as it ended."""
        job = self._jobs[job_id]
        if job.status not in TERMINAL and job.task is not None:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)
            if job.status not in TERMINAL:  # cancelled before its first step ran
                await self._end(job, JobStatus.CANCELLED, None)

    async def design(self, order: DesignOrder) -> Outcome:
        """Design a voice; no container is waited for."""
        return await outcome_of(self._engine.design(order))

    async def close(self) -> None:
        """Drop what still runs; it will be unknown."""
        running = [job.task for job in self._jobs.values() if job.task and not job.task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each status; this server never says ``processing``."""
        statuses = [status for status in JobStatus if status is not JobStatus.PROCESSING]
        return {status: sum(job.status is status for job in self._jobs.values()) for status in statuses}

    def _is_expired(self, job: Job) -> bool:
        if job.finished_at is None:
            return False
        return (self._clock.now() - job.finished_at).total_seconds() > self._settings.modal_result_lifetime_s

    async def _run(self, job: Job, order: SpeechOrder) -> None:
        try:
            async with self._containers:
                job.status = JobStatus.RUNNING
                outcome = await outcome_of(self._engine.speak(order))
                if self._panel.strikes("slow"):
                    await self._clock.sleep(self._panel.number("slow_s"))
            if outcome.wav is not None and self._panel.strikes("job_failed"):
                outcome = Outcome(None, GPU_LOST, outcome.elapsed_s)
            if outcome.wav is not None:
                path = self._folder / f"{job.job_id}.wav"
                await asyncio.to_thread(write_atomically, path, outcome.wav)
        except asyncio.CancelledError:
            await self._end(job, JobStatus.CANCELLED, None)
            raise
        await self._end(
            job, JobStatus.COMPLETED if outcome.wav is not None else JobStatus.FAILED, outcome.error
        )

    async def _end(self, job: Job, status: JobStatus, error: str | None) -> None:
        job.elapsed_s = self._clock.monotonic_s() - job.submitted_s
        job.error, job.finished_at = error, self._clock.now()
        job.status = status
        record = {
            "job_id": job.job_id,
            "request_id": job.request_id,
            "status": status,
            "error": error,
            "elapsed_s": job.elapsed_s,
            "finished_at": job.finished_at.isoformat(),
        }
        data = json.dumps(record).encode()
        await asyncio.to_thread(write_atomically, self._folder / f"{job.job_id}.json", data)
        self._log.info("job_ended", job_id=job.job_id, status=status, elapsed_s=round(job.elapsed_s, 3))

    def _recall(self, record: dict[str, Any]) -> None:
        job = Job(
            record["job_id"],
            record["request_id"],
            0.0,
            status=JobStatus(record["status"]),
            error=record["error"],
            elapsed_s=record["elapsed_s"],
            finished_at=datetime.fromisoformat(record["finished_at"]),
        )
        if self._is_expired(job):
            (self._folder / f"{job.job_id}.wav").unlink(missing_ok=True)
        self._jobs[job.job_id] = job
        if job.request_id:
            self._by_request[job.request_id] = job.job_id
