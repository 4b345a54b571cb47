"""Rung 1, known-good settings: what differs is put back from the kept copy, and every process holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.restoration.deployment import CountingTarget, reopened
from tests.integration.restoration.performing import KilledError, perform, run_of
from tests.unit.findings import finding_of
from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.releases.kept_environment import environment_digest, keep_environment
from understudy.restoration.actions.reapply_settings import STEPS
from understudy.restoration.actions.step import Progress, Restoration, StepError, Verified
from understudy.restoration.targets.base import Deployment, TargetCapabilities
from understudy.rollout.mode import ModeReader
from understudy.settings import settings_from
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.database import Database

pytestmark = pytest.mark.integration

FINDING = finding_of("security/secret_mismatch", cures=("reapply_settings",))


@dataclass
class Machine:
    """A home with its environment file, the processes that read it, and a record of how it was."""

    home: Path
    database: Database
    kept: dict[str, str]
    stack: AsyncExitStack
    processes: list[ModeReader] = field(default_factory=list)
    record: Any = None

    @property
    def env_file(self) -> Path:
        return self.home / "understudy.env"

    async def start_processes(self) -> None:
        """As a redeploy does: all of them anew, from the file."""
        for process in self.processes:
            await process.stop()
        settings = settings_from(read_env_file(self.env_file))
        self.processes = [
            ModeReader(self.database, settings, kind=kind, clock=SystemClock()) for kind in ("api", "worker")
        ]
        for process in self.processes:
            await process.start()

    def run(self, **more: Any) -> Restoration:
        machine = self

        class Target(CountingTarget):
            async def redeploy(self, deployment_id: str) -> Deployment:
                begun = await super().redeploy(deployment_id)
                await machine.start_processes()
                return begun

        async def verify(base_url: str, expect_provider: str | None = None) -> Verified:
            target.note("verify", expect_provider)
            return Verified(ok=True, detail="checklist 8 of 8", evidence={"expected": expect_provider})

        target = Target(self.home, "http://127.0.0.1:9")
        given = {"target": target, "verify": verify, "known_good_record": self.record} | more
        return run_of(self.database, self.home, FINDING, **given)

    def effects(self, kind: str) -> list[Any]:
        return CountingTarget(self.home, "").effects(kind)


@pytest_asyncio.fixture
async def machine(database: Database, tmp_path: Path) -> AsyncIterator[Machine]:
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(
            running_standins(tmp_path / "standins", StandInSettings())
        )
        kept = {
            "TTS_PROVIDER_MODE": "modal",
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:5432/understudy",
            "UNDERSTUDY_HOME": str(tmp_path),
            "JWT_SECRET": "j" * 48,
            "OBJECT_URL_SECRET": "o" * 48,
            "DASHSCOPE_API_KEY": "sk-standin-intl-0001",
            "DASHSCOPE_BASE_URL": addresses.dashscope,
            "MODAL_JOB_SUBMIT": f"{addresses.modal}/job-submit",
            "MODAL_JOB_STATUS": f"{addresses.modal}/job-status",
            "MODAL_JOB_RESULT": f"{addresses.modal}/job-result",
            "MODAL_JOB_CANCEL": f"{addresses.modal}/job-cancel",
            "MODAL_ENDPOINT_VOICE_DESIGN": f"{addresses.modal}/voice-design",
            "MAX_ACTIVE_GENERATIONS": "3",
        }
        made = Machine(tmp_path, database, kept, stack)
        set_in_env_file(made.env_file, kept)
        book = reopened(tmp_path, run_of(database, tmp_path, FINDING).clock)  # type: ignore[arg-type]
        made.record = book.store.record_known_good(
            {
                "environment_sha256": environment_digest(kept),
                "secret_digests": settings_from(kept).secret_digests(),
                "settings": {"MAX_ACTIVE_GENERATIONS": "3"},
            },
            actor="ada",
        )
        keep_environment(tmp_path, made.record.seq, made.env_file.read_bytes())
        await made.start_processes()
        try:
            yield made
        finally:
            for process in made.processes:
                await process.stop()


async def test_what_differs_is_put_back_and_every_process_holds_it(machine: Machine) -> None:
    moved = machine.kept["MODAL_JOB_SUBMIT"]
    set_in_env_file(
        machine.env_file,
        {
            "JWT_SECRET": "x" * 48,
            "MAX_ACTIVE_GENERATIONS": "9",
            # What differs for good reasons.
            "TTS_PROVIDER_MODE": "qwen",
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:6000/understudy_r1",
            "LOG_LEVEL": "debug",
        },
    )
    await machine.start_processes()
    evidence = await perform(STEPS, machine.run())
    precheck = evidence["precheck"]
    assert precheck["changed"] == ["JWT_SECRET", "MAX_ACTIVE_GENERATIONS"]
    assert set(precheck["untouched"]) == {"DATABASE_URL", "TTS_PROVIDER_MODE"}
    assert precheck["added_since"] == ["LOG_LEVEL"]
    assert set(precheck["checks"]) == {"modal"}
    now = read_env_file(machine.env_file)
    assert (now["JWT_SECRET"], now["MAX_ACTIVE_GENERATIONS"]) == ("j" * 48, "3")
    assert (now["TTS_PROVIDER_MODE"], now["LOG_LEVEL"], now["MODAL_JOB_SUBMIT"]) == ("qwen", "debug", moved)
    assert now["DATABASE_URL"].endswith("understudy_r1")
    held = evidence["read_back"]["processes"]
    assert [(one["kind"], one["other"]) for one in held] == [("api", []), ("worker", [])]
    # It moves no provider, so the one that serves is what the smoke suite expects.
    assert machine.effects("verify") == ["qwen"]
    assert machine.effects("deploy") == ["inc-1:redeploy"]
    told = str(evidence)
    assert not [value for name, value in machine.kept.items() if "SECRET" in name and value in told]


async def test_processes_that_started_with_other_secrets_are_replaced_though_the_file_is_right(
    machine: Machine,
) -> None:
    run = machine.run()
    set_in_env_file(machine.env_file, {"OBJECT_URL_SECRET": "y" * 48})
    await machine.start_processes()
    set_in_env_file(machine.env_file, {"OBJECT_URL_SECRET": machine.kept["OBJECT_URL_SECRET"]})
    read_back = STEPS[3]
    sighting = await read_back.look(run, "key")
    assert sighting.progress is Progress.PENDING
    assert sighting.detail.count("holds another OBJECT_URL_SECRET") == 2
    evidence = await perform(STEPS, run)
    assert evidence["precheck"]["changed"] == []
    assert machine.effects("env") == []
    assert machine.effects("deploy") == ["inc-1:redeploy"]


@pytest.mark.parametrize("killed_after", ["write_settings", "redeploy"])
async def test_killed_after_an_act_it_goes_on_and_repeats_nothing(
    machine: Machine, killed_after: str
) -> None:
    set_in_env_file(machine.env_file, {"JWT_SECRET": "x" * 48})
    await machine.start_processes()
    run = machine.run()
    with pytest.raises(KilledError):
        await perform(STEPS, run, killed_after=killed_after)
    await perform(STEPS, run)
    assert machine.effects("env") == [{"JWT_SECRET": "j" * 48}]
    assert machine.effects("deploy") == ["inc-1:redeploy"]


async def hopeless(run: Restoration) -> str:
    with pytest.raises(StepError) as refused:
        await perform(STEPS, run)
    assert refused.value.hopeless
    return refused.value.message


async def test_without_a_sound_record_nothing_is_written(machine: Machine) -> None:
    set_in_env_file(machine.env_file, {"JWT_SECRET": "x" * 48})
    before = machine.env_file.read_bytes()
    assert "Nothing is recorded as known-good" in await hopeless(machine.run(known_good_record=None))
    elsewhere = machine.run()
    elsewhere.target.capabilities = TargetCapabilities(  # type: ignore[misc]
        live_switch=False, restore_beside=False
    )
    assert "by hand" in await hopeless(elsewhere)
    copy = machine.home / "known-good" / "1" / "understudy.env"
    copy.write_bytes(copy.read_bytes().replace(b"j" * 48, b"k" * 48))
    assert "changed since" in await hopeless(machine.run())
    copy.unlink()
    assert "cannot be read" in await hopeless(machine.run())
    assert machine.env_file.read_bytes() == before
    assert machine.effects("deploy") == []


async def test_a_key_that_was_rotated_since_is_not_put_back(machine: Machine) -> None:
    """The stand-in has revoked the recorded key: a provider refuses the settings to come."""
    set_in_env_file(machine.env_file, {"DASHSCOPE_API_KEY": "sk-standin-intl-0002"})
    revoked = dict(machine.kept, DASHSCOPE_API_KEY="sk-revoked-0001")
    text = "".join(f"{name}={value}\n" for name, value in revoked.items()).encode()
    record = machine.record.__class__(
        machine.record.seq,
        machine.record.at,
        "ada",
        {
            "environment_sha256": environment_digest(revoked),
            "secret_digests": settings_from(revoked).secret_digests(),
        },
    )
    keep_environment(machine.home, record.seq, text)
    with pytest.raises(StepError, match="was a secret rotated since") as refused:
        await perform(STEPS, machine.run(known_good_record=record))
    assert not refused.value.hopeless
    assert read_env_file(machine.env_file)["DASHSCOPE_API_KEY"] == "sk-standin-intl-0002"
