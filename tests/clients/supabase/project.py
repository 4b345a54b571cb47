"""A customer's project: its repository, the stand-in that hosts it, and the deployed function, served."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from tests.clients.supabase.edge_runtime import EdgeRuntime, edge_runtime
from understudy.clock import Clock, SystemClock
from understudy.restoration.targets.supabase import Patience, SupabaseProject, SupabaseTarget
from understudy.standins.management.project import Project, Secret
from understudy.standins.management.server import ManagementServer

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_" + "0123456789abcdef" * 2 + "01234567"
GOOD_TAG = "known-good"
#: What the project holds besides the mode: none of it may move.
OTHERS = {"MODAL_JOB_SUBMIT": "https://modal.example/submit?key=1#frag", "DASHSCOPE_API_KEY": "sk-1"}
PATIENCE = Patience(command_s=60, settle_s=1.0, throttled_s=30, request_s=15, look_every_s=0.1, pace_s=0.05)
#: For answers that never come: the CLI has long asked by then.
IMPATIENCE = replace(PATIENCE, command_s=10)

_FUNCTION = """\
const mode = Deno.env.get("TTS_PROVIDER_MODE");
Deno.serve((request) => {
  const path = new URL(request.url).pathname;
  const health = { ok: %(ok)s, revision: "%(name)s" };
  if (path === "/api/health") return Response.json(health, { status: %(status)d });
  if (path === "/api/languages") return Response.json({ provider: mode, languages: [] });
  return Response.json({ detail: "Not found" }, { status: 404 });
});
"""
_CONFIG = """\
project_id = "example"

[functions.api]
verify_jwt = %s

[edge_runtime.secrets]
FROM_CONFIG = "must never reach the project"
"""


def seed_with_hits(fault: str, hits: int) -> int:
    """A seed of the fault panel with which ``fault`` at 0.5 strikes so often, and then not."""
    for seed in range(100_000):
        dice = random.Random(f"{seed}/{fault}")
        if all(dice.random() < 0.5 for _ in range(hits)) and dice.random() >= 0.5:
            return seed
    raise AssertionError("no such seed")


class Repository:
    """The customer's code: ``known-good`` is tagged, ``main`` is ahead of it and broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("good", ok=True)
        self.git("tag", GOOD_TAG)
        self.commit("broken", ok=False)

    def git(self, *arguments: str) -> str:
        identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example", "GIT_CONFIG_GLOBAL": os.devnull}
        identity |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example"}
        # The same commits on every machine.
        identity |= dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-11-24T12:00:00Z")
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **identity},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, name: str, *, ok: bool = True, verify_jwt: bool = False, function: str = "api") -> str:
        code = self.folder / "supabase" / "functions" / function / "index.ts"
        code.parent.mkdir(parents=True, exist_ok=True)
        values = {"ok": str(ok).lower(), "name": name, "status": 200 if ok else 500}
        code.write_text(_FUNCTION % values)
        (self.folder / "supabase" / "config.toml").write_text(_CONFIG % str(verify_jwt).lower())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", name)
        return self.commit_of("HEAD")

    def commit_of(self, revision: str) -> str:
        return self.git("rev-parse", f"{revision}^{{commit}}")


@dataclass
class Hosted:
    """All of it together."""

    server: ManagementServer
    url: str
    edge: EdgeRuntime
    repository: Repository
    home: Path
    settings: SupabaseProject
    clock: Clock

    @property
    def project(self) -> Project:
        return self.server.projects[REF]

    def target(self, *, patience: Patience | None = None, **more: Any) -> SupabaseTarget:
        """A target as a process that has just started builds it."""
        settings = replace(self.settings, patience=patience or PATIENCE)
        return SupabaseTarget(settings, self.home, self.clock, **more)

    def strike(self, seed: int | None = None, **faults: float) -> None:
        self.server.panel.change(faults | ({"seed": seed} if seed is not None else {}))

    def set_secrets(self, values: Mapping[str, str]) -> None:
        now = self.clock.now()
        self.project.secrets |= {name: Secret(value, now) for name, value in values.items()}

    def values(self) -> dict[str, str]:
        return {name: secret.value for name, secret in self.project.secrets.items()}

    def count(self, request: str) -> int:
        return sum(f"{method} {path}" == request for method, path in self.server.requests)


@asynccontextmanager
async def hosted(folder: Path, command: tuple[str, ...], clock: Clock | None = None) -> AsyncIterator[Hosted]:
    """A project whose mode is qwen, with nothing deployed yet."""
    clock = clock or SystemClock()
    async with edge_runtime(folder) as edge:
        server = ManagementServer(SecretStr(TOKEN), [REF], clock, deployed=edge.deployed)
        runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        repository = Repository(folder / "repository")
        settings = SupabaseProject(
            ref=REF,
            token=SecretStr(TOKEN),
            base_url=edge.address,
            source=repository.folder,
            revision="main",
            command=command,
            api_url=url,
        )
        project = Hosted(server, url, edge, repository, folder / "home", settings, clock)
        project.strike(requests_per_minute=100_000)
        project.set_secrets({"TTS_PROVIDER_MODE": "qwen", **OTHERS})
        try:
            yield project
        finally:
            await runner.cleanup()
