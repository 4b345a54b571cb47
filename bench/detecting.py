"""Time to detect, fault by fault: injected into a whole running service, seen by its own guard.

Every trigger is in shadow, so that the guard judges and does not act; each run of a traffic or playback fault
begins under a mode epoch of its own: no run sees another's failures. ``BENCH_RUNS`` (20) runs a fault.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import yaml
from psycopg.rows import dict_row

from bench.detections import CANARY, CELLS, Cell, Lane, Stage
from bench.speaking import recording
from bench.tables import percentile, show
from understudy.demo.service import Service, running_service
from understudy.demo.story import RECORDINGS
from understudy.demo.tenant import Tenant
from understudy.demo.traffic import traffic
from understudy.drilling.players import Players, playing
from understudy.drilling.policy import quickened
from understudy.envfile import read_env_file
from understudy.settings import settings_from
from understudy.store.database import Database

WINDOW_S = 5
RUNS = int(os.environ.get("BENCH_RUNS", "20"))
#: Only the faults whose name, or whose check's name, holds this.
ONLY = os.environ.get("BENCH_ONLY", "")
SOAK_S = float(os.environ.get("BENCH_SOAK_S", "1200"))
#: Speaking tenants, and players that stream and report what they saw.
SPEAKERS, PLAYERS = 3, 4
DETECT_WITHIN_S = 90.0
CLEAR_WITHIN_S = 120.0
POLL_S = 0.1


@dataclass(slots=True)
class Measured:
    """Seconds from the injection to the guard's FAIL, run by run; what was not seen in time is counted."""

    seconds: list[float] = field(default_factory=list)
    missed: int = 0


Watch = Callable[[], Awaitable[list[dict[str, Any]]]]


def shadow_policy(folder: Path) -> Path:
    """The policy that ships, every check in shadow and what is slow by design (ages, cadences) made quick."""
    policy = quickened()
    for trigger in policy["triggers"].values():
        for check in trigger.values():
            if isinstance(check, dict):
                check["mode"] = "shadow"
    path = folder / "shadow.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False, allow_unicode=True), "utf-8")
    return path


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A running service in Qwen mode with tenants that have voices, and two ways into its database."""
    settings = {
        "PLAYBOOK_FILE": str(shadow_policy(folder)),
        "PLANTED_CANARIES": CANARY,
        "MAX_ACTIVE_STREAMS": "64",
        "BUDGET_CREATES_HOUR": "0",
        "BUDGET_CREATES_TENANT_HOUR": "0",
    }
    async with (
        running_service(folder / "home", mode="qwen", window_s=WINDOW_S, settings=settings) as service,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        at = settings_from(read_env_file(service.home / "understudy.env"))
        database = await Database.connect(at.database_url, application_name="bench")
        owner = await psycopg.AsyncConnection.connect(
            at.migration_database_url.get_secret_value(), autocommit=True, row_factory=dict_row
        )
        try:
            yield Stage(service, http, database, owner, await _tenants(service, http))
        finally:
            await owner.close()
            await database.close()


async def _tenants(service: Service, http: aiohttp.ClientSession) -> list[tuple[Tenant, str]]:
    transcript = " ".join(RECORDINGS.values())
    tenants = []
    for number in range(SPEAKERS + PLAYERS):
        tenant = Tenant(http, service.api, f"bench{number}")
        await tenant.sign_up()
        tenants.append((tenant, await tenant.clone("Bench", recording(), transcript)))
    return tenants


async def findings(on: Stage) -> list[dict[str, Any]]:
    """The guard's findings of its newest cycle."""
    document = await on.service.guard_document(on.http, "/findings")
    found: list[dict[str, Any]] = document["findings"]
    return found


