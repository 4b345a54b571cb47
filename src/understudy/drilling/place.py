"""Where a drill happens: a whole service of its own, with tenants that speak, players, and two persons."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from understudy.audio.wav import join, read_wav, write_wav
from understudy.demo.service import Service, running_service, without_settings
from understudy.demo.story import RECORDINGS
from understudy.demo.tenant import Tenant
from understudy.demo.traffic import Tally, traffic
from understudy.drilling.following import DrillError
from understudy.drilling.players import Players, playing
from understudy.drilling.policy import WINDOW_S, drill_policy
from understudy.envfile import read_env_file
from understudy.resources import samples_dir
from understudy.restoration.targets.base import DeploymentState
from understudy.restoration.targets.local import CONTROL_FILE
from understudy.restoration.targets.supervisor_client import SupervisorClient
from understudy.settings import Settings, settings_from
from understudy.store.migrations import connect_owner

#: So many players that what they report is not one listener's trouble (`minimum_users` of the policy).
SPEAKERS, PLAYERS = 3, 3
#: Texts that must have been spoken before anything is broken.
HEALTHY_FIRST = 12
HEALTHY_WITHIN_S = 90.0
COMMAND_S = 180.0
CANARY = "canary-of-the-drill-4711"
_SETTINGS: Mapping[str, str] = {
    "PLANTED_CANARIES": CANARY,
    "MAX_ACTIVE_STREAMS": "64",
    "BUDGET_CREATES_HOUR": "0",
    "BUDGET_CREATES_TENANT_HOUR": "0",
}


@dataclass
class Place:
    """A running service under live load.

    Parameters
    ----------
    approvers
        Operator keys of two persons.
    planted
        What a fault put in and has to take out again.
    """

    service: Service
    http: aiohttp.ClientSession
    tenants: Sequence[tuple[Tenant, str]]
    players: Players
    tally: Tally
    approvers: tuple[str, str]
    planted: dict[str, Any] = field(default_factory=dict)

    @property
    def env_file(self) -> Path:
        """The durable environment file."""
        return self.service.home / "understudy.env"

    def settings(self) -> Settings:
        """Settings as a process started now reads them."""
        return settings_from(read_env_file(self.env_file))

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection as the schema's owner."""
        conn = await connect_owner(self.settings().migration_database_url)
        try:
            yield conn
        finally:
            await conn.close()

    async def command(self, *arguments: str) -> str:
        """Run a command of ours on this service's home; return what it printed.

        Raises
        ------
        DrillError
            It failed or took too long; its last words are in the message.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "understudy.cli.app", *arguments, "--home", str(self.service.home)),
            env=without_settings(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                said, _ = await process.communicate()
        except TimeoutError:
            raise DrillError(
                f"`understudy {' '.join(arguments)}` took longer than {COMMAND_S:g} s."
            ) from None
        finally:
            # Cut off too: it must not write into a folder that is being removed.
            if process.returncode is None:
                process.kill()
                await process.wait()
        words = said.decode(errors="replace").strip()
        if process.returncode != 0:
            last = words.splitlines()[-1] if words else "no word from it"
            raise DrillError(f"`understudy {' '.join(arguments)}` failed: {last}")
        return words

    async def healthy(self) -> None:
        """Wait until enough was spoken on a service where nothing is broken."""
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while self.tally.spoken < HEALTHY_FIRST:
            if time.monotonic() > deadline:
                raise DrillError(
                    f"Healthy speech did not come up: {self.tally.last_error or 'no text ended'}."
                )
            await asyncio.sleep(0.1)

    async def redeploy(self, *kinds: str) -> None:
        """Start processes of ``kinds`` anew from the environment file, as a person would."""
        supervisor = SupervisorClient(self.service.home / CONTROL_FILE)
        identifier = f"drill-{secrets.token_hex(6)}"
        await supervisor.begin(identifier, kinds)
        while True:
            deployment = await supervisor.deployment(identifier)
            if deployment is not None and deployment.state is not DeploymentState.RUNNING:
                if deployment.error:
                    raise DrillError(f"The redeploy that the drill asked for failed: {deployment.error}")
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def place(
    folder: Path, *, mode: str, settings: Mapping[str, str], streams: bool
) -> AsyncIterator[Place]:
    """Start everything under ``folder``; stop it and remove its database at the end, whatever happens.

    Parameters
    ----------
    streams
        Whether players stream beside the tenants that speak.

    Raises
    ------
    DemoError
        The service did not start.
    """
    chosen = {**_SETTINGS, "PLAYBOOK_FILE": str(drill_policy(folder)), **settings}
    async with (
        running_service(folder / "home", mode=mode, window_s=WINDOW_S, settings=chosen) as service,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
        ) as http,
    ):
        tenants = await _tenants(service, http)
        players = Players(http, service.api, tenants[SPEAKERS:] if streams else ())
        async with traffic(tenants[:SPEAKERS]) as tally, playing(players):
            here = Place(service, http, tenants, players, tally, ("", ""))
            here.approvers = (await _operator(here, "ada"), await _operator(here, "ben"))
            yield here


async def _tenants(service: Service, http: aiohttp.ClientSession) -> list[tuple[Tenant, str]]:
    clips = [read_wav((samples_dir() / name).read_bytes()) for name in RECORDINGS]
    recording, transcript = write_wav(join(clips)), " ".join(RECORDINGS.values())
    tenants = []
    for number in range(SPEAKERS + PLAYERS):
        tenant = Tenant(http, service.api, f"drill{number}")
        await tenant.sign_up()
        tenants.append((tenant, await tenant.clone("Drill", recording, transcript)))
    return tenants


async def _operator(here: Place, name: str) -> str:
    """Make an operator's key for one of the two persons."""
    said = await here.command("guard-keys", "create", f"drill-{name}", "--json")
    return str(json.loads(said)["key"])
