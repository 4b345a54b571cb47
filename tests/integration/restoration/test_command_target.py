"""A deployment behind programs: real ones, started as a person's understudy.toml says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Never

import pytest

from tests.clocks import ManualClock
from understudy.environments import EnvironmentName, load_environments
from understudy.errors import TargetError
from understudy.restoration.actions.env_switch import Redeploy
from understudy.restoration.actions.step import Progress, Restoration
from understudy.restoration.targets.base import DeploymentState
from understudy.restoration.targets.choosing import target_of
from understudy.restoration.targets.command import CommandTarget
from understudy.restoration.targets.command_job import Jobs
from understudy.settings import settings_from
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration
Eventually = Callable[..., Awaitable[None]]

#: The deployment: durable values in env.json; every deployment is one line of deployed.txt.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
what, *rest = sys.argv[1:]
env = Path("env.json")
if what == "read":
    names, values = json.load(sys.stdin), json.loads(env.read_text()) if env.exists() else {}
    print(json.dumps({name: values[name] for name in names if name in values}))
elif what == "write":
    values = json.loads(env.read_text()) if env.exists() else {}
    env.write_text(json.dumps(values | json.load(sys.stdin)))
elif what == "deploy":
    with open("deployed.txt", "a") as stream:
        stream.write(" ".join(rest) + "\\n")
    while Path("hold").exists():
        time.sleep(0.02)
    if Path("break").exists():
        sys.exit("no room left; the token is " + os.environ["DEPLOY_TOKEN"])
elif what == "status":
    print(Path("status.json").read_text())
elif what == "which":
    print(json.dumps({"revision": "v1.4"}))
elif what == "history":
    print(json.dumps([{"version": "20260101000000", "name": "first", "sha256": None}]))
elif what == "see":
    print(json.dumps({name: "" for name in os.environ}))
elif what == "garbage":
    print("Deploying...")
elif what == "sleep":
    time.sleep(600)
elif what == "backups":
    print(json.dumps([
        {"id": "old", "created_at": "2026-11-01T00:00:00+00:00"},
        {"id": "new", "created_at": "2026-11-02T00:00:00+00:00", "size_bytes": 7, "problem": None},
    ]))
elif what == "take":
    print(json.dumps({"id": rest[0], "created_at": "2026-11-03T00:00:00+00:00"}))
elif what == "verify":
    sys.exit(0 if rest[0] == "new" else "it does not decode")
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One folder with a deployment in it."""

    folder: Path
    home: Path

    def target(self, **changed: str) -> CommandTarget:
        """The target that the file describes, with some commands changed."""
        commands = {
            "read_env": '["{p}", "ops.py", "read"]',
            "write_env": '["{p}", "ops.py", "write"]',
            "redeploy": '["{p}", "ops.py", "deploy", "{deployment_id}"]',
            "deploy_revision": '["{p}", "ops.py", "deploy", "{deployment_id}", "{revision}"]',
            "revision": '["{p}", "ops.py", "which"]',
            "migrations": '["{p}", "ops.py", "history"]',
        } | changed
        lines = "\n".join(f"{name} = {value}" for name, value in commands.items() if value)
        file = self.folder / "understudy.toml"
        file.write_text(
            textwrap.dedent(
                """
                [environments.prod]
                target = "command"
                base_url = "https://voices.example.com"
                owner = "Grace"
                [environments.prod.secrets]
                DEPLOY_TOKEN = "env:TEST_DEPLOY_TOKEN"
                [environments.prod.commands]
                """
            )
            + lines.replace("{p}", sys.executable)
            + textwrap.dedent(
                """
                [environments.prod.commands.database]
                backups = ["{p}", "ops.py", "backups"]
                take = ["{p}", "ops.py", "take", "{key}"]
                verify = ["{p}", "ops.py", "verify", "{backup_id}"]
                restore = ["{p}", "ops.py", "deploy", "{backup_id}"]
                """
            ).replace("{p}", sys.executable)
        )
        prod = load_environments(file)[EnvironmentName.PROD]
        target = target_of(prod, self.home, settings_from({}), ManualClock())
        assert isinstance(target, CommandTarget)
        return target

    def deployed(self) -> list[str]:
        """What was deployed, in order."""
        file = self.folder / "deployed.txt"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TEST_DEPLOY_TOKEN", "token-of-the-deployment")
    (tmp_path / "ops.py").write_text(PROGRAM)
    return Place(tmp_path, tmp_path / "home")


async def ended(target: CommandTarget, deployment_id: str, eventually: Eventually) -> DeploymentState:
    """Wait until a deployment is over."""

    async def over() -> bool:
        found = await target.deployment(deployment_id)
        return found is not None and found.state is not DeploymentState.RUNNING

    await eventually(over, what=f"deployment {deployment_id} is over", within_s=60)
    found = await target.deployment(deployment_id)
    assert found is not None
    return found.state


