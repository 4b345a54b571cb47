"""The function deployed by the real CLI: which code, once for one key, believed only when in force."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.supabase.conftest import program
from tests.clients.supabase.project import (
    GOOD_TAG,
    IMPATIENCE,
    PATIENCE,
    Hosted,
    seed_with_hits,
)
from understudy.errors import TargetError
from understudy.restoration.targets.base import Deployment, DeploymentState

pytestmark = pytest.mark.supabase

DONE, FAILED, RUNNING = DeploymentState.DONE, DeploymentState.FAILED, DeploymentState.RUNNING


async def health(project: Hosted) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{project.edge.address}/api/health") as answer,
    ):
        told: dict[str, Any] = await answer.json()
        return told


def failed(deployment: Deployment) -> str:
    assert deployment.state is FAILED
    assert deployment.error
    return deployment.error


async def test_a_tag_is_served_while_the_work_tree_stays(project: Hosted) -> None:
    target = project.target()
    assert (await target.redeploy("d-1")).state is DONE
    assert await health(project) == {"ok": False, "revision": "broken"}
    assert await target.revision() == project.repository.commit_of("main")
    (project.repository.folder / "supabase" / "functions" / "api" / "index.ts").write_text("// being edited")
    deployment = await target.deploy_revision("d-2", GOOD_TAG)
    assert deployment.state is DONE
    assert await health(project) == {"ok": True, "revision": "good"}
    good = project.repository.commit_of(GOOD_TAG)
    assert await project.target().revision() == good
    (step,) = deployment.steps
    assert (step["commit"], step["version_before"], step["version"]) == (good, 1, 2)
    assert step["fetched"] == "the repository has no remote"
    upload = project.project.uploads[-1]
    assert list(upload.files) == ["supabase/functions/api/index.ts"]
    assert upload.metadata["verify_jwt"] is False
    assert project.repository.git("status", "--porcelain") == "M supabase/functions/api/index.ts"
    assert project.repository.git("worktree", "list").count("\n") == 0


async def test_a_redeploy_keeps_the_code_in_force(project: Hosted) -> None:
    await project.target().deploy_revision("d-1", GOOD_TAG)
    project.set_secrets({"TTS_PROVIDER_MODE": "modal"})
    deployment = await project.target().redeploy("d-2")
    assert deployment.steps[0]["chosen"] == "the commit in force"
    assert await health(project) == {"ok": True, "revision": "good"}


async def test_code_of_another_hand_is_not_called_ours(project: Hosted) -> None:
    target = project.target()
    await target.deploy_revision("d-1", GOOD_TAG)
    project.project.functions["api"].version += 1  # deployed by hand meanwhile
    assert await target.revision() is None
    deployment = await target.redeploy("d-2")
    assert str(deployment.steps[0]["chosen"]).startswith("the configured revision")
    assert await health(project) == {"ok": False, "revision": "broken"}


async def test_without_a_configured_revision_code_of_another_hand_is_not_replaced(project: Hosted) -> None:
    await project.target().deploy_revision("d-1", GOOD_TAG)
    project.settings = replace(project.settings, revision="")
    project.project.functions["api"].version += 1  # deployed by hand meanwhile
    told = failed(await project.target().redeploy("d-2"))
    assert "Set `revision` of this environment in understudy.toml" in told
    assert len(project.project.uploads) == 1
    assert await health(project) == {"ok": True, "revision": "good"}


async def test_tags_made_elsewhere_are_fetched(project: Hosted, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(project.repository.folder), str(clone)], check=True)
    project.repository.git("tag", "released-later", GOOD_TAG)
    project.settings = replace(project.settings, source=clone)
    deployment = await project.target().deploy_revision("d-1", "released-later")
    assert deployment.steps[0]["fetched"] == "fetched all tags"
    assert await health(project) == {"ok": True, "revision": "good"}


async def test_without_the_remote_the_tags_here_serve(project: Hosted, tmp_path: Path) -> None:
    project.repository.git("remote", "add", "origin", str(tmp_path / "gone"))
    deployment = await project.target().deploy_revision("d-1", GOOD_TAG)
    assert deployment.state is DONE
    assert "the tags here were used" in deployment.steps[0]["fetched"]


async def test_one_key_deploys_once(project: Hosted) -> None:
    first = await project.target().redeploy("d-1")
    again = await project.target().redeploy("d-1")
    assert again == first == await project.target().deployment("d-1")
    assert len(project.project.uploads) == 1
    assert await project.target().deployment("never") is None


@pytest.mark.parametrize("revision", ["no-such-tag", "--upload-pack=x", "a..b", ""])
async def test_a_revision_that_is_not_there(project: Hosted, revision: str) -> None:
    with pytest.raises(TargetError, match="no revision"):
        await project.target().deploy_revision("d-1", revision)
    assert project.project.uploads == []


async def test_a_commit_without_the_function_is_not_deployed(project: Hosted) -> None:
    project.repository.git("rm", "-r", "--quiet", "supabase/functions/api")
    project.repository.git("commit", "--quiet", "--message", "gone")
    with pytest.raises(TargetError, match=r"has no supabase/functions/api/index\.ts"):
        await project.target().redeploy("d-1")
    assert project.project.uploads == []


async def test_a_lying_deployment_is_found_out(project: Hosted) -> None:
    target = project.target()
    await target.redeploy("d-1")
    project.strike(deploy_lies=1)
    assert "reported success" in failed(await target.deploy_revision("d-2", GOOD_TAG))
    assert await target.revision() == project.repository.commit_of("main")


async def test_verify_jwt_that_flips_is_a_failure(project: Hosted) -> None:
    target = project.target()
    await target.redeploy("d-1")
    project.repository.commit("locked", verify_jwt=True)
    told = failed(await target.deploy_revision("d-2", "main"))
    assert "verify_jwt of api went from false to true" in told


async def test_a_refused_deployment_says_why(project: Hosted) -> None:
    project.strike(deploy_500=1)
    told = failed(await project.target().redeploy("d-1"))
    assert "Failed to deploy function" in told
    project.strike(deploy_500=0)
    assert (await project.target().redeploy("d-2")).state is DONE


async def test_an_answer_that_never_comes_is_looked_up(project: Hosted) -> None:
    project.strike(deploy_hang=1)
    deployment = await project.target(patience=IMPATIENCE).redeploy("d-1")
    assert deployment.state is DONE
    assert "no end within" in deployment.steps[0]["said"]


async def test_a_deployment_lost_on_the_way_is_unknown_then_failed(project: Hosted) -> None:
    await project.target().redeploy("d-1")
    project.strike(deploy_lost=1)
    told = failed(await project.target(patience=IMPATIENCE).deploy_revision("d-2", GOOD_TAG))
    assert "outcome of the deployment is unknown" in told
    assert "old version is still in force" in told


async def test_the_rate_limit_of_deployments_is_waited_out(project: Hosted) -> None:
    project.strike(seed_with_hits("deploy_throttled", 2), deploy_throttled=0.5)
    assert (await project.target().redeploy("d-1")).state is DONE
    assert project.server.panel.injected["deploy_throttled"] == 2


async def test_a_time_box_that_ends_it_leaves_no_process_and_no_doubt(project: Hosted) -> None:
    project.strike(deploy_hang=1)
    target = project.target()
    running = asyncio.create_task(target.redeploy("d-1"))
    while not project.project.uploads:
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = _entry(project, "d-1")["pid"]
    assert not Path(f"/proc/{pid}").exists()
    found = await project.target().deployment("d-1")
    assert found is not None
    assert found.state is DONE
    assert "interrupted" in found.steps[0]["said"]
    assert project.repository.git("worktree", "list").count("\n") == 0
    assert len(project.project.uploads) == 1


async def test_a_guard_killed_before_anything_happened_begins_again(project: Hosted) -> None:
    """A real process, killed with the deployment lost: nothing is in force, so the next one deploys."""
    project.strike(deploy_lost=1)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, *_child_arguments(project), stderr=asyncio.subprocess.PIPE
    )
    while project.count("POST /functions/deploy") == 0:
        await asyncio.sleep(0.02)
        assert child.returncode is None, (await child.communicate())[1].decode()[-2000:]
    child.kill()
    await child.communicate()
    target = project.target()
    # Its CLI lives on without it: only when that has ended is it certain that nothing came of it.
    found = await target.deployment("d-1")
    assert found is not None
    assert found.state is RUNNING
    os.killpg(_entry(project, "d-1")["pid"], signal.SIGKILL)
    while await target.deployment("d-1") is not None:
        await asyncio.sleep(0.05)
    project.strike(deploy_lost=0)
    assert (await target.redeploy("d-1")).state is DONE
    assert len(project.project.uploads) == 1


_CHILD = """
import asyncio, json, sys
from dataclasses import replace
from pathlib import Path
from pydantic import SecretStr
from understudy.clock import SystemClock
from understudy.restoration.targets.supabase import SupabaseProject, SupabaseTarget
told = json.loads(sys.argv[1])
home, source, command = Path(told.pop("home")), Path(told.pop("source")), tuple(told.pop("command"))
project = SupabaseProject(token=SecretStr(told.pop("token")), source=source, command=command, **told)
asyncio.run(SupabaseTarget(project, home, SystemClock()).redeploy("d-1"))
"""


def _child_arguments(project: Hosted) -> list[str]:
    settings = project.settings
    told = {
        "ref": settings.ref,
        "token": settings.token.get_secret_value(),
        "base_url": settings.base_url,
        "revision": settings.revision,
        "source": str(settings.source),
        "command": list(settings.command),
        "api_url": settings.api_url,
        "home": str(project.home),
    }
    return [json.dumps(told)]


def _entry(project: Hosted, key: str) -> dict[str, Any]:
    state = json.loads(next(project.home.rglob("state.json")).read_text())
    entry: dict[str, Any] = state["deployments"][key]
    return entry


async def test_an_unknown_major_is_refused_before_anything(
    project: Hosted, tmp_path: Path, major: int
) -> None:
    other = tmp_path / "supabase"
    other.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 4.0.0 && exit\nexec {program(major)} "$@"\n')
    other.chmod(0o755)
    project.settings = replace(project.settings, command=(str(other),), patience=PATIENCE)
    with pytest.raises(TargetError, match=r"Version 4\.0\.0 of the Supabase CLI is not known"):
        await project.target().redeploy("d-1")
    assert project.project.uploads == []
