from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from tests.unit.restored_incident import NAMES, START, Told, check, smoke_run, tell
from understudy.errors import ValidationError
from understudy.logs import Redactor
from understudy.restoration.incidents import IncidentBook, acknowledge
from understudy.restoration.report import IncidentReport, build_report, verify_report, write_report
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.verification.evidence import Outcome
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry, digest

pytestmark = pytest.mark.unit

TEMPLATE = (
    "Incident title:",
    "Date/time started (UTC):",
    "Date/time mitigated (UTC):",
    "Environment(s):",
    "Trigger condition(s):",
    "User impact summary:",
    "Provider mode at incident start:",
    "Mitigation actions taken:",
    "Rollback type used:",
    "Verification evidence:",
    "Open follow-ups:",
    "Owner:",
)

NOW = START + timedelta(hours=1)


def report(told: Told, **more: Any) -> IncidentReport:
    options: dict[str, Any] = {
        "checklist": told.checklist.to_json(),
        "smoke": told.smoke.to_json(),
        "generated_at": NOW,
        **more,
    }
    return build_report(told.row, told.entries, **options)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return tell(tmp_path_factory.mktemp("guard"))


def test_the_twelve_fields_stand_in_the_templates_order_and_spelling(told: Told) -> None:
    made = report(told)
    block = made.markdown().split("```")[1].removeprefix("text\n").strip().splitlines()
    assert [line[: line.index(":") + 1] for line in block] == list(TEMPLATE)
    assert [f"{name}:" for name in made.document["fields"]] == list(TEMPLATE)


def test_the_fields_say_what_the_journal_says(told: Told) -> None:
    fields = report(told).document["fields"]
    assert fields["Date/time started (UTC)"] == "2026-01-31 12:00:03.000 (first failed call)"
    assert fields["Date/time mitigated (UTC)"] == "2026-01-31 12:02:14.500"
    assert fields["Environment(s)"] == "local"
    assert fields["Trigger condition(s)"].startswith(
        "1. Generate success rate drops below agreed SLO for two consecutive windows. Found: 14 of 40"
    )
    assert fields["User impact summary"].startswith("21 of 60 users' calls to qwen failed")
    assert "5 of 7 users who called were affected" in fields["User impact summary"]
    assert "21 generations failed" in fields["Open follow-ups"]
    assert fields["Provider mode at incident start"] == "qwen"
    for step in ("live_override", "durable_env", "redeploy"):
        assert step in fields["Mitigation actions taken"]
    assert "read_back" not in fields["Mitigation actions taken"]
    assert fields["Rollback type used"] == "env switch"
    assert fields["Verification evidence"].startswith("checklist 8 of 8")
    assert told.smoke.evidence_hash in fields["Verification evidence"]
    assert "each speaks on Modal from its stored reference" in fields["Open follow-ups"]
    assert fields["Owner"] == "unassigned"


def test_times_and_intervals_come_from_the_journal(told: Told) -> None:
    document = report(told).document
    assert document["times"]["detected"] == (START + timedelta(seconds=121)).isoformat()
    seconds = {item["name"]: item["seconds"] for item in document["intervals"]}
    # opened at 121 s, decided 1 s later, six steps of 2.5 s: read back at 134.5 s, verified at 137 s
    assert seconds == {
        "MTTD": 118.0,
        "MTTM": 131.5,
        "MTTR": 264.0,
        "detected to mitigated": 13.5,
        "detected to verified": 16.0,
    }


def test_every_row_is_on_the_timeline_with_its_hash(told: Told) -> None:
    made = report(told)
    assert [(row["seq"], row["sha256"]) for row in made.document["timeline"]] == [
        (entry.seq, entry.hash) for entry in told.entries
    ]
    for entry in told.entries:
        assert entry.hash[:12] in made.markdown()
    whats = {(row["kind"], row["step"]): row["what"] for row in made.document["timeline"]}
    assert whats["outcome", "precheck"] == "done in 2500 ms: 4 URLs answer"
    assert whats["intent", "durable_env"] == "set modal"


def test_every_number_names_its_evidence(told: Told) -> None:
    hashes = {entry.hash for entry in told.entries} | {item.evidence_hash for item in told.smoke.checks}
    numbers = report(told).document["numbers"]
    values = {item["name"]: item["value"] for item in numbers}
    assert {item["evidence"]["sha256"] for item in numbers} <= hashes
    assert values["opened: finding.failures"] == 14
    assert values["outcome precheck: evidence.latency_ms"] == 21
    assert values["state: recovery.n"] == 44
    assert values["smoke generate: duration_ms"] == 34