async def test_values_go_in_and_out_as_json(place: Place) -> None:
    target = place.target()
    assert await target.read_env(["TTS_PROVIDER_MODE"]) == {}
    await target.write_env({"TTS_PROVIDER_MODE": "modal", "ODD": "a b$(touch x)\n'\""})
    assert await target.read_env(["TTS_PROVIDER_MODE", "ODD", "NONE"]) == {
        "TTS_PROVIDER_MODE": "modal",
        "ODD": "a b$(touch x)\n'\"",
    }
    assert await target.base_url() == "https://voices.example.com"
    assert await target.revision() == "v1.4"
    assert [each.version for each in await target.applied_migrations()] == ["20260101000000"]


async def test_a_deployment_runs_once_for_its_id(place: Place, eventually: Eventually) -> None:
    target = place.target()
    assert await target.deployment("inc-1/redeploy") is None
    await asyncio.gather(*(target.redeploy("inc-1/redeploy") for _ in range(5)))
    assert await ended(target, "inc-1/redeploy", eventually) is DeploymentState.DONE
    await target.redeploy("inc-1/redeploy")
    assert await ended(place.target(), "inc-1/redeploy", eventually) is DeploymentState.DONE
    await target.deploy_revision("inc-1/rollback", "v1.3")
    assert await ended(target, "inc-1/rollback", eventually) is DeploymentState.DONE
    assert place.deployed() == ["inc-1/redeploy", "inc-1/rollback v1.3"]


async def test_a_failure_tells_the_programs_words_without_its_secrets(
    place: Place, eventually: Eventually
) -> None:
    (place.folder / "break").touch()
    target = place.target()
    await target.redeploy("one")
    assert await ended(target, "one", eventually) is DeploymentState.FAILED
    found = await target.deployment("one")
    assert found is not None
    assert found.error == "exit code 1: no room left; the token is [redacted]"
    for file in (place.home / "run" / "commands").iterdir():
        assert "token-of-the-deployment" not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


async def test_a_guard_that_dies_finds_the_deployment_again(place: Place, eventually: Eventually) -> None:
    hold = place.folder / "hold"
    hold.touch()
    first = place.target()
    await first.redeploy("one")
    await eventually(place.deployed, what="the deployment has begun", within_s=60)
    again = place.target()
    running = await again.deployment("one")
    assert running is not None
    assert running.state is DeploymentState.RUNNING
    hold.unlink()
    assert await ended(again, "one", eventually) is DeploymentState.DONE
    assert place.deployed() == ["one"]


async def test_a_later_attempt_waits_for_the_deployment_that_outlived_its_box(
    place: Place, eventually: Eventually, tmp_path: Path
) -> None:
    async def nobody() -> Never:
        raise AssertionError("no redeploy asks that")

    hold, target, step = place.folder / "hold", place.target(), Redeploy()
    hold.touch()
    with GuardStore(tmp_path / "guard.sqlite3", ManualClock()) as store:
        first = Restoration(
            "inc-1", 1, "t", {}, "modal", target, nobody, store, ManualClock(), nobody, nobody, 10.0
        )
        await step.act(first, "inc-1:redeploy")
        await eventually(place.deployed, what="the deployment has begun", within_s=60)
        third, begun_anew = replace(first, attempt=3, awaited={}), replace(first, attempt=4, awaited={})
        waiting = await step.look(third, "inc-1:redeploy:3")
        assert waiting.progress is Progress.PENDING
        assert waiting.evidence["deployment"] == "inc-1:redeploy"
        hold.unlink()
        assert await ended(target, "inc-1:redeploy", eventually) is DeploymentState.DONE
        assert (await step.look(third, "inc-1:redeploy:3")).progress is Progress.DONE
        # Whoever did not see it run does not take an old end for its own.
        assert (await step.look(begun_anew, "inc-1:redeploy:4")).progress is Progress.ABSENT
        (place.folder / "break").touch()
        hold.touch()
        await step.act(begun_anew, "inc-1:redeploy:4")
        fifth = replace(first, attempt=5, awaited={})
        assert (await step.look(fifth, "inc-1:redeploy:5")).progress is Progress.PENDING
        hold.unlink()
        assert await ended(target, "inc-1:redeploy:4", eventually) is DeploymentState.FAILED
        assert (await step.look(fifth, "inc-1:redeploy:5")).progress is Progress.ABSENT
    assert place.deployed() == ["inc-1:redeploy", "inc-1:redeploy:4"]


