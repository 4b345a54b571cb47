"""``understudy restore``: planned without asking anybody, probed without changing anything, and done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.engine_setting import PLAYBOOK, STEPS, Setting, outcomes
from tests.unit.findings import finding_of
from understudy.cli.account import account
from understudy.cli.commands import app
from understudy.clock import SystemClock
from understudy.errors import ConflictError
from understudy.restoration.approvals import approve, plans_of
from understudy.restoration.guard.by_hand import ByHand
from understudy.restoration.guard.process import GUARD_FILE
from understudy.restoration.incidents import IncidentState
from understudy.settings import ENV_FILE_VARIABLE
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.valves import DESIGN_CREATES, read_valves

pytestmark = pytest.mark.integration

S = IncidentState
#: Nothing listens there.
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/none"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A home whose environment file names this database; the shell names nothing."""
    for name in ("DATABASE_URL", "GUARD_STORE_URL", "UNDERSTUDY_HOME", "UNDERSTUDY_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)

    def make(url: str) -> Path:
        path = tmp_path / "home"
        path.mkdir(exist_ok=True)
        (path / "understudy.env").write_text(f"TTS_PROVIDER_MODE=qwen\nDATABASE_URL={url}\n")
        monkeypatch.setenv(ENV_FILE_VARIABLE, str(path / "understudy.env"))
        return path

    return make


def run(home: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["restore", *words, "--home", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_a_plan_asks_nobody_and_says_what_each_step_would_do(home: Callable[[str], Path]) -> None:
    place = home(NOWHERE)
    plan = json.loads(run(place, "--plan", "--action", "env_switch", "--json").stdout)
    assert (plan["rung"], plan["approvals"], plan["target"]) == (1, 0, "local")
    assert [step["step"] for step in plan["steps"]] == list(STEPS[1:])
    assert {"set": {"TTS_PROVIDER_MODE": "modal"}} in [step["plan"] for step in plan["steps"]]
    said = " ".join(run(place, "--action", "env_switch").output.split())  # a plan is what it prints by itself
    assert "rung 1 env_switch" in said
    assert "nobody's approval" in said
    for action in (rung.action for rung in PLAYBOOK.ladder):
        run(place, "--plan", "--action", action)
    with GuardStore(place / GUARD_FILE, SystemClock()) as store:
        assert store.incidents() == []


def test_a_probe_changes_nothing_and_fails_where_it_could_not_begin(home: Callable[[str], Path]) -> None:
    place = home(NOWHERE)
    probed = json.loads(run(place, "--probe", "--action", "close_valve", "--json", code=1).stdout)
    assert [(step["step"], step["state"]) for step in probed["steps"]] == [
        ("close_valve", "failed"),
        ("read_back", "failed"),
    ]
    assert (place / "understudy.env").read_text().startswith("TTS_PROVIDER_MODE=qwen\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plan", "--live", "--action", "env_switch"), "give one of them"),
        (("--plan",), "--action is missing"),
        (("--plan", "--action", "env_swich"), "write one of"),
        (("--live", "--action", "env_switch"), "needs a reason"),
        (("--live",), "to take one up again"),
        (("--live", "--incident", "inc-none"), "There is no incident"),
        (("--incident", "latest"), "There has been no incident"),
    ],
)
def test_what_makes_no_sense_is_refused(
    home: Callable[[str], Path], words: tuple[str, ...], said: str
) -> None:
    result = run(home(NOWHERE), *words, code=1)
    assert said in " ".join(result.output.split())


async def test_without_a_guard_the_command_does_it_in_the_same_journal(
    home: Callable[[str], Path], database: Database, database_urls: DatabaseUrls
) -> None:
    place = home(database_urls.app.get_secret_value())
    words = ("--live", "--action", "close_valve", "--reason", "designs run away")
    result = await asyncio.to_thread(run, place, *words)
    assert "done and verified" in result.output
    async with database.service() as conn:
        valve = (await read_valves(conn))[DESIGN_CREATES]
    assert valve.closed
    with GuardStore(place / GUARD_FILE, SystemClock()) as store:
        [row] = store.incidents()
        assert (row.state, row.environment) == (S.MITIGATED, "local")
        opened = store.entries(row.id)[0]
        assert (opened.actor, opened.body["action"]) == (f"person:{account()}", "close_valve")
        assert opened.body["mode_at_start"] == "qwen"
        assert store.verify_chain().problems == ()
        lease = store.lease("local")
        assert lease is not None
        assert not store.holds(lease)


# --- through the same door as the command, over a target that counts ----------------------------------------


def by_hand(setting: Setting, person: str = "ada", environment: str = "local") -> ByHand:
    return ByHand(
        store=setting.book.store,
        target=setting.target,  # type: ignore[arg-type]
        playbook=PLAYBOOK,
        policy=None,
        prepare=setting.bench.prepare,
        clock=setting.bench.clock,
        environment=environment,
        known_good="modal",
        person=person,
    )


def let_go(setting: Setting) -> None:
    """The guard of the setting ends and gives its lease back."""
    assert setting.book.lease is not None
    setting.book.store.release(setting.book.lease)


async def test_a_running_guard_carries_the_request_out(setting: Setting) -> None:
    """The setting's engine is the guard: it holds the lease, so the command only asks and follows."""
    hand = by_hand(setting)
    row = await hand.request("env_switch", reason="Qwen is slow")
    told: list[Any] = []
    following = asyncio.create_task(hand.carry_out(row.id, told=told.append))
    assert await setting.engine().tend(row.id) is S.MITIGATED
    assert await asyncio.wait_for(following, 30) == "done"
    assert outcomes(setting.book, row.id) == [(name, True) for name in STEPS]
    assert setting.target.effects("deploy") == [f"{row.id}:env_switch:redeploy"]
    assert any(entry.kind == "outcome" and entry.step == "verification" for entry in told)


async def test_a_failed_run_says_so_and_can_be_taken_up_again(setting: Setting) -> None:
    let_go(setting)
    hand = by_hand(setting)
    setting.target.fails = "api was not ready within 30 s"
    row = await hand.request("env_switch", reason="Qwen is slow")
    assert await hand.carry_out(row.id) == "failed"
    setting.target.fails = None
    setting.bench.clock.advance(PLAYBOOK.limits.hold_retry_s + 1)
    assert await hand.carry_out(row.id) == "done"
    assert setting.target.effects("deploy") == [
        f"{row.id}:env_switch:redeploy",
        f"{row.id}:env_switch:redeploy:2",
    ]


async def test_what_another_environment_needs_is_not_done_to_this_one(setting: Setting) -> None:
    incident = setting.open(finding=finding_of("playback/stalls"))
    let_go(setting)
    hand = by_hand(setting, environment="prod")
    with pytest.raises(ConflictError, match="an incident of local, not of prod"):
        await hand.carry_out(incident)
    with pytest.raises(ConflictError, match="an incident of local, not of prod"):
        hand.plan("env_switch", incident=incident)
    assert setting.target.effects("deploy") == []
    assert setting.book.store.lease("prod") is None


async def test_a_paused_finding_waits_for_one_person_then_runs(setting: Setting) -> None:
    incident = setting.open(finding=finding_of("playback/stalls"))
    let_go(setting)
    hand = by_hand(setting)
    assert await hand.carry_out(incident) == "waits"
    plan = plans_of(setting.book.entries(incident))["env_switch"]
    approve(setting.book.store, incident, person="ben", plan=plan.sha256, now=setting.bench.clock.now())
    assert await hand.carry_out(incident) == "done"
