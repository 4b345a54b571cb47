"""Production behind programs: a running service that understudy.toml alone knows, switched back by hand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.journey.checkouts import variables
from understudy.demo.service import Service, running_service
from understudy.envfile import read_env_file, set_in_env_file

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(600)]

#: The operator's programs: they reach the service's file and control socket, as tools of a deployment would.
PROGRAM = """
import json, sys, time, urllib.request
from pathlib import Path
from understudy.envfile import read_env_file, set_in_env_file
home, what, *rest = Path(sys.argv[1]), *sys.argv[2:]
file = home / "understudy.env"
if what == "read":
    values = read_env_file(file)
    print(json.dumps({name: values[name] for name in json.load(sys.stdin) if name in values}))
elif what == "write":
    set_in_env_file(file, json.load(sys.stdin))
else:
    control = json.loads((home / "run" / "control.json").read_text())
    def call(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer " + control["token"], "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(control["url"] + path, data, headers)) as answer:
            return json.load(answer)
    call("/v1/deployments", {"id": rest[0], "kinds": ["api", "worker"]})
    while (state := call("/v1/deployments/" + rest[0])["state"]) == "running":
        time.sleep(0.1)
    sys.exit(0 if state == "done" else "the deployment is " + state)
"""


def configuration(service: Service, folder: Path) -> None:
    """Write the file, the programs, and the settings that this machine knows of the environment."""
    (folder / "ops.py").write_text(PROGRAM)
    start = f'["{sys.executable}", "ops.py", "{service.home}"'
    (folder / "understudy.toml").write_text(
        f"""
[environments.prod]
target = "command"
base_url = "{service.api}"
home = "prod"
owner = "Grace"
live_switch = true
[environments.prod.secrets]
DATABASE_URL = "env:PROD_DATABASE_URL"
[environments.prod.commands]
pass_env = ["PYTHONPATH"]
read_env = {start}, "read"]
write_env = {start}, "write"]
redeploy = {start}, "deploy", "{{deployment_id}}"]
"""
    )
    home = folder / "prod"
    home.mkdir()
    kept = read_env_file(service.home / "understudy.env")
    theirs = {name: value for name, value in kept.items() if name not in {"DATABASE_URL", "UNDERSTUDY_HOME"}}
    set_in_env_file(home / "understudy.env", dict(theirs))


async def test_production_is_switched_back_by_its_own_programs(tmp_path: Path) -> None:
    async with running_service(tmp_path / "home", mode="qwen", window_s=5) as service:
        folder = tmp_path / "operator"
        folder.mkdir()
        configuration(service, folder)
        url = read_env_file(service.home / "understudy.env")["DATABASE_URL"]

        def understudy(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
            done = subprocess.run(
                [sys.executable, "-m", "understudy.cli.app", *arguments, "--env", "prod", "--json"],
                cwd=folder,
                env=variables(folder, PROD_DATABASE_URL=url),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

        code, (found,), said = understudy("preflight", "--back-only")
        assert code == 0, (found, said)
        code, (shown,), _ = understudy("mode", "show")
        assert (shown["mode"]["value"], shown["env_value"]) == ("qwen", "qwen")
        given = ("restore", "--live", "--action", "env_switch", "--reason", "drill")
        code, _, said = understudy(*given)
        assert code == 1
        assert "would change prod" in said
        code, told, said = understudy(*given, "--yes")
        assert code == 0, (told[-3:], said)
        assert read_env_file(service.home / "understudy.env")["TTS_PROVIDER_MODE"] == "modal"
        code, (shown,), _ = understudy("mode", "show")
        assert (shown["mode"]["value"], shown["env_value"], shown["drifting"]) == ("modal", "modal", False)
        code, (smoke,), said = understudy("smoke", "--expect-provider", "modal")
        assert (code, smoke["ok"]) == (0, True), said
        _, (incidents,), _ = understudy("incident", "list")
        (incident,) = incidents["incidents"]
        report = subprocess.run(
            [
                sys.executable,
                "-m",
                "understudy.cli.app",
                "incident",
                "report",
                incident["id"],
                "--env",
                "prod",
            ],
            cwd=folder,
            env=variables(folder),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "Environment(s): prod" in report
        assert "Owner: Grace" in report
        assert "Rollback type used: env switch" in report
        assert len(list((folder / "prod" / "run" / "commands").glob("*.json"))) == 1
        assert await guarded_environment(folder, url) == "prod"


async def guarded_environment(folder: Path, url: str) -> str:
    """What a guard of that environment says that it watches."""
    guard = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "guard", "--env", "prod"),
        cwd=folder,
        env=variables(folder, PROD_DATABASE_URL=url),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert guard.stdout is not None
        ready = json.loads(await asyncio.wait_for(guard.stdout.readline(), 120))
        token = (folder / "prod" / "run" / "operator.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{ready['guard']}/status") as answer,
        ):
            return str((await answer.json())["environment"])
    finally:
        guard.terminate()
        await guard.wait()
