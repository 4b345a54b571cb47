"""Alertmanager's webhook: deduplicated, bounded, and never the end of anything."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import HandClock
from understudy.errors import PayloadTooLargeError, ValidationError
from understudy.logs import Redactor
from understudy.resources import playbook_file
from understudy.restoration.guard.alerts import (
    BATCH_LIMIT,
    BODY_LIMIT,
    FINDINGS_TOLD,
    FIRES_FOR,
    ROWS_KEPT,
    AlertInbox,
    checks_of,
)
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Verdict
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit


def checks(family: str, check: str | None) -> tuple[str, tuple[ActionName, ...]] | None:
    known: dict[str, dict[str, tuple[ActionName, ...]]] = {
        "cost": {"design_repeats": ("close_valve",), "spend_hour": ("throttle_tenant",)}
    }
    found = known.get(family, {})
    name = check or next(iter(found), "")
    return (name, found[name]) if name in found else None


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def inbox(tmp_path: Path, clock: HandClock) -> AlertInbox:
    store = GuardStore(tmp_path / "guard.sqlite3", clock)
    return AlertInbox(store, clock, checks, redactor=Redactor(["hunter22-secret"]))


def alert(name: str = "HighErrors", **more: Any) -> dict[str, Any]:
    labels = {"alertname": name, **more.pop("labels", {})}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "many errors"},
        "startsAt": "2026-11-24T11:59:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"fp-{name}",
        **more,
    }


def delivery(*alerts: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "guard",
            "alerts": list(alerts),
            **more,
        }
    ).encode()


def test_a_repeat_is_the_same_alert_and_an_unknown_one_asks_a_person(
    inbox: AlertInbox, clock: HandClock
) -> None:
    for _ in range(3):
        inbox.receive(delivery(alert(), alert()))
        clock.advance(60)
    (finding,) = inbox.pending_findings(clock.now())
    assert (finding.trigger, finding.check, finding.verdict) == ("outside_alert", "higherrors", Verdict.FAIL)
    assert (finding.mode, finding.cures) == ("pause", ())
    assert "many errors" in finding.detail
    assert finding.first_bad_at is not None
    assert finding.first_bad_at.isoformat().startswith("2026-11-24T11:59:00")
    assert [row["times"] for row in inbox.document()["alerts"]] == [6]
    assert inbox.alarms() == {}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"trigger": "cost"}, ("cost", "design_repeats", ("close_valve",))),
        ({"trigger": "cost", "check": "spend_hour"}, ("cost", "spend_hour", ("throttle_tenant",))),
        ({"trigger": "cost", "check": "nonsense"}, ("outside_alert", "higherrors", ())),
        ({"trigger": "weather"}, ("outside_alert", "higherrors", ())),
    ],
)
def test_labels_name_family_and_check(
    inbox: AlertInbox, clock: HandClock, labels: dict[str, str], expected: tuple[str, str, tuple[str]]
) -> None:
    inbox.receive(delivery(alert(labels={**labels, "provider": "qwen"})))
    (finding,) = inbox.pending_findings(clock.now())
    assert (finding.trigger, finding.check, finding.cures) == expected
    assert (finding.provider, finding.mode) == ("qwen", "pause")


def test_the_shipped_policy_knows_every_family() -> None:
    find = checks_of(load_playbook(playbook_file()))
    for family in ("success_rate", "realtime_failures", "playback", "cost", "data_integrity", "security"):
        found = find(family, None)
        assert found is not None
        assert found[1]
    assert find("cost", "creates_hour") == ("creates_hour", ("close_valve",))
    assert find("cost", "mode") is None
    assert find("success_rate", "nothing") is None


def test_resolved_is_noted_and_ends_nothing(inbox: AlertInbox, clock: HandClock) -> None:
    inbox.receive(delivery(alert()))
    inbox.receive(delivery(alert(status="resolved")))
    pending = inbox.pending_findings(clock.now())
    assert [finding.verdict for finding in pending] == [Verdict.FAIL]  # that it fired is told all the same
    inbox.taken(pending)
    assert inbox.pending_findings(clock.now()) == ()
    inbox.receive(delivery(alert()))  # resolved too early, by a restarted Alertmanager
    again = inbox.pending_findings(clock.now())
    assert [finding.key for finding in again] == [pending[0].key]


def test_alerts_that_fire_without_a_break_are_one_problem(inbox: AlertInbox, clock: HandClock) -> None:
    first = alert(labels={"pod": "a"}, fingerprint="a")
    second = alert(labels={"pod": "b"}, fingerprint="b", startsAt="2026-11-24T12:01:00Z")
    inbox.receive(delivery(first))
    (before,) = inbox.pending_findings(clock.now())
    inbox.receive(delivery(second))
    inbox.taken(inbox.pending_findings(clock.now()))
    inbox.receive(delivery({**first, "status": "resolved"}))
    (after,) = inbox.pending_findings(clock.now())
    assert after.key == before.key
    inbox.receive(delivery({**second, "status": "resolved"}))
    inbox.receive(delivery(alert(fingerprint="a", startsAt="2026-11-24T13:00:00Z")))
    (later,) = inbox.pending_findings(clock.now())
    assert later.key != before.key  # a new episode may open an incident of its own


def test_what_is_not_repeated_is_over_at_last(inbox: AlertInbox, clock: HandClock) -> None:
    inbox.receive(delivery(alert()))
    clock.advance(FIRES_FOR.total_seconds())
    assert len(inbox.pending_findings(clock.now())) == 1
    assert inbox.pending_findings(clock.now() + timedelta(seconds=1)) == ()


def test_a_storm_stays_bounded(inbox: AlertInbox, clock: HandClock) -> None:
    storm = [alert(f"Alert{n}", fingerprint=f"fp-{n}") for n in range(10_000)]
    assert len(delivery(*storm)) < BODY_LIMIT
    received = inbox.receive(delivery(*storm, truncatedAlerts=7))
    assert (received.firing, received.truncated, received.left_out) == (
        BATCH_LIMIT,
        7,
        10_000 - BATCH_LIMIT,
    )
    for start in range(0, 10_000, BATCH_LIMIT):
        inbox.receive(delivery(*storm[start : start + BATCH_LIMIT]))
    rows = inbox._store._backend.run("SELECT count(*) AS kept FROM alerts")
    assert rows[0]["kept"] == ROWS_KEPT
    findings = inbox.pending_findings(clock.now())
    assert len(findings) == FINDINGS_TOLD + 1
    assert f"{ROWS_KEPT - FINDINGS_TOLD} more alerts" in findings[-1].detail
    assert len(json.dumps([finding.document() for finding in findings])) < 64 * 1024
    assert "found no room here" in inbox.alarms()["outside alerts"]
    inbox.taken(findings)
    for _ in range(2):  # an hour later too: the rest was told as one
        assert {f.key for f in inbox.pending_findings(clock.now())} == {f.key for f in findings}
        clock.advance(3601)


def test_after_a_storm_a_new_cause_is_named_and_within_its_hour_it_is_one_more(
    inbox: AlertInbox, clock: HandClock
) -> None:
    inbox.receive(delivery(*(alert(f"Alert{n}") for n in range(50))))
    storm = inbox.pending_findings(clock.now())
    inbox.taken(storm)
    clock.advance(60)
    inbox.receive(delivery(alert("Late")))
    within = inbox.pending_findings(clock.now())
    assert "late" not in {finding.check for finding in within}
    assert "31 more alerts of 31 kinds: Late, " in within[-1].detail  # the newest is named first
    clock.advance(3600)
    assert inbox.pending_findings(clock.now())[0].check == "late"
    inbox.receive(delivery(*(alert(f"Alert{n}", status="resolved") for n in range(50))))
    assert [finding.check for finding in inbox.pending_findings(clock.now())] == ["late"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"nonsense", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (delivery(alert(), version="3"), "Alertmanager's 4"),
        (delivery(), "alerts is missing"),
        (json.dumps({"version": "4", "alerts": {}}).encode(), "alerts is missing"),
        (delivery(alert(), truncatedAlerts=-1), "truncatedAlerts"),
        (delivery(alert(), alert(status="maybe")), "alerts[1].status"),
        (delivery(alert(startsAt="yesterday")), "alerts[0].startsAt is not a time"),
        (delivery(alert(startsAt=None)), "alerts[0].startsAt"),
        (delivery(alert(startsAt="2026-11-24T12:00:00")), "no time zone"),
        (delivery({**alert(), "labels": {"a": 1}}), "alerts[0].labels"),
        (delivery({**alert(), "labels": None}), "alerts[0].labels"),
        (delivery(alert(fingerprint=[1])), "alerts[0].fingerprint"),
        (delivery(alert(startsAt="0001-01-01T00:00:00+14:00")), "alerts[0].startsAt is outside"),
        (delivery(alert(startsAt="9999-12-31T23:59:59-14:00")), "alerts[0].startsAt is outside"),
        (delivery(alert(fingerprint="\ud800")), "alerts[0].fingerprint is not valid Unicode"),
        (delivery(alert(labels={"pod": "\ud800"})), "alerts[0].labels is not valid Unicode"),
        (delivery(alert(labels={"\udfff": "a"})), "alerts[0].labels is not valid Unicode"),
        (delivery(alert(annotations={"summary": "\ud800"})), "alerts[0].annotations is not valid Unicode"),
        (json.dumps({"version": "4", "alerts": ["x"]}).encode(), "alerts[0] is not an object"),
    ],
)
def test_a_bad_body_is_refused_whole_and_said(
    inbox: AlertInbox, clock: HandClock, raw: bytes, said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        inbox.receive(raw)
    assert said in caught.value.message
    assert inbox.document() == {"alerts": []}


def test_too_much_is_refused_and_secrets_are_taken_out(inbox: AlertInbox, clock: HandClock) -> None:
    with pytest.raises(PayloadTooLargeError):
        inbox.receive(b" " * (BODY_LIMIT + 1))
    inbox.receive(delivery(alert(annotations={"summary": "key hunter22-secret " + "x" * 5000})))
    (finding,) = inbox.pending_findings(clock.now())
    assert "hunter22" not in json.dumps(finding.document())
    assert len(finding.detail) < 700


def test_what_an_alert_says_cannot_steer_a_terminal(inbox: AlertInbox, clock: HandClock) -> None:
    evil = "a\x1b[31m\x1b]0;t\x07\u202eb\x00\nc"
    inbox.receive(delivery(alert(evil, labels={evil: evil}, annotations={"summary": evil}, fingerprint=evil)))
    (finding,) = inbox.pending_findings(clock.now())
    said = json.dumps([finding.document(), inbox.document()], ensure_ascii=False)
    assert said.isprintable()
    assert not any(mark in said for mark in ("\\u001b", "\\u0000", "\\n"))
    assert "a [31m ]0;t  b  c" in finding.detail


@pytest.mark.parametrize(
    ("starts_at", "ago"),
    [
        ("0001-01-01T00:00:00Z", FIRES_FOR),
        ("9999-12-31T23:59:59Z", timedelta(0)),
        ("2026-11-24T11:00:00Z", timedelta(hours=1)),
    ],
)
def test_neither_the_time_nor_the_provider_of_an_alert_is_believed(
    inbox: AlertInbox, clock: HandClock, starts_at: str, ago: timedelta
) -> None:
    strange = {"trigger": "cost", "provider": "evil"}
    inbox.receive(delivery(alert(startsAt=starts_at, labels=strange)))
    (finding,) = inbox.pending_findings(clock.now())
    assert (finding.provider, finding.first_bad_at) == (None, clock.now() - ago)