def test_what_is_unknown_is_said_and_never_invented(tmp_path: Path) -> None:
    told = tell(tmp_path, onset=False, until="OPEN")
    made = build_report(told.row, told.entries, checklist=None, smoke=None, generated_at=NOW).document
    fields, said = made["fields"], " ".join(made["unknowns"])
    assert fields["Date/time started (UTC)"].endswith("(detected; when it began is unknown)")
    assert fields["Date/time mitigated (UTC)"] == "not yet"
    assert fields["Mitigation actions taken"] == "none"
    assert fields["Rollback type used"] == "none"
    assert fields["Verification evidence"] == "none: no smoke run is on record"
    assert {item["seconds"] for item in made["intervals"]} == {None}
    for words in ("root cause", "no first failed call", "no smoke run", "Who owns", "How many users"):
        assert words in said
    assert "The incident is still OPEN." in made["follow_ups"]


def test_a_step_without_outcome_is_a_follow_up_and_an_unknown(tmp_path: Path) -> None:
    told = tell(tmp_path, until="redeploy")
    made = report(told).document
    assert any("redeploy was begun" in point for point in made["follow_ups"])
    assert any("without an outcome" in point for point in made["unknowns"])


def test_owner_and_mode_are_taken_from_where_they_are_recorded(tmp_path: Path) -> None:
    told = tell(
        tmp_path, facts={"owner": "Ada", "mode": {"value": "qwen", "epoch": 4}, "action": "env_switch"}
    )
    fields = report(told).document["fields"]
    assert fields["Owner"] == "Ada"
    assert fields["Provider mode at incident start"] == "qwen"


def test_a_tick_without_the_evidence_it_names_is_taken_back(told: Told) -> None:
    other = smoke_run([check(name) for name in NAMES if name != "clone"])
    made = report(told, smoke=other.to_json()).document
    items = {item["sentence"]: item["ok"] for item in made["checklist"]["items"]}
    assert items.pop("Voice clone finalize succeeds.") is False
    assert all(items.values())
    assert not made["checklist"]["ok"]
    none = report(told, smoke=None).document["checklist"]
    assert not any(item["ok"] for item in none["items"])
    assert "journal does not hold its hash" in " ".join(made["unknowns"])
    red = smoke_run(
        [check(name, outcome=Outcome.FAILED if name == "health" else Outcome.PASSED) for name in NAMES]
    )
    assert "checklist 7 of 8" in report(told, smoke=red.to_json()).document["fields"]["Verification evidence"]


def test_an_untouched_report_is_verified_against_either_journal(told: Told) -> None:
    made = report(told)
    assert verify_report(made.json(), told.entries).problems == ()
    assert verify_report(made.json().encode(), told.everything, markdown=made.markdown()).ok
    rows = [
        {
            "seq": entry.seq,
            "at": entry.at.isoformat(),
            "incident_id": entry.incident,
            "kind": entry.kind,
            "step": entry.step,
            "actor": entry.actor,
            "lease_epoch": entry.lease_epoch,
            "payload": dict(entry.body),
            "prev_hash": entry.prev_hash,
            "hash": entry.hash,
        }
        for entry in told.entries
    ]
    assert verify_report(made.json(), rows).ok
    mid_way = build_report(told.row, told.entries[:5], checklist=None, smoke=None, generated_at=NOW)
    assert verify_report(mid_way.json(), told.everything).ok


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte_is_found(told: Told, data: st.DataObject) -> None:
    text = report(told).json().encode()
    position = data.draw(st.integers(0, len(text) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[position]))
    altered = text[:position] + bytes([value]) + text[position + 1 :]
    assert not verify_report(altered, told.entries).ok


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_a_truncated_report_is_found(told: Told, cut: int) -> None:
    assert not verify_report(report(told).json()[:cut], told.entries).ok


def _forge(change: Callable[[dict[str, Any]], None], told: Told) -> str:
    """Alter a report and put its own hash right again, as a forger would."""
    document = json.loads(report(told).json())
    change(document)
    del document["sha256"]
    document["sha256"] = digest(document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "field": lambda d: d["fields"].update({"User impact summary": "none"}),
    "interval": lambda d: d["intervals"][0].update(seconds=1.0),
    "time": lambda d: d["times"].update(detected=d["times"]["onset"]),
    "number": lambda d: d["numbers"][0].update(value=0),
    "row hash": lambda d: d["timeline"][0].update(sha256="0" * 64),
    "row gone": lambda d: d["timeline"].pop(),
    "tick": lambda d: d["sources"]["checklist"]["items"][0].update(evidence=[]),
    "smoke": lambda d: d["sources"]["smoke"]["checks"][0].update(duration_ms=1),
    "unknown gone": lambda d: d["unknowns"].pop(0),
    "follow-up gone": lambda d: d["follow_ups"].pop(0),
    "another smoke": lambda d: d["sources"]["smoke"].update(finished_at=d["sources"]["smoke"]["started_at"]),
    "head": lambda d: d["evidence"].update(journal_last_seq=4),
    "source gone": lambda d: d.pop("sources"),
    "member added": lambda d: d.update(approved=True),
}