async def test_an_outcome_that_nobody_wrote_is_unknown_and_status_settles_it(
    place: Place, eventually: Eventually
) -> None:
    hold = place.folder / "hold"
    hold.touch()
    target = place.target()
    await target.redeploy("one")
    await eventually(place.deployed, what="the deployment has begun", within_s=60)
    await _kill_the_job(place, eventually)
    assert await ended(target, "one", eventually) is DeploymentState.FAILED
    found = await target.deployment("one")
    assert found is not None
    assert "its outcome is unknown: the process that ran it was killed" in (found.error or "")
    await target.redeploy("one")
    hold.unlink()
    assert place.deployed() == ["one"]
    asking = place.target(status='["{p}", "ops.py", "status", "{deployment_id}"]')
    for said, state in (
        ({"state": "running"}, DeploymentState.RUNNING),
        ({"state": "failed", "error": "rolled back"}, DeploymentState.FAILED),
        ({"state": "done"}, DeploymentState.DONE),
    ):
        (place.folder / "status.json").write_text(json.dumps(said))
        told = await asking.deployment("one")
        assert told is not None
        assert (told.state, told.error) == (state, said.get("error"))
    (place.folder / "status.json").write_text('{"state": "perhaps"}')
    with pytest.raises(TargetError, match="status must print"):
        await asking.deployment("one")


async def _kill_the_job(place: Place, eventually: Eventually) -> None:
    """Kill the process that holds the job's lock, as the kernel's own table names it."""
    lock = next((place.home / "run" / "commands").glob("*.lock"))
    inode = f":{lock.stat().st_ino} "
    held = next(line.split() for line in Path("/proc/locks").read_text().splitlines() if inode in line)
    os.kill(int(held[4]), signal.SIGKILL)

    def gone() -> bool:
        return all(inode not in line for line in Path("/proc/locks").read_text().splitlines())

    await eventually(gone, what="the lock is free", within_s=30)


async def test_a_program_sees_the_named_secrets_and_little_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://another")
    monkeypatch.setenv("ASKED_FOR", "x")
    target = place.target(read_env='["{p}", "ops.py", "see"]', pass_env='["ASKED_FOR"]')
    seen = await target.read_env(["DEPLOY_TOKEN", "PATH", "DATABASE_URL", "TEST_DEPLOY_TOKEN", "ASKED_FOR"])
    assert sorted(seen) == ["ASKED_FOR", "DEPLOY_TOKEN", "PATH"]


async def test_what_a_program_says_wrong_is_told(place: Place) -> None:
    for command, said in (
        ('["{p}", "ops.py", "garbage"]', "printed something that is not JSON"),
        ('["{p}", "ops.py", "history"]', "read_env printed something else than agreed"),
        ('["{p}", "-c", "import sys; sys.exit(3)"]', "failed with exit code 3: no word"),
        ('["no-such-program"]', "no-such-program cannot be started"),
    ):
        with pytest.raises(TargetError, match=said):
            await place.target(read_env=command).read_env(["X"])
    slow = place.target(read_env='["{p}", "ops.py", "sleep"]', query_timeout_s="1")
    with pytest.raises(TargetError, match="did not end within 1 s and was killed"):
        await slow.read_env(["X"])


async def test_a_revision_is_no_option(place: Place) -> None:
    target = place.target()
    for revision in ("--help", "", "a b", "x;y", "-"):
        with pytest.raises(TargetError, match="no name of a branch"):
            await target.deploy_revision("one", revision)
    with pytest.raises(TargetError, match="has no command deploy_revision"):
        await place.target(deploy_revision="").deploy_revision("one", "v1")
    assert place.deployed() == []


async def test_backups_are_listed_taken_proven_and_restored(place: Place, eventually: Eventually) -> None:
    target = place.target()
    database = target.database
    assert database is not None
    assert [each.id for each in await database.backups()] == ["new", "old"]
    assert (await database.take_backup("inc-1", reason="drill")).id == "inc-1"
    assert (await database.verify_backup("new")).verified_at is not None
    assert [each.verified_at is not None for each in await database.backups()] == [True, False]
    with pytest.raises(TargetError, match="it does not decode"):
        await database.verify_backup("old")
    with pytest.raises(TargetError, match="There is no backup gone"):
        await database.verify_backup("gone")
    await database.begin_restore("inc-1", "new")
    await database.begin_restore("inc-1", "new")

    async def done() -> bool:
        found = await database.restoration("inc-1")
        return found is not None and found.state is DeploymentState.DONE

    await eventually(done, what="the restore is done", within_s=60)
    assert place.deployed() == ["new"]
    assert await database.restored("inc-1") is None


def test_the_commands_for_an_operator_are_the_files_own(place: Place) -> None:
    target = place.target()
    lines = target.commands_for("env_switch", known_good="modal", revision=None)
    assert lines[0] == f"cd {place.folder}"
    assert lines[1].startswith("""printf %s '{"TTS_PROVIDER_MODE": "modal"}' | """)
    assert lines[2].endswith("ops.py deploy by-hand")
    assert target.commands_for("code_rollback", known_good="modal", revision="v1.3")[1].endswith(
        "by-hand v1.3"
    )
    assert target.commands_for("close_valve", known_good="modal", revision=None) == ()


def test_a_job_file_that_cannot_be_read_is_not_begun_anew(place: Place) -> None:
    folder = place.home / "run" / "commands"
    folder.mkdir(parents=True)
    jobs = Jobs(place.home)
    (folder / jobs._file("one").name).write_text("{")
    with pytest.raises(TargetError, match="look at the deployment by hand"):
        jobs.look("one")
