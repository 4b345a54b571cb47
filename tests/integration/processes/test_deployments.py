from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter

import aiohttp
import psutil
import pytest

from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, ConflictError, NotFoundError, ValidationError
from understudy.processes.control import ControlServer
from understudy.processes.deployments import Deployments
from understudy.processes.home import Home, read_json

pytestmark = pytest.mark.integration


def deployments(stage, services, check=lambda: 5.0):
    return Deployments(
        stage.folder / "deployments.json",
        services,
        deployable=("api", "worker"),
        check=check,
        clock=SystemClock(),
    )


async def settled(known, key, eventually, within_s=15.0):
    await eventually(
        lambda: known.get(key).state != "running", what=f"deployment {key} ends", within_s=within_s
    )
    return known.get(key)


def steps(deployment):
    return [step["step"] for step in deployment.steps]


async def test_no_connection_is_refused_or_cut_while_one_process_replaces_another(stage, eventually, gone):
    service = stage.service()
    await service.start()
    old = service.current
    known = deployments(stage, {"api": service})
    answers: Counter[str] = Counter()
    over = asyncio.Event()

    async def knock() -> None:
        while not over.is_set():
            answers[await stage.ask()] += 1

    knocking = [asyncio.create_task(knock()) for _ in range(4)]
    slow = [asyncio.create_task(stage.ask("/slow")) for _ in range(16)]
    await eventually(lambda: answers[str(old.instance)] > 20, what="the old process serves")
    known.request("d1", ["api"])
    done = await settled(known, "d1", eventually)
    new = service.current
    before = answers[str(new.instance)]
    await eventually(lambda: answers[str(new.instance)] > before + 20, what="the new one serves")
    over.set()
    await asyncio.gather(*knocking)  # raises if one connection was refused or reset

    assert done.state == "done"
    assert steps(done) == ["environment_read", "new_ready", "old_draining", "old_stopped"]
    assert set(answers) == {str(old.instance), str(new.instance)}
    assert set(await asyncio.gather(*slow)) <= {str(old.instance), str(new.instance)}
    assert gone(old.pid)
    assert old.exit_code == 0
    await service.stop()


async def test_a_new_process_that_fails_leaves_the_old_one_serving(stage, eventually):
    service = stage.service()
    await service.start()
    old = service.current
    known = deployments(stage, {"api": service})
    stage.behave("crash")
    known.request("d1", ["api"])
    failed = await settled(known, "d1", eventually)
    assert failed.state == "failed"
    assert "cannot read the moon" in failed.error
    assert service.current is old
    assert len(service.rows()) == 1
    assert await stage.ask() == str(old.instance)

    stage.behave("ok")
    known.request("d2", ["api"])
    assert (await settled(known, "d2", eventually)).state == "done"
    await service.stop()


async def test_one_of_two_kinds_failing_replaces_neither(stage, eventually):
    hanging = stage.folder / "worker.env"
    hanging.write_text("BEHAVIOUR=ok\n")
    api, worker = stage.service("api"), stage.service("worker", env_file=hanging)
    await asyncio.gather(api.start(), worker.start())
    before = (api.current, worker.current)
    hanging.write_text("BEHAVIOUR=hang\n")
    stage.deadlines["ready_within_s"] = 1.0
    known = deployments(stage, {"api": api, "worker": worker})
    known.request("d1", ["api", "worker"])
    failed = await settled(known, "d1", eventually)
    assert failed.state == "failed"
    assert "not ready within 1 s" in failed.error
    assert (api.current, worker.current) == before
    assert [len(service.rows()) for service in (api, worker)] == [1, 1]
    await asyncio.gather(api.stop(), worker.stop())


async def test_the_same_id_never_starts_a_second_one_even_after_a_restart(stage, eventually):
    service = stage.service()
    await service.start()
    known = deployments(stage, {"api": service})
    first = known.request("incident-7/redeploy", ["api"])
    assert known.request("incident-7/redeploy", ["api"]) is first
    done = await settled(known, "incident-7/redeploy", eventually)
    instance = service.current.instance
    assert known.request("incident-7/redeploy", ["api"]) is done

    again = deployments(stage, {"api": service})
    assert again.request("incident-7/redeploy", ["api"]) == done
    assert service.current.instance == instance
    both = deployments(stage, {"api": service, "worker": service})
    with pytest.raises(ConflictError):
        both.request("incident-7/redeploy", ["worker"])
    await service.stop()


