"""The playbook's own fenced commands, as they are written, typed into a shell that has the real CLI."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.clients.supabase.conftest import program
from tests.clients.supabase.project import GOOD_TAG, REF, TOKEN, Hosted
from tests.journey.checkouts import git, variables

pytestmark = pytest.mark.supabase

PLAYBOOK = Path(__file__).parents[3] / "docs" / "runbooks" / "restoration-playbook.md"
URL = "https://modal.example/run?a=1#fragment"


def fences() -> dict[str, list[str]]:
    """Every fenced shell block that speaks to Supabase, under the heading it stands below."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PLAYBOOK.read_text(), flags=re.MULTILINE)[1:]:
        heading = part.splitlines()[0]
        for script in re.findall(r"^```bash\n(.*?)^```", part, re.MULTILINE | re.DOTALL):
            if "supabase " in script:
                found.setdefault(heading, []).append(script)
    return found


class Shell:
    """An operator's shell in a clone of the customer's repository."""

    def __init__(self, project: Hosted, major: int, folder: Path) -> None:
        self.checkout = folder / "clone"
        git(folder, "clone", "--quiet", str(project.repository.folder), str(self.checkout))
        profile = folder / "profile.yaml"
        hosts = {"api_url": project.url, "dashboard_url": project.url, "docs_url": project.url}
        profile.write_text(yaml.safe_dump({"name": "stand-in", "project_host": "example.co", **hosts}))
        known = variables(self.checkout)
        self._environment = known | {
            "PATH": f"{program(major).parent}:{known['PATH']}",
            "HOME": str(folder),
            "SUPABASE_ACCESS_TOKEN": TOKEN,
            "SUPABASE_PROJECT_ID": REF,
            "SUPABASE_PROFILE": str(profile),
            "SUPABASE_YES": "1",
            "SUPABASE_TELEMETRY_DISABLED": "1",
        }

    def types(self, script: str) -> None:
        """Run it as it stands, with the placeholders filled in."""
        typed = script.replace("<known-good-branch-or-tag>", f"--detach {GOOD_TAG}").replace(
            "<url>", f"'{URL}'"
        )
        done = subprocess.run(
            ["bash", "-e", "-c", typed],
            cwd=self.checkout,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"


async def mode_served(project: Hosted) -> object:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{project.edge.address}/api/languages") as answer,
    ):
        return (await answer.json())["provider"]


@pytest.mark.timeout(900)
async def test_every_command_of_the_playbook_does_what_it_says(
    project: Hosted, major: int, tmp_path: Path
) -> None:
    shell, scripts = Shell(project, major, tmp_path), fences()
    assert list(scripts) == [
        "Fast Rollback via Env Switch (Qwen -> Modal)",
        "Code Rollback Steps (Branch/Tag + Function Redeploy)",
        "Staging/Production Recovery Runbook",
    ]
    switch, rollback, runbook = scripts.values()

    for script in switch:
        await asyncio.to_thread(shell.types, script)
    assert project.values()["TTS_PROVIDER_MODE"] == "modal"
    assert await mode_served(project) == "modal"

    for script in rollback:
        await asyncio.to_thread(shell.types, script)
    assert git(shell.checkout, "rev-parse", "HEAD") == project.repository.commit_of(GOOD_TAG)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{project.edge.address}/api/health") as answer,
    ):
        assert await answer.json() == {"ok": True, "revision": "good"}

    project.set_secrets({"TTS_PROVIDER_MODE": "qwen"})
    for script in runbook:
        await asyncio.to_thread(shell.types, script)
    values = project.values()
    assert values["TTS_PROVIDER_MODE"] == "modal"
    names = re.findall(r"secrets set (MODAL_\w+)=<url>", "".join(runbook))
    assert len(names) == 5
    assert {values[name] for name in names} == {URL}
    assert await mode_served(project) == "modal"
