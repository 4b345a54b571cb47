"""The playbook's three ways back on a Supabase project, through the engine, with both versions of the CLI."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from tests.clients.supabase.conftest import program
from tests.clients.supabase.project import GOOD_TAG, OTHERS, TOKEN, Hosted
from tests.clients.supabase.restoring import Restoring
from tests.integration.conftest import DatabaseUrls
from understudy.restoration.incidents import IncidentState
from understudy.restoration.targets.by_hand import OperatedByHand

pytestmark = pytest.mark.supabase

S = IncidentState


async def asked(project: Hosted, path: str) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(f"{project.edge.address}{path}") as answer:
        told: dict[str, object] = await answer.json()
        return told


async def good_code_in_qwen_mode(project: Hosted) -> None:
    await project.target().deploy_revision("before", GOOD_TAG)
    assert await asked(project, "/api/languages") == {"provider": "qwen", "languages": []}


async def test_the_env_switch(project: Hosted) -> None:
    await good_code_in_qwen_mode(project)
    restoring = Restoring(project)
    incident = restoring.open("env_switch")
    assert await restoring.tend(incident) is S.MITIGATED
    assert project.values() == {"TTS_PROVIDER_MODE": "modal", **OTHERS}
    assert await asked(project, "/api/languages") == {"provider": "modal", "languages": []}
    assert await asked(project, "/api/health") == {"ok": True, "revision": "good"}
    steps = [(entry.step, entry.body["ok"]) for entry in restoring.outcomes(incident)]
    assert all(ok for _, ok in steps), steps
    assert "no live switch" in restoring.evidence(incident, "live_override")["skipped"]
    (redeployed,) = restoring.evidence(incident, "redeploy")["steps"]
    assert redeployed["commit"] == project.repository.commit_of(GOOD_TAG)
    assert restoring.evidence(incident, "read_back")["languages_provider"] == "modal"
    assert project.count("POST /secrets") == 1
    assert len(project.project.uploads) == 2
    assert restoring.book.store.verify_chain().problems == ()
    assert TOKEN not in "".join(str(entry.body) for entry in restoring.book.entries(incident))


async def test_a_guard_that_died_after_each_act_repeats_none(project: Hosted) -> None:
    """The journal lost every outcome: the next guard looks, finds it all done, and sends nothing again."""
    await good_code_in_qwen_mode(project)
    first = Restoring(project)
    incident = first.open("env_switch")
    await first.target.write_env({"TTS_PROVIDER_MODE": "modal"})
    await first.target.redeploy(f"{incident}:env_switch:redeploy")
    first.book.store.close()
    second = Restoring(project)
    assert await second.tend(incident) is S.MITIGATED
    assert project.count("POST /secrets") == 1
    assert len(project.project.uploads) == 2


async def test_a_lying_deployment_holds_the_incident(project: Hosted) -> None:
    await good_code_in_qwen_mode(project)
    project.strike(deploy_lies=1)
    restoring = Restoring(project)
    incident = restoring.open("env_switch")
    assert await restoring.tend(incident) is S.HOLD
    failed = next(entry for entry in restoring.outcomes(incident) if not entry.body["ok"])
    assert failed.step == "redeploy"
    assert "reported success" in failed.body["problem"]
    assert await asked(project, "/api/languages") == {"provider": "qwen", "languages": []}


async def test_the_code_rollback_to_the_known_good_tag(project: Hosted) -> None:
    await project.target().redeploy("before")
    assert await asked(project, "/api/health") == {"ok": False, "revision": "broken"}
    project.project.migrations = [("20260101000000", "first"), ("20260201000000", "additive")]
    restoring = Restoring(project)
    restoring.record_known_good(migrations={"files": {"20260101000000": "ab" * 32}})
    incident = restoring.open("code_rollback")
    assert await restoring.tend(incident) is S.HOLD
    assert len(project.project.uploads) == 1
    restoring.agree(incident, "ada")
    assert await restoring.tend(incident) is S.MITIGATED
    assert await asked(project, "/api/health") == {"ok": True, "revision": "good"}
    assert await asked(project, "/api/languages") == {"provider": "modal", "languages": []}
    read_back = restoring.evidence(incident, "read_back")
    assert read_back["serving"] == project.repository.commit_of(GOOD_TAG)
    assert restoring.evidence(incident, "precheck")["schema"]["newer"] == ["20260201000000"]
    assert project.project.migrations == [("20260101000000", "first"), ("20260201000000", "additive")]


async def test_the_database_restore_in_place(project: Hosted, database_urls: DatabaseUrls) -> None:
    await good_code_in_qwen_mode(project)
    project.set_secrets({"TTS_PROVIDER_MODE": "modal"})
    await project.target().redeploy("modal")
    project.project.migrations = [("20260101000000", "first")]
    restoring = Restoring(project, database_url=database_urls.owner)
    restoring.record_known_good(migrations={"files": {"20260101000000": "ab" * 32}})
    incident = restoring.open("database_restore")
    assert await restoring.tend(incident) is S.FROZEN  # nobody has named the moment to go back to
    database = restoring.target.database
    assert database is not None
    newest = (await database.backups())[0]
    restoring.request(incident, "database_restore", backup=newest.id)
    assert await restoring.tend(incident) is S.HOLD
    assert project.project.restores == []
    restoring.agree(incident, "ada", "grace")
    state = await restoring.tend(incident)
    assert len(project.project.restores) == 1
    begun = datetime.fromtimestamp(project.project.restores[0], UTC)
    assert begun < restoring.book.store.incident(incident).opened_at
    dump = restoring.evidence(incident, "dump_broken")
    assert dump["size_bytes"] > 1000
    assert restoring.evidence(incident, "restore_beside")["seen_restoring"] is True
    assert state is S.MITIGATED


async def test_what_is_printed_for_a_person_does_the_same(
    project: Hosted, tmp_path: Path, major: int
) -> None:
    """Every line is run by a real shell, with nothing filled in but what stands in angle brackets."""
    target = project.target()
    await target.redeploy("before")
    assert isinstance(target, OperatedByHand)
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        f"name: standin\napi_url: {project.url}\ndashboard_url: {project.url}\n"
        f"docs_url: {project.url}\nproject_host: 127.0.0.1\n"
    )
    for action in ("env_switch", "code_rollback", "database_restore", "reapply_settings"):
        lines = target.commands_for(action, known_good="modal", revision=GOOD_TAG)
        script = "\n".join(["set -euo pipefail", *lines])
        at = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
        for place, value in {
            "<access-token>": TOKEN,
            f"<file that names {project.url} as its api_url>": str(profile),
            "pg_dump -Fc --file broken.dump '<database-url-on-port-5432>'": "pg_dump --version",
            "<unix-seconds-before-the-damage>": str(at),
        }.items():
            script = script.replace(place, value)
        await shell(script, project, tmp_path, major)
    assert project.values() == {
        **OTHERS,
        "TTS_PROVIDER_MODE": "modal",
        "MODAL_JOB_SUBMIT": "https://by.hand/submit?a=1#b",
    }
    assert len(project.project.uploads) == 4
    assert len(project.project.restores) == 1
    assert project.repository.git("worktree", "list").count("\n") == 0
    assert target.commands_for("close_valve", known_good="modal", revision=None) == ()


async def shell(script: str, project: Hosted, tmp_path: Path, major: int) -> None:
    """Run it as an operator would, in the repository; the editor writes what a person would."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "MODAL_JOB_SUBMIT=\'https://by.hand/submit?a=1#b\'" > "$1"\n')
    editor.chmod(0o755)
    (tmp_path / "operator").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        cwd=project.repository.folder,
        env={
            "PATH": f"{program(major).parent}:/usr/lib/postgresql/15/bin:{os.environ['PATH']}",
            "HOME": str(tmp_path / "operator"),
            "EDITOR": str(editor),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, f"{script}\n{out.decode()[-3000:]}"
