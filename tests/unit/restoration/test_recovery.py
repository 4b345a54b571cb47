from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.findings import finding_of
from understudy.restoration.signals.readings import CallReading, Series, unseen
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.recovery import (
    ClosingRule,
    PassingSince,
    Recovery,
    judge_recovery,
    needs_traffic,
    undecided,
    watch_recovery,
)
from understudy.store.mode import ModeRow

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
RULE = ClosingRule(
    slo_percent=99,
    window_s=5,
    clean_windows=2,
    minimum_evidence=31,
    operations=("speak",),
    maximum_wait_s=1800,
    lookback_windows=30,
)


def windows(*newest_first: tuple[int, int]) -> list[CallWindow]:
    return [
        CallWindow(NOW - timedelta(seconds=5 * (i + 1)), NOW - timedelta(seconds=5 * i), total, failed)
        for i, (total, failed) in enumerate(newest_first)
    ]


def judged(*newest_first: tuple[int, int], successes: int = 1, waited_s: float = 60) -> Recovery:
    return judge_recovery(
        RULE,
        windows(*newest_first),
        {"speak": successes},
        since=NOW - timedelta(seconds=waited_s),
        now=NOW,
    )


def test_two_clean_windows_with_enough_calls_close() -> None:
    assert judged((16, 0), (15, 0)).recovered
    assert judged((10, 0), (0, 0), (21, 0)).recovered


@pytest.mark.parametrize(
    ("newest_first", "successes", "missing"),
    [
        ([(15, 0), (15, 0)], 1, "31 users' calls"),  # 30: one short
        ([(40, 0)], 1, "2 clean windows"),
        ([(16, 0), (15, 1)], 1, "2 clean windows"),  # the older one is not clean
        ([(16, 1), (100, 0)], 1, "2 clean windows"),  # nor the newest
        ([(0, 0), (0, 0), (0, 0)], 0, "a user's success in speak"),  # no traffic proves nothing
        ([(16, 0), (15, 0)], 0, "a user's success in speak"),
    ],
)
def test_what_is_missing_is_named(newest_first: list[tuple[int, int]], successes: int, missing: str) -> None:
    recovery = judged(*newest_first, successes=successes)
    assert not recovery.recovered
    assert any(missing in item for item in recovery.waiting_for)


def test_evidence_counts_back_to_the_last_bad_window_only() -> None:
    recovery = judged((10, 0), (10, 0), (10, 5), (500, 0))
    assert recovery.n == 20
    assert not recovery.recovered


def test_a_window_exactly_at_the_slo_is_clean() -> None:
    recovery = judged((100, 1), (100, 1))
    assert recovery.recovered
    assert recovery.failures == 2


def test_the_longest_wait_is_told_and_decides_nothing() -> None:
    assert not judged((0, 0), waited_s=1800).overdue
    late = judged((0, 0), waited_s=1801)
    assert late.overdue
    assert not late.recovered
    assert judged((16, 0), (15, 0), waited_s=99_999).recovered


def looked(*findings: Finding, healthy: float = 60, **more: Any) -> Recovery:
    """Judge an incident of the given findings, whose checks have been healthy for some seconds."""
    passing = PassingSince()
    passing.saw([replace(f, verdict=Verdict.PASS) for f in findings], NOW - timedelta(seconds=healthy))
    options: dict[str, Any] = {
        "documents": [finding.document() for finding in findings],
        "actions": [],
        "since": NOW - timedelta(seconds=60),
    } | more
    now = options.pop("findings", ())
    return watch_recovery(RULE, options.pop("signals", unseen(NOW, "dark")), now, passing, **options)


@pytest.mark.parametrize(
    "check", ["cost/design_repeats", "data_integrity/schema_drift", "security/secret_leak"]
)
def test_what_no_traffic_proves_has_to_pass_for_the_closing_windows(check: str) -> None:
    finding = finding_of(check)
    assert looked(finding, healthy=10, actions=["close_valve"]).recovered
    assert looked(finding, healthy=9).waiting_for == (f"{check} to pass for 10 s (9 s so far)",)