async def test_an_interrupted_deployment_is_settled_by_the_next_supervisor(stage, eventually):
    service = stage.service()
    await service.start()
    stage.behave("hang")
    known = deployments(stage, {"api": service})
    known.request("d1", ["api"])
    await eventually(lambda: len(service.rows()) == 2, what="the new process starts")
    starting = service.rows()[1]["pid"]
    await known.stop()
    assert len(service.rows()) == 1
    assert not psutil.pid_exists(starting)
    assert read_json(stage.folder / "deployments.json")[0]["state"] == "running"

    again = deployments(stage, {"api": service})
    again.settle_interrupted()
    assert again.get("d1").state == "done"
    assert steps(again.get("d1"))[-1] == "superseded"
    await service.stop()


async def test_a_process_that_will_not_drain_is_killed_and_said_so(stage, eventually):
    stage.behave("stubborn")
    service = stage.service()
    await service.start()
    stage.behave("ok")
    known = deployments(stage, {"api": service}, check=lambda: -14.5)  # 0.5 s with the supervisor's grace
    known.request("d1", ["api"])
    done = await settled(known, "d1", eventually)
    assert (done.state, steps(done)[-1]) == ("done", "old_killed")
    await service.stop()


async def test_a_bad_environment_file_fails_before_anything_starts(stage, eventually):
    def refuse():
        raise ConfigurationError("TTS_PROVIDER_MODE='qwenn': Input should be 'modal' or 'qwen'.")

    service = stage.service()
    await service.start()
    known = deployments(stage, {"api": service}, check=refuse)
    known.request("d1", ["api"])
    failed = await settled(known, "d1", eventually)
    assert (failed.state, steps(failed)) == ("failed", [])
    assert "qwenn" in failed.error
    await service.stop()


async def test_a_redeploy_cures_a_crash_loop(stage, eventually):
    service = stage.service()
    await service.start()
    stage.behave("crash")
    os.kill(service.current.pid, signal.SIGKILL)
    await eventually(lambda: len(stage.told("restart_failed")) >= 2, what="it fails to restart")
    stage.behave("ok")
    known = deployments(stage, {"api": service})
    known.request("d1", ["api"])
    assert (await settled(known, "d1", eventually)).state == "done"
    assert await stage.ask() == str(service.current.instance)
    await service.stop()


async def test_refusals(stage):
    known = deployments(stage, {})
    with pytest.raises(ValidationError, match="kinds"):
        known.request("d1", ["guard"])
    with pytest.raises(ValidationError, match="kinds"):
        known.request("d1", [])
    with pytest.raises(ValidationError, match="id"):
        known.request("", ["api"])
    with pytest.raises(NotFoundError):
        known.get("d1")


async def test_the_control_socket_speaks_its_protocol(stage, eventually):
    home = Home.at(stage.folder / "home")
    home.create()
    service = stage.service()
    await service.start()
    known = deployments(stage, {"api": service})
    stopped = asyncio.Event()
    control = ControlServer(
        home,
        status=lambda: {"processes": service.rows(), "addresses": {}},
        deployments=known,
        request_stop=stopped.set,
    )
    await control.start()
    published = json.loads(home.control_file.read_text())
    assert home.control_file.stat().st_mode & 0o077 == 0

    async with aiohttp.ClientSession(published["url"]) as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \u00e9"}):
            async with stranger.get("/v1/status", headers=headers) as answer:
                assert answer.status == 401
                assert "detail" in await answer.json()

    token = {"Authorization": f"Bearer {published['token']}"}
    async with aiohttp.ClientSession(published["url"], headers=token) as session:
        async with session.get("/v1/status") as answer:
            (row,) = (await answer.json())["processes"]
            assert (row["name"], row["state"]) == ("api", "ready")
        for body in (
            b"no json",
            b"[]",
            b'{"id":"","kinds":["api"]}',
            b'{"id":"x","kinds":["guard"]}',
            b'{"id":"x"}',
        ):
            async with session.post("/v1/deployments", data=body) as answer:
                assert answer.status == 400
                assert (await answer.json())["detail"]
        async with session.post("/v1/deployments", json={"id": "d 1/a", "kinds": ["api"]}) as answer:
            assert answer.status == 202
            assert (await answer.json())["state"] == "running"
        await settled(known, "d 1/a", eventually)
        async with session.get("/v1/deployments/d%201%2Fa") as answer:
            assert (await answer.json())["state"] == "done"
        async with session.get("/v1/deployments/none") as answer:
            assert answer.status == 404
        async with session.get("/nowhere") as answer:
            assert (answer.status, await answer.json()) == (404, {"detail": "Not Found"})
        async with session.post("/v1/stop") as answer:
            assert answer.status == 202
    assert stopped.is_set()
    await control.stop()
    assert not home.control_file.exists()
    await service.stop()
