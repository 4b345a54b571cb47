"""``understudy collect`` and ``understudy erase``, as an operator types them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from tests.integration.speech.conftest import Studio
from tests.integration.speech.test_erasing import furnished, left_of
from understudy.cli.commands import app
from understudy.store.buckets import GENERATIONS

pytestmark = pytest.mark.integration


async def run(studio: Studio, *arguments: str, answer: str | None = None) -> Result:
    settings = studio.ctx.settings
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "UNDERSTUDY_HOME": str(settings.understudy_home),
        "OBJECT_URL_SECRET": settings.object_url_secret.get_secret_value(),
    }
    result: Result = await asyncio.to_thread(
        CliRunner().invoke, app, list(arguments), input=answer, env=environment
    )
    return result


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def test_a_dry_run_says_and_changes_nothing(studio: Studio) -> None:
    caller = await furnished(studio)
    key = f"{caller.user_id}/{uuid4()}.wav"
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    dry = told(await run(studio, "collect", "--dry-run", "--json"))
    assert (dry["dry_run"], dry["orphans"], dry["sightings"][0]["key"]) == (True, 1, key)
    assert await studio.sql("SELECT * FROM understudy.object_sightings") == []
    wet = told(await run(studio, "collect", "--json"))
    assert (wet["dry_run"], wet["orphans"], wet["complete"]) == (False, 1, True)
    assert await studio.ctx.objects.stat(GENERATIONS, key) is not None
    shown = await run(studio, "collect")
    assert "1 objects without a row, 0 rows without their object." in shown.stdout
    assert key in shown.stdout


async def test_an_account_is_erased_only_when_asked_twice(studio: Studio) -> None:
    caller = await furnished(studio)
    user = str(caller.user_id)
    refused = await run(studio, "erase", "--user", user, answer="n\n")
    assert refused.exit_code == 1
    assert await studio.sql("SELECT * FROM understudy.erasures") == []
    erased = told(await run(studio, "erase", "--user", user, "--yes", "--json"))
    assert (erased["user_id"], erased["counts"]["voices"], erased["actor"]) == (user, 1, "operator")
    assert await left_of(studio, caller.user_id) == {}
    again = told(await run(studio, "erase", "--user", user, "--yes", "--json"))
    assert again == erased
    shown = await run(studio, "erase", "--user", user, "--yes")
    assert f"Erased {user}" in shown.stdout
    unknown = await run(studio, "erase", "--user", str(uuid4()), "--yes")
    assert unknown.exit_code == 1
    assert "no account with this id" in unknown.stderr
