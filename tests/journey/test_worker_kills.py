"""kill -9 of worker processes in the middle of generations: nothing is lost, nobody pays twice."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import (  # noqa: F401  (fixtures)
    create_user,
    database,
    database_urls,
    postgres_server,
)
from tests.integration.speech.conftest import Studio, make_studio, wide_studio  # noqa: F401  (fixtures)
from tests.integration.speech.test_worker_command import environment
from understudy.audio.wav import read_wav
from understudy.resources import samples_dir
from understudy.speech import voices
from understudy.speech.context import Caller
from understudy.speech.plausible import check_speech
from understudy.speech.voices import VoiceDraft
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.buckets import GENERATIONS
from understudy.store.tasks import TaskRow
from understudy.store.usage import tenant_usage, unknown_submissions
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.journey

TEXT = "four seven one"
TENANTS = 5
WORKERS = 2
MODAL_PATHS = {
    "MODAL_JOB_SUBMIT": "/job-submit",
    "MODAL_JOB_STATUS": "/job-status",
    "MODAL_JOB_RESULT": "/job-result",
    "MODAL_JOB_CANCEL": "/job-cancel",
    "MODAL_ENDPOINT_VOICE_DESIGN": "/voice-design",
}
#: The moment to catch lasts milliseconds; past this any other moment will do.
LOOK_FOR_S = 3.0


@dataclass
class Crew:
    """Worker processes that are killed and started again."""

    env: dict[str, str]
    folder: Path
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def hire(self) -> None:
        name = f"worker-{next(self.numbers)}"
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "understudy.cli.app", "worker", "--name", name),
                env=self.env,
                stderr=log,
            )

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        await process.wait()


@asynccontextmanager
async def crew(studio: Studio, folder: Path) -> AsyncIterator[Crew]:
    """Workers at the real stand-in of Modal: a job takes 0.3 s, and a dead worker is missed after 2 s."""
    pace = StandInSettings(modal_overhead_s=0.3, modal_containers=8)
    async with running_standins(folder / "standins", pace) as addresses:
        workers = Crew(
            environment(
                studio,
                **{name: addresses.modal + path for name, path in MODAL_PATHS.items()},
                MODAL_POLL_INTERVAL_S="0.1",
                WORKER_LEASE_S="2",
            ),
            folder,
        )
        try:
            for _ in range(WORKERS):
                await workers.hire()
            yield workers
        finally:
            for name in list(workers.running):
                await workers.kill(name)


async def real_voice(studio: Studio, caller: Caller) -> VoiceRow:
    """A voice cloned from a real recording."""
    draft = VoiceDraft("Austen", "English", "what she said")
    ticket = await voices.start_upload(studio.ctx, caller, draft)
    await studio.upload(caller, ticket.voice_id, (samples_dir() / "austen-0890.wav").read_bytes())
    return await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, draft)


async def in_the_act(studio: Studio, *, submitting: bool) -> str:
    """Name of a worker that holds a task; one between its intent to submit and the answer, when asked for."""
    give_up_at = asyncio.get_running_loop().time() + LOOK_FOR_S
    while True:
        late = asyncio.get_running_loop().time() > give_up_at
        rows = await studio.sql(
            "SELECT split_part(claimed_by, '/', 1) AS name FROM public.tasks WHERE status = 'processing'"
            " AND lease_expires_at > now()"
            " AND (%s OR (dispatched_at IS NOT NULL AND provider_job_id IS NULL))",
            late or not submitting,
        )
        if rows:
            return str(random.choice(rows)["name"])
        await asyncio.sleep(0.002)


async def storm(studio: Studio, folder: Path, *, kills: int, generations: int) -> None:
    """Kill a worker that is in the act, again and again, as work keeps coming; then look at every trace."""
    callers = [await studio.caller() for _ in range(TENANTS)]
    spoken_by = [(caller, await real_voice(studio, caller)) for caller in callers]
    turns = itertools.cycle(spoken_by)
    began = datetime.now(UTC)
    admitted: list[TaskRow] = []
    killed = 0
    async with crew(studio, folder) as workers:
        while killed < kills:
            due = generations * (killed + 1) // kills
            while len(admitted) < due:
                admitted.append(await studio.speak(*next(turns), text=TEXT))
            name = await in_the_act(studio, submitting=killed % 2 == 0)
            if name in workers.running:  # not one that died a moment ago and still holds its lease
                await workers.kill(name)
                killed += 1
                await workers.hire()
            await asyncio.sleep(0)

        async def all_ended() -> bool:
            rows = await studio.sql(
                "SELECT id FROM public.tasks WHERE status IN ('pending', 'processing') AND type = 'generate'"
            )
            return not rows

        await studio.until(all_ended, "every task terminal", within_s=60 + generations)
    ended = [await studio.task(task.id) for task in admitted]
    assert [task.status for task in ended] == ["completed"] * generations
    for task in ended:
        audio = await studio.ctx.objects.get(GENERATIONS, f"{task.user_id}/{task.generation_id}.wav")
        check_speech(read_wav(audio), TEXT, provider="modal")
    await check_bills(studio, callers, ended, began)
    retaken = sum(task.attempts > 1 for task in ended)
    unknown = sum("submit_unknown" in task.metadata for task in ended)
    assert retaken
    print(f"{kills} kills, {generations} generations: 0 lost, {retaken} taken over, {unknown} submit_unknown")


async def check_bills(studio: Studio, callers: list[Caller], ended: list[TaskRow], began: datetime) -> None:
    """Each task is paid for once, or not at all where it was repeated at our cost."""
    unknown = {task.id for task in ended if task.metadata.get("submit_unknown")}
    calls = [row for row in await studio.calls() if row["operation"] == "speak"]
    paid = [row for row in calls if row["billable"]]
    assert sorted(row["task_id"] for row in paid) == sorted(
        task.id for task in ended if task.id not in unknown
    )
    assert all(row["outcome"] == "ok" for row in paid)
    absorbed = [row for row in calls if row["outcome"] == "ok" and not row["billable"]]
    assert sorted(row["task_id"] for row in absorbed) == sorted(unknown)
    until = datetime.now(UTC) + timedelta(minutes=1)
    async with studio.ctx.database.service() as conn:
        seen = await unknown_submissions(conn)
        usage = [await tenant_usage(conn, caller.user_id, start=began, end=until) for caller in callers]
    assert (seen.tasks, seen.calls) == (len(unknown), len(unknown))
    assert seen.cost_microusd == sum(row["cost_microusd"] for row in absorbed)
    for caller, used in zip(callers, usage, strict=True):
        own = [row for row in paid if row["user_id"] == caller.user_id]
        assert (used.calls, used.cost_microusd) == (len(own), sum(row["cost_microusd"] for row in own))
    assert sum(used.cost_microusd for used in usage) > 0


@pytest.mark.timeout(180)
async def test_killed_workers_lose_nothing_and_bill_once(
    wide_studio: Studio,  # noqa: F811  (the fixture)
    tmp_path: Path,
) -> None:
    await storm(wide_studio, tmp_path, kills=8, generations=40)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_fifty_kills_during_two_hundred_generations(
    wide_studio: Studio,  # noqa: F811  (the fixture)
    tmp_path: Path,
) -> None:
    await storm(wide_studio, tmp_path, kills=50, generations=200)
