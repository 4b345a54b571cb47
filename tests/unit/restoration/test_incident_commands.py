from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.unit.findings import finding_of
from understudy.cli.commands import app
from understudy.clock import SystemClock
from understudy.restoration.guard.process import GUARD_FILE, operator_token
from understudy.restoration.incidents import IncidentBook, IncidentState, add_note, close_by_person
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit


@pytest.fixture
def home(tmp_path: Path) -> Path:
    clock = SystemClock()
    with GuardStore(tmp_path / GUARD_FILE, clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "a", lifetime_s=10)
        at = datetime.now(UTC)
        finding = Finding(
            trigger="success_rate", check="rate", verdict=Verdict.FAIL, mode="auto", cures=("env_switch",),
            evaluated_at=at, detail="9 of 9 calls failed", provider="qwen", mode_epoch=3, subject="speak",
            n=9, failures=9,
        )  # fmt: skip
        facts = {"environment": "local", "owner": "on call"}
        onset = at - timedelta(seconds=42)
        incident = book.open(finding, onset=onset, action="env_switch", instruction=None, facts=facts).id
        book.move(incident, IncidentState.HOLD, body={"reason": "modal is down too"})
    return tmp_path


def run(home: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["incident", *arguments, "--home", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_list_show_and_report_for_people_and_programs(home: Path) -> None:
    listed = json.loads(run(home, "list", "--json").stdout)["incidents"]
    assert [(row["state"], row["environment"]) for row in listed] == [("HOLD", "local")]
    assert listed[0]["id"] in run(home, "list").stdout
    shown = json.loads(run(home, "show", "latest", "--json").stdout)
    assert [entry["kind"] for entry in shown["journal"]] == ["opened", "state"]
    assert "modal is down too" in run(home, "show", listed[0]["id"]).stdout
    assert "Incident title:" in run(home, "report", "latest").stdout
    assert json.loads(run(home, "report", "latest", "--json").stdout)["state"] == "HOLD"


def test_a_person_closes_and_the_written_report_verifies(home: Path) -> None:
    row = json.loads(run(home, "close", "latest", "--reason", "Modal is back", "--json").stdout)
    assert row["state"] == "CLOSED"
    report = home / "reports" / f"{row['id']}.json"
    assert "Modal is back" in (home / "reports" / f"{row['id']}.md").read_text()
    verified = json.loads(run(home, "verify", "--json").stdout)
    assert verified["ok"] is True
    assert verified["reports"][row["id"]]["detail"] == "as it was written"
    report.write_text(report.read_text().replace("9 of 9", "1 of 9"))
    assert json.loads(run(home, "verify", "latest", "--json", code=1).stdout)["ok"] is False


def test_an_altered_journal_fails_verification(home: Path) -> None:
    with sqlite3.connect(home / GUARD_FILE) as conn:
        conn.execute("DROP TRIGGER journal_is_never_changed")
        conn.execute("UPDATE journal SET actor = 'nobody' WHERE seq = 1")
    conn.close()
    found = json.loads(run(home, "verify", "--json", code=1).stdout)
    assert "entry 1 was altered" in found["journal"]["problems"]


def test_unknown_incidents_and_empty_reasons_are_said(home: Path) -> None:
    assert "There is no incident inc-0" in run(home, "show", "inc-0", code=1).stderr
    assert "needs a reason" in run(home, "close", "latest", "--reason", " ", code=1).stderr


def test_the_timeline_counts_from_the_onset_and_names_what_each_line_rests_on(home: Path) -> None:
    shown = run(home, "show", "latest").stdout
    assert "T+42s" in shown
    assert "success_rate/rate on qwen epoch 3: 9 of 9; the guard acts: env_switch" in " ".join(shown.split())
    assert "Nobody has acknowledged it" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if "understudy incident ack" not in line)


@pytest.mark.parametrize(
    ("check", "counts", "said"),
    [
        (
            "cost/design_repeats",
            (8, 3),
            "cost/design_repeats: 8 billed creates, 3 beyond the limit; a person",
        ),
        ("data_integrity/orphaned_tasks", (4, 4), "data_integrity/orphaned_tasks; a person"),
    ],
)
def test_only_a_part_of_a_whole_reads_as_one(
    home: Path, check: str, counts: tuple[int, int], said: str
) -> None:
    with GuardStore(home / GUARD_FILE, SystemClock()) as store:
        book = IncidentBook(store, "local", SystemClock())
        book.lease = store.acquire("local", "a", lifetime_s=10)
        n, failures = counts
        book.join(store.incidents()[0].id, finding_of(check, n=n, failures=failures))
    assert said in " ".join(run(home, "show", "latest").stdout.split())


def test_people_leave_their_word_and_secrets_are_taken_out(home: Path) -> None:
    (home / "understudy.env").write_text("JWT_SECRET=hunter22-hunter22-hunter22\n")
    assert json.loads(run(home, "ack", "latest", "--json").stdout)["kind"] == "ack"
    token = operator_token(home)
    run(home, "note", "latest", f"the secret is hunter22-hunter22-hunter22 and {token}")
    shown = run(home, "show", "latest").stdout
    assert "Acknowledged by" in shown
    assert "[redacted]" in shown
    assert "hunter22" not in shown
    assert token not in shown
    assert "needs some text" in run(home, "note", "latest", "  ", code=1).stderr
    assert json.loads(run(home, "list", "--state", "hold", "--json").stdout)["incidents"][0][
        "acknowledged_by"
    ]
    assert json.loads(run(home, "list", "--state", "CLOSED", "--json").stdout) == {"incidents": []}
    run(home, "close", "latest", "--reason", "over")
    assert "nothing is added" in run(home, "ack", "latest", code=1).stderr


def test_watch_tells_each_line_as_it_is_written_until_it_is_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            with GuardStore(home / GUARD_FILE, SystemClock()) as store:
                add_note(store, store.incidents()[0].id, person="ann", text="meanwhile")
        elif len(looks) == 2:
            with GuardStore(home / GUARD_FILE, SystemClock()) as store:
                close_by_person(store, store.incidents()[0].id, person="ann", reason="enough")
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("understudy.cli.incident.time.sleep", look)
    lines = [json.loads(line) for line in run(home, "watch", "--json").stdout.splitlines()]
    assert [(line["kind"], line["seq"]) for line in lines] == [
        ("opened", 1), ("state", 2), ("note", 3), ("state", 4),
    ]  # fmt: skip
    assert "is CLOSED." in run(home, "watch", "latest").stdout


def test_watch_waits_for_a_first_incident_and_leaves_on_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    GuardStore(tmp_path / GUARD_FILE, SystemClock()).close()

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("understudy.cli.incident.time.sleep", leave)
    assert "Waiting for one" in run(tmp_path, "watch").stdout
    assert run(tmp_path, "watch", "--json").stdout == ""


def test_a_broken_setting_hides_no_incident(home: Path) -> None:
    (home / "understudy.env").write_text("TTS_PROVIDER_MODE=nonsense\nMAX_ACTIVE_STREAMS=x\n")
    assert len(json.loads(run(home, "list", "--json").stdout)["incidents"]) == 1
    run(home, "note", "latest", "still here")
    # The store's own address is read, whatever else is wrong.
    (home / "understudy.env").write_text(
        "MAX_ACTIVE_STREAMS=x\nGUARD_STORE_URL=postgresql://u:p@127.0.0.1:9/g\n"
    )
    assert "GUARD_STORE_URL cannot be used" in run(home, "list", code=1).stderr
