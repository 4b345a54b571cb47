"""Drills through the command: what a row says, and that nothing of a drill outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from understudy.restoration.drills.history import DrillRow, read_rows

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(900)]

COMMAND = (sys.executable, "-m", "understudy.cli.app", "drill")
LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """A process by its number and its start, so that a number used again is another process."""

    pid: int
    began: str

    @property
    def alive(self) -> bool:
        now = facts_of(self.pid)
        return now is not None and (now[1], now[2]) == (self.began, False)


def facts_of(pid: int) -> tuple[int, str, bool] | None:
    """Its parent, when it began in ticks, and whether it has ended already."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(values[1]), values[19], values[0] in "ZX"


@dataclass
class Family:
    """Every process that descends from one, as long as it is looked at, and the databases they serve."""

    root: int
    seen: set[Seen] = field(default_factory=set)
    databases: set[Path] = field(default_factory=set)

    def look(self) -> None:
        known = {pid: facts for pid in numbers() if (facts := facts_of(pid)) is not None}
        family = {self.root}
        while more := {pid for pid, (parent, _, _) in known.items() if parent in family} - family:
            family |= more
        for pid in family - {self.root}:
            self.seen.add(Seen(pid, known[pid][1]))
            words = arguments(pid)
            if "-D" in words[:-1]:
                self.databases.add(Path(words[words.index("-D") + 1]))

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)


def numbers() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


async def drilled(
    home: Path, *words: str, until: Callable[[Family], bool] = lambda _: False
) -> tuple[int, Any, Family]:
    """Run the command, with a SIGTERM once ``until`` holds; return its code, words and family."""
    scratch = home.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *words, "--json", "--home", str(home)),
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=asyncio.subprocess.PIPE,
    )
    family = Family(process.pid)
    watching = asyncio.create_task(family.watch())
    reading = asyncio.create_task(process.communicate())
    try:
        while not reading.done():
            if until(family):
                process.send_signal(signal.SIGTERM)
                break
            await asyncio.sleep(LOOK_EVERY_S)
        said, _ = await reading
    finally:
        watching.cancel()
    assert process.returncode is not None
    return process.returncode, json.loads(said) if said else None, family


def nothing_is_left_of(family: Family, home: Path) -> None:
    assert len(family.seen) > 6  # Postgres, stand-ins, api, worker, guard and who started them
    assert family.databases
    assert [one for one in family.seen if one.alive] == []
    assert [one for one in family.databases if one.exists()] == []
    assert list((home.parent / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("scenario", "cure"),
    [("data_integrity", "quarantine_and_repair"), ("security_secret_mismatch", "reapply_settings")],
)
async def test_a_drill_says_what_it_showed_and_leaves_nothing(
    tmp_path: Path, scenario: str, cure: str
) -> None:
    home = tmp_path / "home"
    code, rows, family = await drilled(home, scenario)
    assert code == 0, rows
    (row,) = rows
    assert row.pop("passed") is True
    assert set(row) == {one.name for one in fields(DrillRow)}
    assert (row["scenario"], row["environment"], row["problem"]) == (scenario, "local", None)
    assert (row["cure"], row["detected"], row["verified"], row["closed"]) == (cure, True, True, True)
    assert (row["wrong_actions"], row["repeated_side_effects"]) == (0, 0)
    times = [row[name] for name in ("detect_s", "decide_s", "mitigate_s", "verify_s", "close_s")]
    assert times == sorted(times)
    assert times[0] > 0
    report = (home / row["report"]).read_text()
    assert "Incident title:" in report
    assert str(tmp_path) not in report
    assert read_rows(home) == [DrillRow(**row)]
    nothing_is_left_of(family, home)

    code, history, _ = await drilled(home, "--history")
    assert (code, history) == (0, [{**row, "passed": True}])


async def test_a_drill_that_is_told_to_stop_ends_its_service_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"

    def guarded(family: Family) -> bool:
        return any("guard" in arguments(one.pid) for one in family.seen)

    code, rows, family = await drilled(home, "realtime_protocol", until=guarded)
    assert (code, rows) == (128 + signal.SIGTERM, None)
    assert read_rows(home) == []
    nothing_is_left_of(family, home)
