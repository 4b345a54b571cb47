"""Jobs of the guard with real processes: stopped by word, and ended with the guard."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clocks import HandClock
from understudy.environments import builtin_local
from understudy.logs import Redactor
from understudy.restoration.guard import jobs as guard_jobs
from understudy.restoration.guard.job_process import run_command, variables_of
from understudy.restoration.guard.jobs import Job, Jobs
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration

#: A program, and a child of its own that no SIGTERM ends. Both hold a pipe: its end comes when both are gone.
PROGRAM = """
import os, signal, subprocess, sys
how, held, go = sys.argv[1:]
pipe = os.open(held, os.O_RDWR)
os.set_inheritable(pipe, True)
deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-S", "-c", deaf], stdout=subprocess.PIPE, close_fds=False)
child.stdout.readline()

def tidy(*_):
    open(go).read()
    child.kill()
    os.write(pipe, b"tidied")
    sys.exit(0)

signal.signal(signal.SIGTERM, {"ends": signal.SIG_DFL, "deaf": signal.SIG_IGN, "tidies": tidy}[how])
print("both run", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


@dataclass
class Bench:
    jobs: Jobs
    folder: Path
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def held(self) -> Path:
        return self.folder / "held"

    @property
    def go(self) -> Path:
        return self.folder / "go"

    async def begin(self, how: str, *, ends_itself: bool = False) -> Job:
        """Start the program as a job and wait until it runs."""
        runs = asyncio.Event()

        async def work(job: Job) -> Any:
            def say(line: str) -> None:
                job.say(line)
                runs.set()

            return await run_command(
                (how, str(self.held), str(self.go)),
                variables=variables_of(builtin_local()),
                say=say,
                within_s=60,
                ends_itself=ends_itself,
                program=(sys.executable, "-S", "-c", PROGRAM),
            )

        job = self.jobs.begin("drill", work, person="ada", reason="r", subject=how)
        async with asyncio.timeout(30):
            await runs.wait()
        assert job.lines[-1] == "both run"
        return job

    async def written_until_both_are_gone(self) -> bytes:
        reader = asyncio.StreamReader()
        pipe = os.fdopen(os.open(self.held, os.O_RDONLY | os.O_NONBLOCK), "rb")
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        async with asyncio.timeout(30):
            written = await reader.read()
        transport.close()
        return written


@pytest_asyncio.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    clock = HandClock()
    real = asyncio.create_subprocess_exec
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        bench = Bench(Jobs(store, clock, Redactor([])), tmp_path)
        os.mkfifo(bench.held)
        os.mkfifo(bench.go)

        async def start(*arguments: Any, **more: Any) -> asyncio.subprocess.Process:
            bench.started.append(await real(*arguments, **more))
            return bench.started[-1]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        yield bench
        await bench.jobs.close()
        for process in bench.started:
            await process.wait()


async def test_a_job_that_is_stopped_leaves_no_process(bench: Bench) -> None:
    job = await bench.begin("ends")
    reading = asyncio.create_task(bench.written_until_both_are_gone())
    assert bench.jobs.stop(job.id, person="ada", reason="a slip").state == "running"
    assert await reading == b""
    assert job.task is not None
    await asyncio.wait([job.task])
    assert (job.state, job.lines[-1]) == ("stopped", "person:ada stops it: a slip")


async def test_jobs_end_with_the_guard_even_those_that_do_not_listen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_jobs, "CLOSE_WITHIN_S", 0.01)
    job = await bench.begin("deaf")
    reading = asyncio.create_task(bench.written_until_both_are_gone())
    await bench.jobs.close()
    assert job.state == "stopped"
    assert await reading == b""


async def test_what_tidies_up_after_itself_may_do_so_when_the_guard_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_jobs, "CLOSE_WITHIN_S", 0.01)
    job = await bench.begin("tidies", ends_itself=True)
    reading = asyncio.create_task(bench.written_until_both_are_gone())
    await bench.jobs.close()
    assert job.state == "stopped"
    await asyncio.to_thread(bench.go.write_text, "")
    assert await reading == b"tidied"
