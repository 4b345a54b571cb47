"""One drill from its first text to the row in the history."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudy.demo.service import cancelled_by_sigterm
from understudy.drilling.following import DrillError, Following
from understudy.drilling.judging import row_of
from understudy.drilling.place import Place, place
from understudy.drilling.scenarios import Scenario
from understudy.errors import UnderstudyError
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.store.planting import effects_of, flips_of

REPORTS = Path("drills") / "reports"
DETECT_WITHIN_S = 90.0
#: An incident that has not closed by then stays MITIGATED in the row.
CLOSE_WITHIN_S = 90.0
_MITIGATED = frozenset({"MITIGATED", "RECOVERED", "CLOSED"})

Say = Callable[[str], None]


async def run_drill(scenario: Scenario, *, home: Path, environment: str, say: Say) -> DrillRow:
    """Cause the fault on a service of its own, watch its restoration, and write the row down.

    Parameters
    ----------
    home
        Keeps the history and the reports; the drill's service has a folder of its own.
    environment
        Name under which it is remembered.
    """
    with cancelled_by_sigterm():
        folder = Path(tempfile.mkdtemp(prefix="understudy-drill-"))
        try:
            row = await _drilled(folder, scenario, home, environment, say)
        except asyncio.CancelledError:  # stopped: no row tells of it, and nobody looks for its logs
            shutil.rmtree(folder, ignore_errors=True)
            raise
        append_row(home, row)
        if row.passed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"the logs are kept in {folder}")
        return row


async def _drilled(folder: Path, scenario: Scenario, home: Path, environment: str, say: Say) -> DrillRow:
    injected_at = datetime.now(UTC)
    problem: str | None = None
    document: Mapping[str, Any] | None = None
    traces: list[str] = []
    flips: list[str] = []
    report: str | None = None
    try:
        async with place(
            folder, mode=scenario.mode, settings=scenario.settings, streams=scenario.streams
        ) as here:
            await _prepare(here, scenario, say)
            injected_at = datetime.now(UTC)
            say(scenario.title)
            document = await _restored(here, scenario)
            if document is None:
                problem = f"no incident within {DETECT_WITHIN_S:g} s"
            else:
                async with here.owner() as conn:
                    flips = await flips_of(conn, document["id"])
                    traces = [*_deployments(here.service.home), *await effects_of(conn)]
                report = await _report(here, home, scenario, injected_at, document["id"])
    except (UnderstudyError, TimeoutError, OSError) as error:
        problem = str(error) or type(error).__name__
    return row_of(
        document,
        scenario=scenario.name,
        environment=environment,
        injected_at=injected_at,
        finds=scenario.finds,
        cures=scenario.cures,
        traces=traces,
        flips=flips,
        report=report,
        problem=problem,
    )


async def _prepare(here: Place, scenario: Scenario, say: Say) -> None:
    await here.healthy()
    if scenario.needs_known_good:
        await here.command("known-good", "record", "--allow-dirty", "--reason", "before the drill")
    if scenario.needs_backup:
        await here.command("backup", "create", "--reason", "before the drill")
    await scenario.prepare(here)
    say(f"{here.tally.spoken} texts spoken, {here.tally.failed} failed; all is well")


async def _restored(here: Place, scenario: Scenario) -> Mapping[str, Any] | None:
    """Inject, follow the incident to its mitigation, take the fault out, follow it to its close."""
    following = Following(here.service, here.http, here.approvers)
    injecting = asyncio.create_task(scenario.inject(here), name="drill-fault")
    try:
        if await following.opened(DETECT_WITHIN_S) is None:
            return None
        document = await following.until(lambda seen: seen["state"] in _MITIGATED, within_s=scenario.within_s)
        if document["state"] in _MITIGATED:
            await injecting
            await scenario.calm(here)
            within_s = CLOSE_WITHIN_S if scenario.closes else 0
            document = await following.until(lambda seen: seen["state"] == "CLOSED", within_s=within_s)
        return document
    finally:
        injecting.cancel()
        failed = (await asyncio.gather(injecting, return_exceptions=True))[0]
        if isinstance(failed, UnderstudyError):
            raise DrillError(f"The fault could not be caused: {failed.message}")


def _deployments(home: Path) -> list[str]:
    """One entry for every process that a deployment started."""
    try:
        known = json.loads((home / "run" / "deployments.json").read_text("utf-8"))
    except FileNotFoundError:
        return []  # nothing was deployed
    return [
        f"{deployment['id']} {step['kind']}"
        for deployment in known
        for step in deployment["steps"]
        if step["step"] == "new_ready"
    ]


async def _report(here: Place, home: Path, scenario: Scenario, injected_at: datetime, incident: str) -> str:
    name = f"{injected_at:%Y%m%dT%H%M%S}-{scenario.name}.md"
    path = home / REPORTS / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(await here.service.report(here.http, incident, "markdown"), encoding="utf-8")
    return str(REPORTS / name)
