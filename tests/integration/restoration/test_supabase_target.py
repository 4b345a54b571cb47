"""The Supabase target without npm: its reads of the Management API, and programs that are no good CLI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.clock import SystemClock
from understudy.errors import TargetError
from understudy.restoration.targets.base import AppliedMigration
from understudy.restoration.targets.supabase import Patience, SupabaseProject, SupabaseTarget
from understudy.standins.management.project import Project, Secret
from understudy.standins.management.server import ManagementServer

pytestmark = pytest.mark.integration

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_a-token-that-nobody-prints"
MODE = "TTS_PROVIDER_MODE"


@dataclass
class Hosted:
    server: ManagementServer
    settings: SupabaseProject
    home: Path
    clock: HandClock

    @property
    def project(self) -> Project:
        return self.server.projects[REF]

    def target(self, *, clock: HandClock | SystemClock | None = None, **more: object) -> SupabaseTarget:
        return SupabaseTarget(replace(self.settings, **more), self.home, clock or self.clock)  # type: ignore[arg-type]

    def program(self, text: str) -> tuple[str, ...]:
        """A program that is started as the CLI."""
        file = self.home / "supabase-cli"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return (str(file),)


@pytest_asyncio.fixture
async def hosted(tmp_path: Path) -> AsyncIterator[Hosted]:
    clock = HandClock()
    server = ManagementServer(SecretStr(TOKEN), [REF], clock)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = SupabaseProject(ref=REF, token=SecretStr(TOKEN), api_url=url, source=tmp_path)
    server.projects[REF].secrets[MODE] = Secret("qwen", clock.now())
    yield Hosted(server, settings, tmp_path, clock)
    await runner.cleanup()


async def test_the_mode_is_known_by_its_digest_alone(hosted: Hosted) -> None:
    assert await hosted.target().read_env([MODE, "ABSENT"]) == {MODE: "qwen"}
    hosted.project.secrets[MODE] = Secret("something else", hosted.clock.now())
    assert await hosted.target().read_env([MODE]) == {}


async def test_reads_are_paced_below_the_limit(hosted: Hosted) -> None:
    """The engine looks four times a second; the project lets 120 requests a minute through."""
    target, started_s = hosted.target(), hosted.clock.monotonic_s()
    for _ in range(130):
        await target.read_env([MODE])
        hosted.clock.advance(0.25)
    assert hosted.server.panel.injected["read_throttled"] == 0
    assert hosted.clock.monotonic_s() - started_s >= 129


async def test_a_429_is_waited_out_as_long_as_it_says(hosted: Hosted) -> None:
    hosted.server.panel.change({"requests_per_minute": 1})
    target = hosted.target()
    await target.read_env([MODE])
    await target.read_env([MODE])
    assert 59 <= hosted.clock.monotonic_s() <= 63


async def test_a_429_without_end_is_told(hosted: Hosted) -> None:
    hosted.server.panel.change({"read_throttled": 1})
    with pytest.raises(TargetError, match="rate limit still refuses GET /secrets after 90 s"):
        await hosted.target().read_env([MODE])
    assert 80 <= hosted.clock.monotonic_s() <= 91


async def test_a_failing_read_is_tried_three_times(hosted: Hosted) -> None:
    hosted.server.panel.change({"read_500": 1})
    with pytest.raises(TargetError, match="answered 500"):
        await hosted.target().read_env([MODE])
    assert hosted.server.requests == [("GET", "/secrets")] * 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"token": SecretStr("sbp_other")}, "answered 401.*Is the token of SUPABASE_ACCESS_TOKEN valid"),
        ({"ref": "zyxwvutsrqponmlkjihg"}, "answered 404.*Is the project's reference right"),
        ({"api_url": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
async def test_what_a_person_can_do_is_said(hosted: Hosted, change: dict[str, object], told: str) -> None:
    with pytest.raises(TargetError, match=told) as raised:
        await hosted.target(**change).read_env([MODE])
    assert TOKEN not in raised.value.message


async def test_the_migration_history(hosted: Hosted) -> None:
    hosted.project.migrations = [("20260101000000", "first"), ("20260102000000", "second")]
    assert await hosted.target().applied_migrations() == (
        AppliedMigration("20260101000000", "first"),
        AppliedMigration("20260102000000", "second"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo 1.226.4", "Version 1.226.4 of the Supabase CLI is not known here: install version 2 or 3"),
        ("echo 4.0.0-beta.1", "Version 4.0.0-beta.1 of the Supabase CLI is not known"),
        ("echo hello", "names no version; is it the Supabase CLI"),
        ("exit 1", "names no version; is it the Supabase CLI"),
    ],
)
async def test_another_program_is_not_used(hosted: Hosted, text: str, told: str) -> None:
    with pytest.raises(TargetError) as raised:
        await hosted.target(command=hosted.program(text)).write_env({MODE: "modal"})
    assert told in raised.value.message


async def test_a_missing_program_is_named(hosted: Hosted) -> None:
    with pytest.raises(TargetError, match="cannot be started: `no-such-program`"):
        await hosted.target(command=("no-such-program",)).write_env({MODE: "modal"})


async def test_what_it_says_is_told_without_secrets(hosted: Hosted) -> None:
    text = '[ "$1" = --version ] && echo 3.1.0 && exit\necho "denied $SUPABASE_ACCESS_TOKEN" >&2\nexit 1'
    with pytest.raises(TargetError, match=r"did not change .*: denied \[secret\]") as raised:
        await hosted.target(command=hosted.program(text)).write_env({"MODAL_KEY": "wk-x", MODE: "modal"})
    assert TOKEN not in raised.value.message


async def test_it_gets_nothing_of_this_processs_environment(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://not-for-it")
    monkeypatch.setenv("SUPABASE_DB_PASSWORD", "not-for-it")
    told = hosted.home / "environment"
    text = f'[ "$1" = --version ] && echo 2.122.1 && exit\nenv > {told}\nexit 1'
    with pytest.raises(TargetError):
        await hosted.target(command=hosted.program(text)).write_env({MODE: "modal"})
    names = {line.split("=")[0] for line in told.read_text().splitlines()}
    assert {"SUPABASE_ACCESS_TOKEN", "SUPABASE_PROJECT_ID", "SUPABASE_PROFILE", "HOME"} <= names
    assert "not-for-it" not in told.read_text()


async def test_one_that_hangs_is_ended_with_its_children(hosted: Hosted) -> None:
    pids = hosted.home / "pids"
    text = (
        f'[ "$1" = --version ] && echo 3.1.0 && exit\necho $$ > {pids}\nsleep 600 & echo $! >> {pids}\nwait'
    )
    patience = Patience(command_s=2, settle_s=0, pace_s=0)
    target = hosted.target(command=hosted.program(text), patience=patience, clock=SystemClock())
    with pytest.raises(TargetError, match="did not change TTS_PROVIDER_MODE: no end within 2 s"):
        await target.write_env({MODE: "modal"})
    for pid in map(int, pids.read_text().split()):
        for _ in range(500):
            if not _runs(pid):
                break
            await asyncio.sleep(0.02)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie that waits for a parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
