from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from understudy.clock import SystemClock
from understudy.errors import ProcessError
from understudy.processes.child import Child, ChildState, LogFile
from understudy.processes.service import backoff_s

pytestmark = pytest.mark.integration

SUPERVISE = Path(__file__).parents[2] / "programs" / "supervise.py"


async def test_a_child_sees_only_the_clean_environment(stage, monkeypatch):
    monkeypatch.setenv("TTS_PROVIDER_MODE", "qwen")
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere")
    service = stage.service()
    await service.start()
    seen = psutil.Process(service.current.pid).environ()
    assert "TTS_PROVIDER_MODE" not in seen
    assert "DATABASE_URL" not in seen
    assert seen["UNDERSTUDY_ENV_FILE"] == str(stage.env_file)
    await service.stop()


async def test_a_crash_is_told_and_restarted_at_once_on_the_same_port(stage, eventually):
    service = stage.service()
    await service.start()
    first = service.current
    assert await stage.ask() == str(first.instance)

    os.kill(first.pid, signal.SIGKILL)
    # The socket is the supervisor's: a request that arrives while nobody serves waits, it is not refused.
    assert await stage.ask() != str(first.instance)
    await eventually(lambda: service.current is not first, what="a new process has the place")
    assert service.restarts == 1
    assert "killed by signal 9" in stage.told("crashed")[0]
    assert service.rows()[0]["state"] == "ready"
    await service.stop()
    assert service.rows()[0]["state"] == "stopped"


async def test_a_program_that_keeps_failing_backs_off_and_quotes_its_last_words(stage, eventually):
    service = stage.service()
    await service.start()
    stage.behave("crash")
    os.kill(service.current.pid, signal.SIGKILL)
    await eventually(lambda: len(stage.told("restart_failed")) >= 2, what="two failed restarts")
    assert "cannot read the moon" in stage.told("restart_failed")[0]
    assert "Next try in 0.5 s" in stage.told("restart_failed")[0]
    assert "Next try in 1 s" in stage.told("restart_failed")[1]
    stage.behave("ok")
    await eventually(lambda: service.restarts == 1, what="it runs again once the cause is gone")
    await service.stop()


def test_backoff_grows_to_a_limit():
    waits = [backoff_s(number) for number in range(10)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == 8


async def test_a_start_that_fails_leaves_no_process(stage, gone):
    stage.behave("crash")
    service = stage.service()
    with pytest.raises(ProcessError, match=r"ended with status 3 before it was ready.*cannot read the moon"):
        await service.start()
    assert service.rows() == []


async def test_a_start_that_hangs_is_killed_at_its_deadline(stage, gone):
    stage.behave("hang")
    stage.deadlines["ready_within_s"] = 1.0
    log = LogFile(stage.folder / "x.log")
    instance = uuid.uuid4()
    child = await Child.start(stage.spec(instance), instance=instance, log=log, clock=SystemClock())
    with pytest.raises(ProcessError, match="not ready within 1 s"):
        await child.wait_ready()
    await child.kill()
    assert gone(child.pid)
    log.close()


async def test_stop_drains_then_kills_the_whole_group(stage, eventually, gone):
    stage.behave("stubborn")
    stage.extra = ("--grandchild",)
    stage.deadlines["stop_within_s"] = 0.5
    service = stage.service()
    await service.start()
    child = service.current
    grandchildren = [process.pid for process in psutil.Process(child.pid).children()]
    assert len(grandchildren) == 1
    await service.stop()
    assert child.state is ChildState.STOPPED
    assert child.exit_code == -signal.SIGKILL
    await eventually(lambda: gone(grandchildren[0]), what="what the process started is gone too")


async def test_a_crash_takes_its_own_children_along(stage, eventually, gone):
    stage.extra = ("--grandchild",)
    service = stage.service()
    await service.start()
    child = service.current
    (grandchild,) = [process.pid for process in psutil.Process(child.pid).children()]
    os.kill(child.pid, signal.SIGKILL)
    await eventually(lambda: gone(grandchild), what="the orphan is gone")
    await service.stop()


async def test_stop_while_a_restart_is_under_way_leaves_nothing(stage, eventually):
    service = stage.service()
    await service.start()
    stage.behave("hang")
    os.kill(service.current.pid, signal.SIGKILL)
    await eventually(
        lambda: [row["state"] for row in service.rows()] == ["failed", "starting"], what="a restart began"
    )
    starting = service.rows()[1]["pid"]
    await asyncio.wait_for(service.stop(), timeout=5)
    assert not psutil.pid_exists(starting)


def test_the_log_is_bounded(tmp_path):
    log = LogFile(tmp_path / "x.log", limit_bytes=1000)
    for number in range(100):
        log.write(b"%050d\n" % number)
    log.close()
    old, new = tmp_path / "x.log.1", tmp_path / "x.log"
    assert old.stat().st_size <= 1000
    assert new.stat().st_size <= 1000
    assert new.read_bytes().endswith(b"%050d\n" % 99)
    assert new.stat().st_mode & 0o077 == 0


async def test_kill_9_of_the_supervising_process_leaves_no_child(tmp_path, eventually, gone):
    command = [sys.executable, str(SUPERVISE), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervising:
        said = json.loads(await asyncio.to_thread(supervising.stdout.readline))
        assert all(psutil.pid_exists(pid) for pid in said["pids"])
        supervising.kill()
    await eventually(lambda: all(gone(pid) for pid in said["pids"]), what="both children are gone")
