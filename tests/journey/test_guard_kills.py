"""The guard killed at random instants, a hundred times: no incident lost or doubled, nothing done twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.integration.conftest import DatabaseUrls, database_urls, postgres_server  # noqa: F401  (fixtures)
from tests.journey.guarded_service import GuardedService, guarded_service
from understudy.clock import SystemClock
from understudy.restoration.guard.heartbeat import HEARTBEAT_FILE

pytestmark = pytest.mark.journey

SEED = 20261125
#: From a guard's start to its end: some die while they import, some after a restoration.
LONGEST_LIFE_S = 5.0
SETTLE_WITHIN_S = 90.0
#: What stands between two troubles, and how many failed calls a blip has: too few for any rule.
HEALTHY_S = 3.0
BLIP_CALLS = 2


@dataclass
class Account:
    """What was done to the service."""

    troubles: list[int] = field(default_factory=list)
    blips: int = 0
    kills: int = 0
    lives_s: list[float] = field(default_factory=list)


async def kills(service: GuardedService, random: Random, account: Account, number: int) -> None:
    """Kill the guard ``number`` times, and leave one running."""
    for _ in range(number):
        life_s = random.uniform(0.1, LONGEST_LIFE_S)
        await service.start_guard()
        await asyncio.sleep(life_s)
        assert service.guard is not None
        assert service.guard.returncode is None, (service.home / "guard.log").read_text()[-2000:]
        await service.end_guard(kill=True)
        account.kills += 1
        account.lives_s.append(life_s)
    await service.start_guard()


async def troubles(service: GuardedService, random: Random, account: Account, done: asyncio.Event) -> None:
    """Break Qwen, wait until that is an incident and over, cut over again; between them, blips."""
    epoch = service.readers[0].view().epoch
    while not done.is_set():
        await asyncio.sleep(HEALTHY_S)
        service.blips, account.blips = BLIP_CALLS, account.blips + 1
        await asyncio.sleep(HEALTHY_S)
        account.troubles.append(epoch)
        service.failing = random.uniform(0.5, 1.0)
        await closed(service, len(account.troubles))
        service.failing = 0.0
        epoch = await service.go_forward()


async def closed(service: GuardedService, number: int) -> None:
    """Wait until there are ``number`` incidents and the newest is closed."""
    while True:
        with service.journal() as store:
            states = [row.state for row in store.incidents("local")]
        assert len(states) <= number, f"{len(states)} incidents for {number} troubles"
        if len(states) == number and states[0] == "CLOSED":
            return
        await asyncio.sleep(0.25)


async def storm(service: GuardedService, *, number: int) -> Account:
    """Troubles and kills side by side, then time to finish the last trouble."""
    account, done = Account(), asyncio.Event()
    random = Random(SEED)
    troubling = asyncio.create_task(troubles(service, Random(SEED + 1), account, done))
    killing = asyncio.create_task(kills(service, random, account, number))
    try:
        await asyncio.wait({killing, troubling}, return_when=asyncio.FIRST_COMPLETED)
        done.set()
        await killing
        async with asyncio.timeout(SETTLE_WITHIN_S):
            await troubling
    finally:
        for task in (killing, troubling):
            task.cancel()
        await asyncio.gather(killing, troubling, return_exceptions=True)
    return account


async def check(service: GuardedService, account: Account) -> dict[str, Any]:
    """Compare what was done to the service with what the guard wrote down and did."""
    with service.journal() as store:
        verdict = store.verify_chain()
        assert verdict.problems == (), verdict
        incidents = list(reversed(store.incidents("local")))
        journals = {row.id: store.entries(row.id) for row in incidents}
    # None lost, none doubled: one for each trouble, in its epoch, and closed with its report.
    opened = [journals[row.id][0] for row in incidents]
    assert [entry.kind for entry in opened] == ["opened"] * len(incidents)
    assert [entry.body["mode_epoch_at_start"] for entry in opened] == account.troubles
    assert {row.state for row in incidents} == {"CLOSED"}
    assert len(list((service.home / "reports").glob("*.md"))) == len(incidents)
    for journal in journals.values():
        assert sum(entry.kind == "opened" for entry in journal) == 1
        # Each step's outcome stands once an attempt: what was begun before a kill was finished, not repeated.
        outcomes = Counter(
            (entry.body.get("action"), entry.body.get("attempt"), entry.step)
            for entry in journal
            if entry.kind == "outcome" and entry.body["ok"]
        )
        assert [step for step, times in outcomes.items() if times > 1] == []
    # Nothing done twice: one switch and one deployment an incident.
    async with service.database.service() as conn:
        cursor = await conn.execute(
            "select incident, count(*)::int as times from understudy.provider_mode_history"
            " where incident is not null group by incident"
        )
        switches = {row["incident"]: row["times"] for row in await cursor.fetchall()}
    assert switches == {row.id: 1 for row in incidents}
    assert set(service.supervisor.begun.values()) == {1}
    assert len(service.supervisor.begun) == len(incidents)
    return {
        "kills": account.kills,
        "troubles": len(account.troubles),
        "incidents": len(incidents),
        "blips": account.blips,
        "deployments": sum(service.supervisor.begun.values()),
        "attempts": sum(entry.kind == "begun" for journal in journals.values() for entry in journal),
        "journal_entries": sum(map(len, journals.values())),
    }


async def fresh_heartbeat(service: GuardedService) -> None:
    """The guard that lives looks, and says so."""
    assert service.guard is not None
    async with asyncio.timeout(30):
        while True:
            beat = json.loads((service.home / HEARTBEAT_FILE).read_text())
            age_s = (SystemClock().now() - datetime.fromisoformat(beat["at"])).total_seconds()
            if beat["pid"] == service.guard.pid and age_s < 3:
                return
            await asyncio.sleep(0.1)


async def run(home: Path, urls: DatabaseUrls, number: int) -> None:
    """The whole of it, with what came of it printed."""
    started_s = time.monotonic()
    async with guarded_service(home, urls, Random(SEED + 2)) as service:
        account = await storm(service, number=number)
        await fresh_heartbeat(service)
        found = await check(service, account)
        await service.end_guard(kill=False)
        assert service.guard is not None
        assert service.guard.returncode == 0
    assert found["troubles"] >= 1
    print(f"\n{json.dumps(found | {'seconds': round(time.monotonic() - started_s)})}")


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_hundred_kills_lose_and_double_nothing(
    tmp_path: Path,
    database_urls: DatabaseUrls,  # noqa: F811  (the fixture)
) -> None:
    await run(tmp_path, database_urls, 100)