async def _until(on: Stage, wanted: Callable[[list[dict[str, Any]]], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if wanted(await findings(on)):
            return True
        await asyncio.sleep(POLL_S)
    return False


def _fails(
    found: list[dict[str, Any]], cell: Cell, key: tuple[str, str], subject: str | None
) -> dict[str, Any] | None:
    for one in found:
        same = (one["trigger"], one["check"]) == key and (subject is None or one["subject"] == subject)
        if same and one["verdict"] == cell.verdict:
            return one
    return None


async def measure(on: Stage, cell: Cell, results: dict[tuple[str, str], Measured]) -> None:
    """Inject, wait for every verdict that the fault should bring, clear; ``RUNS`` times."""
    for run in range(RUNS):
        await cell.prepare(on)
        await _until(
            on,
            lambda found: not any(_fails(found, cell, key, None) for key in cell.expects if cell.clears),
            CLEAR_WITHIN_S,
        )
        began = datetime.now(UTC)
        subject = await cell.inject(on, run)
        waiting = set(cell.expects)
        deadline = time.monotonic() + DETECT_WITHIN_S
        while waiting and time.monotonic() < deadline:
            found = await findings(on)
            for key in tuple(waiting):
                one = _fails(found, cell, key, subject)
                at = datetime.fromisoformat(one["evaluated_at"]) if one else None
                if at is not None and at >= began:
                    result = results.setdefault((cell.fault, "/".join(key)), Measured())
                    result.seconds.append((at - began).total_seconds())
                    waiting.discard(key)
            await asyncio.sleep(POLL_S)
        for key in waiting:
            results.setdefault((cell.fault, "/".join(key)), Measured()).missed += 1
            said = [(one["verdict"], one["detail"]) for one in await findings(on) if one["check"] == key[1]]
            print(f"  missed {key}: {said}", flush=True)
        await cell.clear(on, run)


def chosen(lane: Lane) -> list[Cell]:
    """The faults of a lane that were asked for."""
    return [
        cell
        for cell in CELLS
        if cell.lane is lane and any(ONLY in name for name in (cell.fault, *(key[1] for key in cell.expects)))
    ]


async def _lane(on: Stage, lane: Lane, results: dict[tuple[str, str], Measured]) -> None:
    for cell in chosen(lane):
        await measure(on, cell, results)
        print(f"  {datetime.now(UTC):%H:%M:%S} {lane.value}: {cell.fault}", flush=True)  # an hour's run


async def run() -> None:
    """Inject every fault and print the table."""
    results: dict[tuple[str, str], Measured] = {}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-", ignore_cleanup_errors=True) as folder:
        async with stage(Path(folder)) as on, traffic(on.tenants[:SPEAKERS]):
            on.players = Players(on.http, on.service.api, on.tenants[SPEAKERS:])
            async with playing(on.players):
                await asyncio.gather(
                    _one_after_the_other(on, results),
                    *(measure(on, cell, results) for cell in chosen(Lane.ALONE)),
                )
    rows: list[list[object]] = []
    for (fault, key), measured in sorted(results.items(), key=lambda item: item[0][1]):
        p50, p95 = (
            percentile(measured.seconds, share) if measured.seconds else None for share in (0.5, 0.95)
        )
        rows.append(
            [
                key,
                fault,
                len(measured.seconds) + measured.missed,
                measured.missed,
                p50,
                p95,
                p50 / WINDOW_S if p50 is not None else None,
                p95 / WINDOW_S if p95 is not None else None,
            ]
        )
    show(
        f"Time to detect, {RUNS} runs a fault, windows of {WINDOW_S} s",
        ["check", "fault", "runs", "missed", "p50 s", "p95 s", "p50 windows", "p95 windows"],
        rows,
        note="From the injection to the evaluation that says FAIL. Ages and cadences of data checks: 5 s.",
    )


async def _one_after_the_other(on: Stage, results: dict[tuple[str, str], Measured]) -> None:
    """Broken speech leaves players nothing to play, so these two take turns."""
    await _lane(on, Lane.TRAFFIC, results)
    await _lane(on, Lane.PLAYBACK, results)


async def soak() -> None:
    """The same service and traffic without a fault: every FAIL is a false trip."""
    trips: dict[str, int] = {}
    verdicts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-", ignore_cleanup_errors=True) as folder:
        async with (
            stage(Path(folder)) as on,
            traffic(on.tenants[:SPEAKERS]) as tally,
            playing(Players(on.http, on.service.api, on.tenants[SPEAKERS:])),
        ):
            deadline = time.monotonic() + SOAK_S
            seen: set[tuple[str, str]] = set()
            while time.monotonic() < deadline:
                failing = set()
                for one in await findings(on):
                    key = f"{one['trigger']}/{one['check']}"
                    counts = verdicts.setdefault(key, {})
                    counts[one["verdict"]] = counts.get(one["verdict"], 0) + 1
                    if one["verdict"] == "FAIL":
                        failing.add((key, one["subject"]))
                for key, _ in failing - seen:
                    trips[key] = trips.get(key, 0) + 1
                seen = failing
                await asyncio.sleep(1.0)
    rows: list[list[object]] = [
        [
            key,
            trips.get(key, 0),
            *(counts.get(name, 0) for name in ("PASS", "NO_DATA", "INCONCLUSIVE", "BLIND", "FAIL")),
        ]
        for key, counts in sorted(verdicts.items())
    ]
    show(
        f"Healthy soak, {SOAK_S:g} s, {tally.spoken} texts spoken, {tally.failed} failed",
        ["check", "trips", "PASS", "NO_DATA", "INCONCLUSIVE", "BLIND", "FAIL"],
        rows,
        note=f"One look a second; trips in all: {sum(trips.values())}. {json.dumps(trips) if trips else ''}",
    )
