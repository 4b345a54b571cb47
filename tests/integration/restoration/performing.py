"""A rung's steps performed as the engine performs them: look, act where nothing happened, look again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from typer.testing import CliRunner, Result

from tests.integration.restoration.deployment import Bench, CountingTarget, reopened
from understudy.cli.commands import app
from understudy.restoration.actions.step import Progress, Restoration, Step
from understudy.restoration.triggers.verdict import Finding
from understudy.settings import Settings
from understudy.store.database import Database
from understudy.store.guard import IncidentRow

#: Looks at a step that only waits, before it is taken for stuck.
LOOKS = 200


class KilledError(BaseException):
    """The process ends here."""


async def perform(
    steps: Sequence[Step], run: Restoration, *, killed_after: str | None = None
) -> dict[str, Mapping[str, Any]]:
    """Perform the rung; return each step's evidence.

    Parameters
    ----------
    killed_after
        Of this step's act the process dies, before anything of it is written down.
    """
    evidence: dict[str, Mapping[str, Any]] = {}
    for step in steps:
        assert step.plan(run) == step.plan(run)
        key, acted = f"{run.incident}:{step.name}", False
        for _ in range(LOOKS):
            sighting = await step.look(run, key)
            if sighting.progress is Progress.DONE:
                evidence[step.name] = sighting.evidence
                break
            if sighting.progress is Progress.ABSENT and not acted:
                result = await step.act(run, key)
                if step.name == killed_after:
                    raise KilledError
                if result is not None:
                    evidence[step.name] = result
                    break
                acted = True
                continue
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f"{step.name} is never done: {sighting.detail}")
    return evidence


def run_of(
    database: Database,
    home: Path,
    *findings: Finding,
    base_url: str = "http://127.0.0.1:9",
    settings: Settings | None = None,
    incident: str = "inc-1",
    **more: Any,
) -> Restoration:
    """What an attempt works with: real database, home and guard store; a target that counts."""

    async def connect() -> Database:
        return database

    bench = Bench(home, CountingTarget(home, base_url), connect, None)  # type: ignore[arg-type]
    bench.store = reopened(home, bench.clock).store
    documents = tuple(finding.document() for finding in findings)
    now = bench.clock.now()
    row = IncidentRow(incident, "local", "RESTORING", "something is wrong", now, now)
    made = bench.prepare(row, 1, documents[0] if documents else {})
    fields = {name: getattr(made, name) for name in made.__slots__}
    given = {"findings": documents, "home": home} | more
    if settings is not None:
        given["settings"] = lambda: settings
    return Restoration(**(fields | given))


async def typed(home: Path, database_url: SecretStr, *words: str) -> Result:
    """What an operator gets who types these words."""
    environment = {"DATABASE_URL": database_url.get_secret_value(), "UNDERSTUDY_HOME": str(home)}
    result: Result = await asyncio.to_thread(CliRunner().invoke, app, list(words), env=environment)
    return result


def document_of(answer: Result) -> Any:
    """The JSON document of a command that went well; a service of this process may log beside it."""
    assert answer.exit_code == 0, answer.output
    (line,) = (line for line in answer.stdout.splitlines() if line.startswith("{"))
    return json.loads(line)
