"""The previous release on the new schema: its own processes, checked by its own smoke suite.

What a code rollback will meet: the database was migrated by the new code, and the old code starts on it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.migration_gate.throwaway import throwaway_home
from understudy.store import migrations
from understudy.store.embedded.server import EmbeddedPostgres

START_DEADLINE_S = 120.0
SMOKE_DEADLINE_S = 300.0
STOP_DEADLINE_S = 60.0
#: The mode that a rollback leads to.
_MODE = "modal"


@dataclass(frozen=True, slots=True)
class OldCodeProof:
    """How the previous release did on the new schema.

    Parameters
    ----------
    checks
        Name and outcome of each check of its own smoke suite.
    problem
        Why it failed, or empty.
    """

    commit: str
    checks: Mapping[str, str]
    problem: str

    @property
    def ok(self) -> bool:
        """Whether it started and every check passed."""
        return not self.problem


async def prove_old_code(released: Path, commit: str, new: Path) -> OldCodeProof:
    """Serve the files in ``released`` on a database that the migrations in ``new`` made; run its smoke suite.

    Its code runs with the dependencies of this interpreter, on a throw-away home, against stand-ins.

    Parameters
    ----------
    released
        An export of the previous release.
    """
    async with throwaway_home() as home:
        server = EmbeddedPostgres(home)
        await server.start()
        try:
            await migrations.migrate(server.migration_database_url, new, scratch=True)
        finally:
            await server.stop()
        environment = _environment(released, home)
        service = await _start(
            released, environment, "up", "--home", str(home), "--mode", _MODE, "--json", stderr=DEVNULL
        )
        try:
            addresses = await _ready(service)
            if addresses is None:
                return OldCodeProof(commit, {}, f"it did not start: {_last_line(home / 'logs' / 'api.log')}")
            return await _smoke(released, environment, str(addresses["api"]), commit)
        finally:
            await _end(service)


def _environment(released: Path, home: Path) -> dict[str, str]:
    """Of this process only what starts a program: no setting of it may reach the old code."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(released / "src"), "UNDERSTUDY_HOME": str(home)}


async def _start(released: Path, environment: Mapping[str, str], *arguments: str, stderr: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.cli.app",
        *arguments,
        cwd=released,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
        start_new_session=True,
        limit=2**22,
    )


async def _ready(service: Process) -> Mapping[str, Any] | None:
    """Return the addresses that the service prints when it is ready; None when it is not in time."""
    assert service.stdout is not None  # noqa: S101  (a pipe was asked for)
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            line = await service.stdout.readline()
        found: Mapping[str, Any] = json.loads(line)
    except (TimeoutError, ValueError):
        return None
    return found if "api" in found else None


async def _smoke(released: Path, environment: Mapping[str, str], url: str, commit: str) -> OldCodeProof:
    suite = await _start(released, environment, "smoke", "--base-url", url, "--json", stderr=PIPE)
    try:
        async with asyncio.timeout(SMOKE_DEADLINE_S):
            told, complained = await suite.communicate()
    except TimeoutError:
        return OldCodeProof(commit, {}, f"its smoke suite did not end within {SMOKE_DEADLINE_S:g} s")
    finally:
        await _end(suite)
    try:
        document = json.loads(told)
        checks = {str(one["name"]): str(one["outcome"]) for one in document["checks"]}
    except (ValueError, KeyError, TypeError):
        last = complained.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return OldCodeProof(commit, {}, f"its smoke suite did not run: {last[0]}")
    failed = sorted(name for name, outcome in checks.items() if outcome != "passed")
    details = {str(one["name"]): str(one.get("detail", "")) for one in document["checks"]}
    problem = "; ".join(f"{name}: {details[name]}" for name in failed)
    return OldCodeProof(commit, checks, problem)


async def _end(process: Process) -> None:
    """Ask it to stop; what does not is killed with everything it started."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            # Its output is read on, or it could wait for ever for room in the pipe.
            await process.communicate()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1][:300] if lines else "its log is empty"