def test_a_switch_of_the_provider_is_proven_by_traffic_whatever_brought_it() -> None:
    document = finding_of("security/wrong_region_key").document()
    assert needs_traffic([document], ["env_switch"])
    assert not needs_traffic([document], [])
    assert needs_traffic([finding_of().document()], [])


def test_another_failure_keeps_it_open_and_one_in_shadow_does_not() -> None:
    cost, other = finding_of("cost/design_repeats"), finding_of("playback/stalls")
    assert looked(cost, findings=[other]).waiting_for == ("playback/stalls to stop failing",)
    assert looked(cost, findings=[replace(other, mode="shadow")]).recovered
    assert looked(cost, findings=[replace(other, verdict=Verdict.BLIND)]).recovered


@pytest.mark.parametrize(
    ("check", "more", "waits"),
    [
        ("security/secret_leak", {}, True),
        ("data_integrity/schema_drift", {}, True),
        ("cost/spend_hour", {"mode": "pause"}, True),
        ("playback/stalls", {"provider": "modal"}, True),  # the side that serves now
        ("playback/stalls", {"cures": ("code_rollback",)}, True),
        ("playback/decode_errors", {}, False),  # the switch left that side
        ("realtime_failures/transport", {"mode": "pause"}, False),
        ("success_rate/rate", {"provider": "modal"}, False),  # the traffic says
        ("success_rate/rate", {"provider": "modal", "mode": "pause"}, True),
    ],
)
def test_what_only_asked_a_person_is_a_persons_to_decide(
    check: str, more: dict[str, Any], waits: bool
) -> None:
    asked = finding_of(check, **more).document()
    assert undecided([asked, asked], ["close_valve", "env_switch"], "modal") == [check] * waits
    assert undecided([asked], ["close_valve"], "modal") or (check, waits) == ("success_rate/rate", False)
    waiting = looked(finding_of("cost/design_repeats"), asked=[asked]).waiting_for
    decided = f"a person to decide about {check}"
    assert (decided in waiting) == ((check, more.get("mode")) != ("success_rate/rate", None))


def test_users_calls_since_then_on_the_side_in_force_are_what_counts() -> None:
    mode = ModeRow("modal", 4, "guard", "switched", None, "modal", NOW)
    since = NOW - timedelta(seconds=10)

    def at(seconds: int, ok: int) -> CallWindow:
        start = NOW - timedelta(seconds=seconds)
        return CallWindow(start, start + timedelta(seconds=5), ok, 0)

    def read(side: Series) -> Recovery:
        buckets = {side: (at(5, 16), at(10, 15), at(15, 500))}
        signals = replace(unseen(NOW, ""), mode=mode, calls=CallReading(NOW, NOW, buckets=buckets))
        return looked(finding_of(), signals=signals, since=since, actions=["env_switch"])

    seen = read(Series("modal", 4, "speak"))
    assert (seen.recovered, seen.n, seen.successes) == (True, 31, {"speak": 31})
    for elsewhere in (Series("qwen", 4, "speak"), Series("modal", 3, "speak"), Series("modal", 4, "design")):
        assert read(elsewhere).n == 0


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=8))
def test_healthy_time_is_never_counted_across_anything_else(history: list[Verdict]) -> None:
    passing = PassingSince()
    for second, verdict in enumerate(history):
        passing.saw([finding_of("cost/creates_hour", verdict)], NOW + timedelta(seconds=second))
    unbroken = 0
    while unbroken < len(history) and history[-1 - unbroken] in {Verdict.PASS, Verdict.NO_DATA}:
        unbroken += 1
    now = NOW + timedelta(seconds=len(history) - 1)
    assert passing.healthy_s("cost/creates_hour", now) == (unbroken - 1 if unbroken else None)


def test_one_broken_subject_keeps_its_whole_check_unhealthy_and_an_absent_one_too() -> None:
    passing = PassingSince()
    fine = finding_of("cost/design_repeats", Verdict.PASS)
    passing.saw([fine, finding_of("cost/design_repeats", subject="ada")], NOW)
    assert passing.healthy_s("cost/design_repeats", NOW) is None
    passing.saw([fine], NOW)
    assert passing.healthy_s("cost/design_repeats", NOW) == 0
    passing.saw([], NOW)  # no word of it is no health
    assert passing.healthy_s("cost/design_repeats", NOW) is None
