"""``understudy incident approve|abort|hold|resume``, as a person types them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from understudy.cli.account import account
from understudy.cli.commands import app
from understudy.cli.guard_home import KEY_VARIABLE
from understudy.clock import SystemClock
from understudy.errors import ConflictError
from understudy.restoration.approvals import approve
from understudy.restoration.guard.process import GUARD_FILE
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.store.guard import MACHINE_KEY, GuardStore

pytestmark = pytest.mark.unit

SHA = "0123456789abcdef" * 4


def told(home: Path, *, requested_by: str = "guard", approvals: int = 1) -> str:
    """An incident on HOLD whose code rollback waits for approval."""
    clock = SystemClock()
    with GuardStore(home / GUARD_FILE, clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "a", lifetime_s=60)
        incident = book.open(finding_of(), onset=None, action="env_switch", facts={}).id
        body = {
            "action": "code_rollback", "attempt": 1, "title": "Code rollback", "rung": 2,
            "rollback_type": "code rollback", "plan_sha256": SHA, "approvals": approvals,
            "plan": [
                {"step": "deploy_revision", "changes": True, "time_box_s": 300, "plan": {"revision": "v1.4"}}
            ],
            "requested_by": requested_by, "proposal": 1, "parameters": {},
            "expires_at": (clock.now() + timedelta(minutes=15)).isoformat(),
        }  # fmt: skip
        book.append(incident, "plan", body=body)
        book.move(incident, IncidentState.HOLD, body={"reason": "it waits for approval"})
        assert book.lease is not None
        store.release(book.lease)
    return incident


def run(home: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["incident", *words, "--home", str(home)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def journal(home: Path) -> list[Any]:
    with GuardStore(home / GUARD_FILE, SystemClock()) as store:
        return store.entries()


def test_the_plan_is_read_and_agreed_to(tmp_path: Path) -> None:
    incident = told(tmp_path, approvals=2)
    shown = run(tmp_path, "show", "latest")
    assert "Approval wanted: code_rollback, plan 0123456789ab, 2 distinct" in shown
    assert "revision: v1.4" in shown
    said = run(tmp_path, "approve", "latest", "--plan", "0123456789ab")
    assert "1 more must agree" in said
    assert f"No guard runs: understudy restore --live --incident {incident}" in said
    assert f"agreed: {account()}" in run(tmp_path, "show", incident)
    assert journal(tmp_path)[-1].actor == f"person:{account()}"
    assert "agreed to this plan already" in run(tmp_path, "approve", "latest", "--plan", SHA, code=1)


def test_on_one_account_persons_are_told_apart_by_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(tmp_path, approvals=2)
    with GuardStore(tmp_path / GUARD_FILE, SystemClock()) as store:
        store.add_operator("the-key-of-this-home", MACHINE_KEY)
        keys = {name: store.operators.create(name)[1] for name in ("ada", "ben")}
    for person, key in keys.items():
        monkeypatch.setenv(KEY_VARIABLE, key)
        run(tmp_path, "approve", "latest", "--plan", SHA)
        assert journal(tmp_path)[-1].actor == f"person:{person}"
    monkeypatch.setenv(KEY_VARIABLE, "the-key-of-this-home")
    assert "no person's good key" in run(tmp_path, "approve", "latest", "--plan", SHA, code=1)
    with (
        GuardStore(tmp_path / GUARD_FILE, SystemClock()) as store,
        pytest.raises(ConflictError, match="nobody's word"),
    ):
        approve(store, "inc-any", person=MACHINE_KEY, plan=SHA, now=SystemClock().now())


def test_an_account_is_who_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(tmp_path, requested_by=f"person:{account()}")
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert "somebody else must agree" in run(tmp_path, "approve", "latest", "--plan", SHA, code=1)


def test_latest_is_of_the_environment_that_is_named(tmp_path: Path) -> None:
    mine, clock = told(tmp_path), HandClock(SystemClock().now() + timedelta(hours=1))
    with GuardStore(tmp_path / GUARD_FILE, clock) as store:
        book = IncidentBook(store, "staging", clock)
        book.lease = store.acquire("staging", "a", lifetime_s=60)
        book.open(finding_of(), onset=None, action="env_switch", facts={})
    assert json.loads(run(tmp_path, "show", "latest", "--json"))["id"] == mine


def test_who_asked_breaks_the_glass_with_a_reason(tmp_path: Path) -> None:
    told(tmp_path, requested_by=f"person:{account()}")
    refused = run(tmp_path, "approve", "latest", "--plan", SHA, code=1)
    assert "somebody else must agree" in refused
    assert "needs a reason" in run(tmp_path, "approve", "latest", "--plan", SHA, "--break-glass", code=1)
    alone = ("approve", "latest", "--plan", SHA, "--break-glass", "--reason", "alone on call", "--json")
    document = json.loads(run(tmp_path, *alone))
    assert (document["kind"], document["body"]["break_glass"]) == ("approval", True)
    assert "breaks the glass for code_rollback: alone on call" in run(tmp_path, "show", "latest")


def test_orders_are_journaled_with_who_and_why(tmp_path: Path) -> None:
    told(tmp_path)
    assert "is held" in run(tmp_path, "hold", "latest", "--reason", "wait")
    assert "held already" in run(tmp_path, "hold", "latest", "--reason", "wait", code=1)
    assert "goes on" in run(tmp_path, "resume", "latest", "--reason", "go")
    assert "consistent side" in run(tmp_path, "abort", "latest", "--reason", "a false alarm")
    assert [entry.kind for entry in journal(tmp_path)][-3:] == ["hold", "resume", "abort"]
    shown = run(tmp_path, "show", "latest")
    for word in ("a false alarm", "proposed for approval by 1", "wait"):
        assert word in shown