def test_a_consistent_forgery_of_the_smoke_run_is_found(told: Told) -> None:
    other = smoke_run([check(name) for name in NAMES], left_behind=("nothing",))
    forged = report(told, smoke=other.to_json())
    assert verify_report(forged.json(), told.entries).problems == (
        "the smoke run in the report is not the one in the journal",
    )


def test_what_only_the_incidents_row_says_is_compared_with_it(told: Told) -> None:
    elsewhere = report(Told(replace(told.row, environment="prod"), told.entries, told.smoke, told.checklist))
    assert verify_report(elsewhere.json(), told.entries).ok
    assert verify_report(report(told).json(), told.entries, incident=told.row).ok
    assert verify_report(elsewhere.json(), told.entries, incident=told.row).problems == (
        "the incident's environment is not what its row says",
    )


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_figure_is_found_though_its_hash_was_put_right(told: Told, name: str) -> None:
    forged = _forge(FORGERIES[name], told)
    problems = verify_report(forged, told.entries).problems
    assert problems
    assert not any("own hash" in problem for problem in problems)


def test_an_altered_journal_is_found(told: Told) -> None:
    text = report(told).json()
    for index, entry in enumerate(told.entries):
        later = replace(entry, at=entry.at + timedelta(seconds=1))
        rows = [*told.entries[:index], later, *told.entries[index + 1 :]]
        assert any(f"row {entry.seq} was altered" in p for p in verify_report(text, rows).problems)
        fewer = [*told.entries[:index], *told.entries[index + 1 :]]
        assert not verify_report(text, fewer).ok
    twice = [*told.entries, told.entries[0]]
    assert any("there twice" in problem for problem in verify_report(text, twice).problems)
    relinked = [replace(entry, prev_hash="0" * 64) for entry in told.entries]
    assert any("does not follow" in problem for problem in verify_report(text, relinked).problems)


def test_markdown_that_says_something_else_is_found(told: Told) -> None:
    made = report(told)
    altered = made.markdown().replace("14 of 40", "1 of 40")
    assert altered != made.markdown()
    assert any("Markdown" in p for p in verify_report(made.json(), told.entries, markdown=altered).problems)


SECRETS = {
    "value": "correct-horse-battery-staple",
    "key": "sk-canary0123456789",
    "bearer": "Bearer abcdefghijklmnop0123",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "dsn": "postgresql://understudy_app:hunter2hunter2@127.0.0.1/x",
}


def test_planted_secrets_are_in_neither_file(tmp_path: Path) -> None:
    told = tell(
        tmp_path / "guard",
        facts={"action": "env_switch", "owner": SECRETS["jwt"], "planted": list(SECRETS.values())},
        redeploy={"detail": " and ".join(SECRETS.values())},
        smoke=smoke_run(left_behind=(f"tasks x: {SECRETS['bearer']}",)),
    )
    redactor = Redactor([SecretStr(SECRETS["value"])])
    paths = write_report(
        tmp_path / "reports",
        told.row,
        told.entries,
        checklist=told.checklist.to_json(),
        smoke=told.smoke.to_json(),
        generated_at=NOW,
        redactor=redactor,
    )
    assert [path.name for path in paths] == [f"{told.row.id}.md", f"{told.row.id}.json"]
    for path in paths:
        text = path.read_text()
        assert "[redacted]" in text
        for planted in ("correct-horse", "sk-canary", "abcdefghijklmnop", "eyJhbGci", "hunter2"):
            assert planted not in text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    markdown, text = (path.read_text() for path in paths)
    assert verify_report(text, told.entries, markdown=markdown, redactor=redactor).ok
    assert not list((tmp_path / "reports").glob(".*"))


def test_a_deployments_words_cannot_break_the_page(tmp_path: Path) -> None:
    told = tell(tmp_path, redeploy={"detail": "a | b\n```\n# Heading <script>alert(1)</script>"})
    text = report(told).markdown()
    assert "<script>" not in text
    assert text.count("```") == 2
    assert re.findall(r"^# ", text, re.MULTILINE) == ["# "]


