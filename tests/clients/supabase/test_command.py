"""The command line's door: an environment of understudy.toml, planned and probed against the project."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.supabase.project import GOOD_TAG, REF, TOKEN, Hosted

pytestmark = pytest.mark.supabase


def written(project: Hosted, folder: Path) -> Path:
    """An understudy.toml that names the project."""
    file = folder / "understudy.toml"
    file.write_text(
        f"""[environments.staging]
target = "supabase"
project_ref = "{REF}"
source = "{project.repository.folder}"
revision = "{GOOD_TAG}"
home = "staging"
api_url = "{project.url}"
base_url = "{project.edge.address}"
cli = {json.dumps(list(project.settings.command))}
signal_source = "supabase"
owner = "Ada"

[environments.staging.secrets]
SUPABASE_ACCESS_TOKEN = "env:STAGING_TOKEN"
"""
    )
    return file


async def understudy(config: Path, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.cli.app",
        *arguments,
        "--env",
        "staging",
        "--json",
        env={"PATH": os.environ["PATH"], "UNDERSTUDY_CONFIG": str(config), "STAGING_TOKEN": TOKEN},
        cwd=config.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    assert out, complaints.decode()[-2000:]
    assert TOKEN not in out.decode() + complaints.decode()
    return json.loads(out)


async def test_a_plan_prints_the_commands_for_a_person_and_asks_nobody(
    project: Hosted, tmp_path: Path
) -> None:
    told = await understudy(written(project, tmp_path), "restore", "--plan", "--action", "env_switch")
    text = "\n".join(told["by_hand"])
    assert f"export SUPABASE_PROJECT_ID={REF}" in text
    assert "secrets set TTS_PROVIDER_MODE=modal --yes" in text
    assert "functions deploy api --use-api --yes" in text
    assert project.server.requests == []


async def test_a_probe_reads_the_project_and_changes_nothing(project: Hosted, tmp_path: Path) -> None:
    told = await understudy(written(project, tmp_path), "restore", "--probe", "--action", "env_switch")
    steps = {step["step"]: step for step in told["steps"]}
    assert "TTS_PROVIDER_MODE reads qwen" in json.dumps(steps["durable_env"])
    assert {method for method, _ in project.server.requests} == {"GET"}
    assert project.project.uploads == []
