"""The gates: each is met by what it names and by nothing less; sign-offs are two persons' own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.clocks import HandClock
from understudy.cli import stabilization
from understudy.errors import ConflictError
from understudy.stabilization.gates import (
    Found,
    PastIncident,
    SignOff,
    Stabilization,
    calls_needed,
    judge,
)
from understudy.stabilization.gathering import past_incidents
from understudy.stabilization.severity import severity_of
from understudy.stabilization.signing import sign_off, sign_offs
from understudy.store.guard import GUARD_FILE, GuardStore
from understudy.store.journal import JournalEntry
from understudy.store.stabilization import Day, Service

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=15)
QWEN = Service("qwen", SINCE, cutover_in_force=False)
DAYS = tuple(Day((NOW - timedelta(days=n)).date(), 100, 0, 0) for n in range(14, -1, -1))


def signed(person: str, *, at: datetime = NOW, since: datetime = SINCE) -> SignOff:
    return SignOff(f"person:{person}", at, since, "quiet")


MET = Found(
    service=QWEN,
    incidents=(PastIncident("inc-1", 3, "CLOSED", NOW),),
    days=DAYS,
    drill_at=NOW - timedelta(days=3),
    backup_at=NOW - timedelta(hours=2),
    backup_max_age_s=93_600,
    sign_offs=(signed("ada"), signed("ben")),
    slo_percent=99.0,
    problems={},
)


def unmet(found: Found, now: datetime = NOW) -> list[str]:
    return [gate.name for gate in judge(found, now).gates if not gate.met]


def test_all_gates_are_met_together() -> None:
    state = judge(MET, NOW)
    assert state.unmet == []
    assert state.met
    assert state.since == SINCE


@pytest.mark.parametrize(
    ("change", "gates", "says"),
    [
        ({"service": None}, ["on_qwen", "sign_offs"], "nobody serves"),
        ({"service": replace(QWEN, provider="modal")}, ["on_qwen", "sign_offs"], "modal serves"),
        ({"service": replace(QWEN, cutover_in_force=True)}, ["on_qwen"], "a cutover is in force"),
        (
            {"service": replace(QWEN, since=NOW - timedelta(days=13, hours=23))},
            ["on_qwen", "sign_offs"],
            "0 days 1 h of 14 days are left",
        ),
        ({"incidents": (PastIncident("inc-2", 2, "CLOSED", NOW),)}, ["no_severe_incident"], "inc-2 (Sev 2"),
        ({"days": (*DAYS[:5], *DAYS[6:])}, ["slo_met"], f"no call of users or canaries on {DAYS[5].day}"),
        ({"days": (*DAYS[:5], replace(DAYS[5], failed=2), *DAYS[6:])}, ["slo_met"], "98.00 % of 100"),
        ({"days": tuple(replace(one, total=19) for one in DAYS)}, ["slo_met"], "285 calls in two weeks"),
        ({"drill_at": None}, ["recent_drill"], "no drill passed"),
        ({"backup_at": None}, ["recent_backup"], "no backup is proven"),
        ({"backup_at": NOW - timedelta(seconds=93_601)}, ["recent_backup"], "more than 93600 s ago"),
        ({"sign_offs": (signed("ada"),)}, ["sign_offs"], "1 of 2 persons"),
        ({"sign_offs": (signed("ada"), signed("ada"))}, ["sign_offs"], "1 of 2 persons"),
        (
            {"sign_offs": (signed("ada"), signed("ben", since=SINCE - timedelta(days=1)))},
            ["sign_offs"],
            "1 of 2 persons",
        ),
        (
            {"sign_offs": (signed("ada"), signed("ben", at=SINCE + timedelta(days=13)))},
            ["sign_offs"],
            "1 of 2 persons",
        ),
        ({"problems": {"product": "it is away"}}, ["on_qwen", "slo_met"], "it is away"),
        ({"problems": {"guard": "no store"}}, ["no_severe_incident", "sign_offs"], "no store"),
    ],
)
def test_a_gate_is_not_met_by_less(change: Mapping[str, Any], gates: list[str], says: str) -> None:
    found = replace(MET, **change)
    assert unmet(found) == gates
    assert says in " ".join(judge(found, NOW).unmet)


def test_exactly_at_each_limit_is_met() -> None:
    at_limit = replace(
        MET,
        service=replace(QWEN, since=NOW - timedelta(days=14)),
        sign_offs=(
            signed("ada", since=NOW - timedelta(days=14)),
            signed("ben", since=NOW - timedelta(days=14)),
        ),
        backup_at=NOW - timedelta(seconds=93_600),
        days=(*DAYS[:5], replace(DAYS[5], failed=1), *DAYS[6:]),
    )
    assert unmet(at_limit) == []


def test_canaries_show_that_a_quiet_day_was_served_and_the_whole_must_show_the_slo() -> None:
    quiet = replace(DAYS[5], total=0, synthetic_total=40)
    assert unmet(replace(MET, days=(*DAYS[:5], quiet, *DAYS[6:]))) == []
    assert calls_needed(99) == 299
    assert calls_needed(100) == 1


# --- severity ----------------------------------------------------------------


def entry(kind: str, body: Mapping[str, Any]) -> JournalEntry:
    return JournalEntry(1, NOW, "inc", kind, None, "guard", 1, dict(body), "", "")


def found_by(trigger: str, check: str, cures: list[str], **evidence: Any) -> JournalEntry:
    return entry(
        "opened", {"finding": {"trigger": trigger, "check": check, "cures": cures, "evidence": evidence}}
    )


@pytest.mark.parametrize(
    ("entries", "severity"),
    [
        ([found_by("security", "cross_tenant_read", ["close_reads"])], 1),
        ([found_by("security", "secret_leak", ["close_reads"])], 1),
        ([found_by("data_integrity", "schema", ["database_restore"])], 1),
        ([found_by("security", "wrong_region_key", ["env_switch"])], 2),
        ([found_by("success_rate", "rate", ["env_switch"])], 2),
        ([found_by("alert", "x", ["env_switch"], labels={"severity": "critical"})], 2),
        ([found_by("cost", "design_repeats", ["close_valve"])], 3),
        ([found_by("cost", "design_repeats", ["close_valve"]), entry("begun", {"action": "env_switch"})], 2),
        ([found_by("cost", "x", ["close_valve"]), entry("begun", {"action": "database_restore"})], 1),
        ([found_by("cost", "x", ["close_valve"]), entry("begun", {"action": "close_valve"})], 3),
        ([], 3),
    ],
)
def test_severity_is_read_out_of_the_journal(entries: list[JournalEntry], severity: int) -> None:
    assert severity_of(entries) == severity


# --- the guard's store -------------------------------------------------------


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[GuardStore]:
    with GuardStore(tmp_path / "guard.sqlite3", clock) as opened:
        yield opened


def state(store: GuardStore, **change: Any) -> Stabilization:
    return judge(replace(MET, sign_offs=sign_offs(store, "prod"), **change), NOW)


def sign(store: GuardStore, person: str, *, reason: str = "quiet", **change: Any) -> None:
    sign_off(store, state(store, **change), environment="prod", person=person, reason=reason)


def test_two_persons_sign_off_and_a_new_period_wants_them_anew(store: GuardStore) -> None:
    sign(store, "ada")
    with pytest.raises(ConflictError, match="signed off already"):
        sign(store, "person:ada")
    assert not state(store).met
    sign(store, "ben", reason="the drill of Monday passed")
    assert state(store).met
    assert [one.person for one in sign_offs(store, "staging")] == []
    later = replace(QWEN, since=NOW - timedelta(days=14))
    assert not state(store, service=later).met
    written = store.entries("")[-1]
    assert (written.actor, written.body["reason"]) == ("person:ben", "the drill of Monday passed")
    assert set(written.body["gates"]) == {gate.name for gate in state(store).gates} - {"sign_offs"}
    assert store.verify_chain().problems == ()


def test_no_secret_of_a_reason_reaches_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def examined(_: object) -> Stabilization:
        return judge(replace(MET, sign_offs=()), NOW)

    monkeypatch.setattr(stabilization, "_examine", examined)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-a-key-that-is-secret")
    with GuardStore(tmp_path / GUARD_FILE, HandClock(NOW)):
        pass  # a guard has run here
    words = ("sign-off", "--reason", "quiet since sk-a-key-that-is-secret", "--home", str(tmp_path))
    CliRunner().invoke(stabilization.app, list(words))
    with GuardStore(tmp_path / GUARD_FILE, HandClock(NOW)) as store:
        (signed_off,) = sign_offs(store, "local")
    assert signed_off.reason == "quiet since [redacted]"


def test_nobody_signs_off_before_the_other_gates_are_met_or_without_a_reason(store: GuardStore) -> None:
    with pytest.raises(ConflictError, match="no drill passed"):
        sign(store, "ada", drill_at=None)
    with pytest.raises(ConflictError, match="needs a reason"):
        sign(store, "ada", reason=" \n")
    assert sign_offs(store, "prod") == []


def test_incidents_of_the_final_window_count_and_older_ones_do_not(
    store: GuardStore, clock: HandClock
) -> None:
    finding = {"trigger": "playback", "check": "stalls", "cures": ["env_switch"]}
    for name, days in (("old", 0), ("new", 20)):
        clock.advance(days * 86_400)
        store.open_incident(
            None,
            environment="prod",
            incident=name,
            title=name,
            state="OPEN",
            actor="person:a",
            body={"finding": finding},
        )
        store.append(None, incident=name, kind="state", actor="person:a", body={}, move=("OPEN", "ABORTED"))
    found = past_incidents(store, "prod", clock.now())
    assert [(one.id, one.severity) for one in found] == [("new", 2)]
    assert past_incidents(store, "staging", clock.now()) == []