def test_unreadable_input_is_refused(told: Told, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs the incident's id"):
        build_report({}, told.entries, checklist=None, smoke=None, generated_at=NOW)
    with pytest.raises(ValidationError, match="not a journal row"):
        build_report({"id": "x"}, [{"seq": 1}], checklist=None, smoke=None, generated_at=NOW)
    with pytest.raises(ValidationError, match="unreadable"):
        report(told, checklist={"items": [{"ok": True}]})
    with pytest.raises(ValidationError, match="not a file name"):
        write_report(tmp_path, {"id": "../x"}, [], checklist=None, smoke=None, generated_at=NOW)
    for text in ("", "[]", "{", "nul", "{}", '{"sha256": NaN}', '"\\ud800"', "[" * 100_000):
        assert not verify_report(text, told.entries).ok


def test_every_joined_finding_and_every_question_is_in_the_report(tmp_path: Path) -> None:
    clock = HandClock(START)
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "guard-1", lifetime_s=3600)
        incident = book.open(finding_of(), onset=None, facts={}, action="env_switch").id
        book.join(incident, finding_of("success_rate/refusals", detail="40 of 50 refused"))
        book.join(incident, finding_of("security/secret_leak", detail="1 hit"), instruction="Rotate it.")
        unknown = {"unknown": {"failing_calls": "no answer within 5 s"}, "impact": None}
        book.append(incident, "outcome", step="evidence", body={"ok": True, "evidence": unknown})
        asked = build_report(
            store.incident(incident), store.entries(incident), checklist=None, smoke=None, generated_at=NOW
        ).document
        acknowledge(store, incident, person="ada")
        made = build_report(
            store.incident(incident), store.entries(incident), checklist=None, smoke=None, generated_at=NOW
        )
    fields = made.document["fields"]
    assert fields["Trigger condition(s)"] == (
        "1. Generate success rate drops below agreed SLO for two consecutive windows. "
        "Found: 9 of 9 calls failed; 40 of 50 refused. "
        "6. Security issue (secret mismatch, wrong region key, leakage risk). Found: 1 hit."
    )
    assert "Decide about: A secret stood in an answer or a log. Rotate it." in fields["Open follow-ups"]
    assert "nobody acknowledged" in asked["fields"]["Open follow-ups"]
    assert "nobody acknowledged" not in fields["Open follow-ups"]
    assert "failing calls at the start: no answer within 5 s." in made.document["unknowns"]
    assert verify_report(made.json(), made_from(tmp_path, clock)).ok


def test_what_persons_agreed_to_is_no_open_question(tmp_path: Path) -> None:
    clock = HandClock(START)
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "guard-1", lifetime_s=3600)

        def questions(incident: str) -> str:
            made = build_report(
                store.incident(incident),
                store.entries(incident),
                checklist=None,
                smoke=None,
                generated_at=NOW,
            )
            return str(made.document["fields"]["Open follow-ups"])

        mismatch, copy = finding_of("security/secret_mismatch"), "Copy the values."
        row = book.open(mismatch, onset=None, facts={}, action="reapply_settings", instruction=copy)
        incident = row.id
        assert "Copy the values." in questions(incident)
        book.append(incident, "begun", body={"action": "reapply_settings", "title": "Settings"})
        assert "Copy the values." not in questions(incident)
        assert "nobody acknowledged" not in questions(incident)
        book.join(incident, finding_of("security/secret_leak"), action="close_reads", instruction="Close.")
        assert "Close." in questions(incident)
        assert "nobody acknowledged" in questions(incident)


def test_many_windows_do_not_crowd_out_the_other_numbers(tmp_path: Path) -> None:
    clock = HandClock(START)
    quiet = CallWindow(START, START + timedelta(seconds=5), 0, 0)
    busy = replace(quiet, total=10, failed=9)
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        book = IncidentBook(store, "local", clock)
        book.lease = store.acquire("local", "guard-1", lifetime_s=3600)
        windows = (quiet, *(busy,) * 29)
        incident = book.open(finding_of(windows=windows), onset=None, facts={}, action="env_switch").id
        book.append(incident, "outcome", step="redeploy", body={"ok": True, "duration_ms": 12})
        document = build_report(
            store.incident(incident), store.entries(incident), checklist=None, smoke=None, generated_at=NOW
        ).document
    names = [item["name"] for item in document["numbers"]]
    assert "outcome redeploy: duration_ms" in names
    assert [name for name in names if name.endswith("].failed")] == [
        f"opened: finding.windows[{index}].failed" for index in (1, 2, 3, 4)
    ]


def made_from(folder: Path, clock: HandClock) -> list[JournalEntry]:
    with GuardStore(folder / "guard.sqlite3", clock) as store:
        return store.entries()
