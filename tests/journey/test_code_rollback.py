"""Two revisions in a scratch repository: the first is known-good, the second broken; and the way back."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.journey.test_up import Up, made_home, running
from tests.scratch_repository import command_of, commit_all, copy_of_this_repository, environment_of, git
from understudy.cli.guard_home import KEY_VARIABLE
from understudy.clock import SystemClock
from understudy.demo.story import RECORDINGS
from understudy.demo.tenant import RefusedError, Tenant
from understudy.resources import samples_dir
from understudy.store.guard import GUARD_FILE, GuardStore
from understudy.store.journal import JournalEntry

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(900)]

DIGITS = "four seven one nine three eight"
#: From the order to the verified end (design.md).
GOAL_S = 300
LATER = "20991231000000"
GENERATE = "src/understudy/api/routes/generations.py"


@dataclass
class Streams:
    """What became of bodies that began to be sent."""

    whole: int = 0
    refused: int = 0
    cut: list[str] = field(default_factory=list)


@asynccontextmanager
async def streaming(api: str, token: str, voice: str) -> AsyncIterator[Streams]:
    """Speak without a pause until the block ends: a body that began must end whole, a refusal is JSON."""
    found, over = Streams(), asyncio.Event()
    order = {"model": "tts-1", "voice": voice, "input": " ".join([DIGITS] * 4), "response_format": "mp3"}

    async def speak() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(api, headers=headers, connector=connector) as http:
            while not over.is_set():
                began = False
                try:
                    async with http.post("/v1/audio/speech", json=order) as answer:
                        began = answer.status == 200
                        body = await answer.read()
                    found.whole += began and len(body) > 1000
                    found.refused += not began
                except (aiohttp.ClientError, TimeoutError) as error:
                    found.cut.append(f"{'after' if began else 'before'} its begin: {error!r}")
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(speak()) for _ in range(3)]
    try:
        yield found
    finally:
        over.set()
        await asyncio.gather(*tasks)


class Machine:
    """The scratch repository, its home, and the commands of both."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.home = home
        self.first = copy_of_this_repository(self.repository)
        self._keys: dict[str, str] = {}
        git(self.repository, "tag", "v1.0")

    def _key_of(self, person: str) -> str:
        """The guard key of one of the persons on this account."""
        if person not in self._keys:
            with GuardStore(self.home / GUARD_FILE, SystemClock()) as store:
                self._keys[person] = store.operators.create(person)[1]
        return self._keys[person]

    async def understudy(self, *arguments: str, code: int = 0, person: str = "") -> Any:
        """Run a command of the code that is checked out, as a person; its lines of JSON, or its complaint."""
        key = {KEY_VARIABLE: self._key_of(person)} if person else {}
        process = await asyncio.create_subprocess_exec(
            *command_of(self.repository, *arguments, "--home", str(self.home), "--json"),
            env=environment_of(self.repository) | key,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == code, err.decode() + out.decode()
        return [json.loads(line) for line in out.splitlines()] if out else err.decode()

    def break_it(self) -> str:
        """Commit a revision that answers 500 where a task is started, and that wants one migration more."""
        route = self.repository / GENERATE
        text = route.read_text()
        broken = text.replace(
            "    task = await generations.start_generation(", "    task = await undefined_name("
        )
        assert broken != text
        route.write_text(broken)
        later = self.repository / "migrations" / f"{LATER}_later.sql"
        later.write_text("create table understudy.later (id bigint primary key);\n")
        return commit_all(self.repository, "second, broken")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with made_home(tmp_path) as home:
        yield Machine(tmp_path, home)


def journal(machine: Machine, incident: str) -> list[JournalEntry]:
    with GuardStore(machine.home / GUARD_FILE, SystemClock()) as store:
        return list(store.entries(incident))


def outcomes(entries: list[JournalEntry]) -> dict[str, dict[str, Any]]:
    return {str(entry.step): dict(entry.body) for entry in entries if entry.kind == "outcome"}


async def ordered(machine: Machine) -> tuple[str, str]:
    """A person asks for the rung; the incident and the plan that waits for another person's word."""
    asked = await machine.understudy(
        *("restore", "--live", "--action", "code_rollback", "--reason", "generate answers 500"),
        person="ann",
        code=3,
    )
    incident = asked[-1]["incident"]
    assert asked[-1] == {"incident": incident, "standing": "waits"}
    return incident, next(e.body["plan_sha256"] for e in journal(machine, incident) if e.kind == "plan")


async def test_code_goes_back_while_streams_go_on(machine: Machine) -> None:
    code = {"PYTHONPATH": str(machine.repository / "src")}
    async with running(machine.home, "--mode", "qwen", **code) as up, aiohttp.ClientSession() as http:
        assert up.addresses["release"] == "checkout"
        assert up.addresses["revision"] == machine.first
        (told,) = await machine.understudy("known-good", "record", "--reason", "first release")
        (record,) = told["known_good"]
        assert (record["git"]["tag"], record["release"]["revision"]) == ("v1.0", machine.first)

        second = machine.break_it()
        (refused,) = await machine.understudy("releases", "deploy", "HEAD", code=1)
        assert f"lacks migration {LATER}" in refused["error"]
        assert {row["revision"] for row in await processes(up)} == {machine.first}
        migrate(machine, second)
        await machine.understudy("releases", "deploy", "HEAD")
        assert {row["revision"] for row in await processes(up)} == {second}

        tenant = Tenant(http, up.addresses["api"], "reader")
        await tenant.sign_up()
        name, transcript = next(iter(RECORDINGS.items()))
        voice = await tenant.clone("reader", (samples_dir() / name).read_bytes(), transcript)
        with pytest.raises(RefusedError):
            await tenant.speak(voice, DIGITS)

        (probed,) = await machine.understudy("restore", "--probe", "--action", "code_rollback")
        assert probed["ok"], probed
        async with streaming(up.addresses["api"], tenant.access_token, voice) as streams:
            incident, plan = await ordered(machine)
            approve = ("incident", "approve", incident, "--plan", plan[:12])
            assert "ann" in await machine.understudy(*approve, person="ann", code=1)
            assert {row["revision"] for row in await processes(up)} == {second}
            await machine.understudy(*approve, person="bob")
            # The guard of `up` carries it out; this only looks on.
            followed = await machine.understudy("restore", "--live", "--incident", incident)
        assert followed[-1] == {"incident": incident, "standing": "done"}
        assert streams.cut == []
        assert streams.whole > 0

        entries = journal(machine, incident)
        ended = outcomes(entries)
        assert list(ended) == ["evidence", "precheck", "deploy_revision", "read_back", "verification"]
        assert all(body["ok"] for body in ended.values())
        approved = next(entry for entry in entries if entry.kind == "approval")
        verified = next(e for e in entries if e.kind == "outcome" and e.step == "verification")
        took_s = (verified.at - approved.at).total_seconds()
        assert took_s < GOAL_S
        precheck, back = ended["precheck"]["evidence"], ended["read_back"]["evidence"]
        assert precheck["schema"]["newer"] == [LATER]
        assert precheck["rebuilt"] is False
        assert "applied database migrations" in back["not_reverted"]
        assert "remote secrets" in back["detail"]
        live = {row["revision"] for row in back["processes"] if row["kind"] in {"api", "worker"}}
        assert live == {machine.first}
        assert (await tenant.speak(voice, DIGITS)).provider == "modal"
        print(f"code rollback: {took_s:.1f} s, {streams.whole} streams whole, {streams.refused} refused")

        # A second order finds the known-good revision served already, and says so.
        (probed,) = await machine.understudy("restore", "--probe", "--action", "code_rollback", code=1)
        assert "already serves" in json.dumps(probed)
        await up.stop(signal.SIGKILL)
    # What is checked out now is the broken revision: a restarted machine goes on with the known-good release.
    async with running(machine.home, **code) as up:
        assert up.addresses["release"] == machine.first[:12]
        assert {row["revision"] for row in await processes(up)} == {machine.first}
        await machine.understudy("releases", "deploy", "checkout")
        assert {row["revision"] for row in await processes(up)} == {second}
        assert not (machine.home / "run" / "release.json").exists()
        await up.stop()


def migrate(machine: Machine, revision: str) -> None:
    """As a person does before a revision that needs it: by that release's own program."""
    program = machine.home / "releases" / revision[:12] / "bin" / "understudy"
    clean = {
        name: value for name, value in environment_of(machine.repository).items() if name != "PYTHONPATH"
    }
    environment = clean | {"UNDERSTUDY_ENV_FILE": str(machine.home / "understudy.env")}
    done = subprocess.run(
        [program, "db", "migrate", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    assert [one["version"] for one in json.loads(done.stdout)["applied"]] == [LATER]


async def processes(up: Up) -> list[dict[str, Any]]:
    rows = (await up.control("GET", "/v1/status"))["processes"]
    return [row for row in rows if row["name"] in {"api", "worker"} and row["state"] == "ready"]
