"""Trigger 1: the literal sentence, and the rule that wants evidence besides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.restoration.looking import NOW, QWEN, bucket, mode, part, signals, tail
from understudy.restoration.signals.readings import ProbeResult, Series, TailCall
from understudy.restoration.signals.windows import CallWindow, last_edge, spans
from understudy.restoration.triggers.statistics import binomial_tail
from understudy.restoration.triggers.success_rate import SuccessRate, judge, recovered
from understudy.restoration.triggers.verdict import Finding, Verdict, worst

pytestmark = pytest.mark.unit

#: One bucket a window, so that a list of counts reads as windows, newest first.
LITERAL = part("literal", window_s=5, lookback_windows=6)
GUARDED = part(window_s=5, lookback_windows=30)

counts = st.integers(0, 400).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total)))


def windows(newest_first: Sequence[tuple[int, int]]) -> list[CallWindow]:
    return [bucket(5 * index, total, failed) for index, (total, failed) in enumerate(newest_first) if total]


def found(newest_first: Sequence[tuple[int, int]], policy: SuccessRate = LITERAL, **more: str) -> Finding:
    return judge(policy, signals(windows(newest_first), **more), known_good="modal", now=NOW)[0]


def verdict(newest_first: Sequence[tuple[int, int]], policy: SuccessRate = LITERAL, **more: str) -> Verdict:
    return found(newest_first, policy, **more).verdict


@pytest.mark.parametrize(
    ("newest_first", "literal", "guarded"),
    [
        ([(100, 1), (100, 1)], Verdict.PASS, Verdict.PASS),  # exactly at 99 %: not below
        ([(100, 2), (100, 2)], Verdict.FAIL, Verdict.INCONCLUSIVE),  # one more in each: four of 200
        ([(100, 6), (100, 6)], Verdict.FAIL, Verdict.FAIL),
        ([(100, 2), (100, 1)], Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),  # k = 1 of 2
        ([(100, 1), (100, 50)], Verdict.PASS, Verdict.PASS),  # the newest window is healthy again
        ([(100, 9), (100, 1), (100, 9)], Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),  # not in a row
        ([(1, 1), (1, 1)], Verdict.FAIL, Verdict.INCONCLUSIVE),  # literal: no minimum of calls
        ([(1, 1)], Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
        ([], Verdict.NO_DATA, Verdict.NO_DATA),
        ([(0, 0), (5, 5), (0, 0), (5, 4)], Verdict.FAIL, Verdict.INCONCLUSIVE),  # empty ones break no streak
        ([(0, 0), (5, 5), (0, 0), (5, 0)], Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),  # nor complete one
        ([(0, 0), (5, 5), *[(0, 0)] * 4, (5, 5)], Verdict.INCONCLUSIVE, Verdict.FAIL),  # beyond 6; within 30
        ([(0, 0), (5, 5), *[(0, 0)] * 3, (5, 5)], Verdict.FAIL, Verdict.FAIL),  # just within both
    ],
)
def test_both_rules_side_by_side(
    newest_first: list[tuple[int, int]], literal: Verdict, guarded: Verdict
) -> None:
    assert verdict(newest_first) is literal
    assert verdict(newest_first, GUARDED) is guarded


@pytest.mark.parametrize("consecutive", [1, 2, 3, 5])
def test_exactly_the_agreed_number_of_windows_trips(consecutive: int) -> None:
    policy = part("literal", window_s=5, consecutive=consecutive, lookback_windows=8)
    assert verdict([(10, 1)] * (consecutive - 1) + [(10, 0)], policy) is not Verdict.FAIL
    assert verdict([(10, 1)] * consecutive, policy) is Verdict.FAIL


@pytest.mark.parametrize(("slo", "at", "over"), [(99.9, 1, 2), (99.95, 0, 1), (95.0, 50, 51), (100.0, 0, 1)])
def test_the_slo_is_compared_exactly(slo: float, at: int, over: int) -> None:
    policy = part("literal", slo_percent=slo, window_s=5, consecutive=1)
    assert verdict([(1000, at)], policy) is Verdict.PASS
    assert verdict([(1000, over)], policy) is Verdict.FAIL


@given(st.lists(counts, max_size=8))
def test_literal_fails_only_when_the_two_newest_windows_with_calls_are_below(
    history: list[tuple[int, int]],
) -> None:
    busy = [item for item in history[:6] if item[0]][:2]
    below = [(total - failed) * 100 < 99 * total for total, failed in busy]
    assert (verdict(history) is Verdict.FAIL) == (len(busy) == 2 and all(below))


@given(st.lists(counts, max_size=6), st.integers(0, 6))
def test_an_empty_window_anywhere_changes_nothing(history: list[tuple[int, int]], position: int) -> None:
    policy = part("literal", window_s=5, lookback_windows=7)
    padded = [*history[:position], (0, 0), *history[position:]]
    assert verdict(padded, policy) is verdict(history, policy)


@given(st.lists(counts, max_size=12))
def test_guarded_honours_the_contract(history: list[tuple[int, int]]) -> None:
    """It fails where the sentence and the evidence hold, or every newest call failed; nowhere else."""
    seen = found(history, GUARDED)
    streak = seen.evidence["streak"] >= 5 and seen.evidence["streak_s"] >= 10
    if seen.verdict is Verdict.FAIL:
        assert seen.evidence["literal"] or streak
    if seen.evidence["literal"] and seen.evidence["chance_at_slo"] < 3e-5:
        assert seen.verdict is Verdict.FAIL or "is the only one whose calls fail" in seen.detail
    if seen.evidence["literal"]:
        assert seen.verdict in {Verdict.FAIL, Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([(10, 2), (9, 2)], Verdict.INCONCLUSIVE),  # 19 calls
        ([(10, 3), (10, 2)], Verdict.FAIL),  # 20 calls, five failures: once in a million
        ([(10, 2), (10, 2)], Verdict.INCONCLUSIVE),  # four: 4.3e-5, above alpha
        ([(10, 2), (9, 2), (1, 1)], Verdict.FAIL),  # the pool reaches back for the twentieth call
    ],
)
def test_least_evidence(newest_first: list[tuple[int, int]], expected: Verdict) -> None:
    assert binomial_tail(4, 20, 0.01) > 3e-5 > binomial_tail(5, 20, 0.01)
    assert verdict(newest_first, GUARDED) is expected


def test_fewest_failures_and_alpha_at_their_edges() -> None:
    pair = [(40, 2), (40, 2)]
    chance = found(pair, GUARDED).evidence["chance_at_slo"]
    below, above = chance * 1.001, chance * 0.999
    assert verdict(pair, part(window_s=5, evidence__alpha=below)) is Verdict.FAIL
    assert verdict(pair, part(window_s=5, evidence__alpha=above)) is Verdict.INCONCLUSIVE
    assert verdict(pair, part(window_s=5, evidence__alpha=0.05, evidence__min_failures=4)) is Verdict.FAIL
    more = part(window_s=5, evidence__alpha=0.05, evidence__min_failures=5)
    assert verdict(pair, more) is Verdict.INCONCLUSIVE


def test_mild_trouble_is_found_by_reaching_back() -> None:
    """5 % at one call a second: no two windows show it, twenty do."""
    history = [(5, 1), (5, 1), *[(5, 0), (5, 0), (5, 1)] * 8]
    assert verdict(history[:2], GUARDED) is Verdict.INCONCLUSIVE
    assert verdict(history, GUARDED) is Verdict.FAIL
    assert (
        verdict([(5, 0), *history], GUARDED) is Verdict.PASS
    )  # served again: old failures alone do not trip


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (
            [(1, False, "a"), (3, False, "b"), (5, False, "a"), (8, False, "b"), (11, False, "c")],
            Verdict.FAIL,
        ),
        ([(1, False, "a"), (3, False, "b"), (5, False, "a"), (11, False, "c")], Verdict.INCONCLUSIVE),  # four
        # Five within 9.5 s.
        ([(1, False, "a"), (3, False, "b"), (5, False, "a"), (8, False, "b"), (10.5, False, "c")], None),
        # A success within.
        ([(1, False, "a"), (3, True, "b"), (5, False, "a"), (8, False, "b"), (11, False, "c")], None),
        # Nobody knows whose calls they were.
        ([(age, False, None) for age in (1, 3, 5, 8, 11)], Verdict.FAIL),
    ],
)
def test_a_streak_of_failures_waits_for_no_second_window(
    calls: list[tuple[float, bool, str | None]], expected: Verdict | None
) -> None:
    bad = sum(not ok for _, ok, _ in calls)
    buckets = [bucket(0, len(calls), bad), bucket(120, 500)]
    seen = judge(part(), signals(buckets, tails=tail(*calls)), known_good="modal", now=NOW)[0]
    assert seen.verdict is (expected or Verdict.INCONCLUSIVE)
    if expected is Verdict.FAIL:
        assert seen.first_bad_at is not None
        assert seen.first_bad_at <= NOW - timedelta(seconds=5)


def test_a_long_streak_is_counted_on_from_the_buckets() -> None:
    calls = tail(*[(0.2 * index, False, "ab"[index % 2]) for index in range(20)])
    burning = [bucket(age, 25, 25) for age in (0, 5, 10)]
    seen = judge(part(), signals([*burning, bucket(15, 25)], tails=calls), known_good="modal", now=NOW)[0]
    assert (seen.verdict, seen.evidence["streak"]) == (Verdict.FAIL, 75)
    brief = judge(part(), signals([burning[0], bucket(5, 25)], tails=calls), known_good="modal", now=NOW)[0]
    assert brief.verdict is Verdict.INCONCLUSIVE  # 25 in five seconds: a hiccup
    # A source that names no calls: buckets alone.
    assert judge(part(), signals(burning), known_good="modal", now=NOW)[0].verdict is Verdict.FAIL


def broken_tenant(*, others: Sequence[int], loud: int = 99, seconds: int = 120) -> list[CallWindow]:
    """``big`` makes nearly all calls, every one of them fails; ``others`` are ages of others' successes."""
    buckets = []
    for age in range(0, seconds, 5):
        quiet = [f"small{other % 3}" for other in others if age <= other < age + 5]
        buckets.append(
            bucket(
                age,
                loud + len(quiet),
                loud,
                failed_users=frozenset({"big"}),
                ok_users=frozenset(quiet),
            )
        )
    return buckets


def test_a_tenant_that_is_nearly_all_traffic_and_broken_alone_flips_nobody() -> None:
    served = judge(part(), signals(broken_tenant(others=[2, 40, 80])), known_good="modal", now=NOW)[0]
    assert served.verdict is Verdict.INCONCLUSIVE
    assert "tenant big is the only one whose calls fail" in served.detail
    assert served.evidence["literal"] is True
    # By the contract's sentence alone it flips.
    literal = judge(part("literal"), signals(broken_tenant(others=[2, 40, 80])), known_good="modal", now=NOW)
    assert literal[0].verdict is Verdict.FAIL


def test_a_tenant_that_is_all_there_is_counts() -> None:
    assert (
        judge(part(), signals(broken_tenant(others=[])), known_good="modal", now=NOW)[0].verdict
        is Verdict.FAIL
    )


def test_a_broken_tenant_waits_a_while_for_a_word_of_the_others() -> None:
    before = [bucket(age, 2, ok_users=frozenset({"small"})) for age in range(600, 900, 60)]
    for seconds, expected in ((295, Verdict.INCONCLUSIVE), (300, Verdict.FAIL)):
        buckets = [*broken_tenant(others=[], seconds=seconds), *before]
        assert judge(part(), signals(buckets), known_good="modal", now=NOW)[0].verdict is expected


def test_others_that_fail_as_well_are_no_excuse() -> None:
    buckets = [
        bucket(age, 20, 10, failed_users=frozenset({"big", f"s{age}"}), ok_users=frozenset({f"t{age}"}))
        for age in range(0, 120, 5)
    ]
    assert judge(part(), signals(buckets), known_good="modal", now=NOW)[0].verdict is Verdict.FAIL


def test_one_stray_failure_of_the_others_does_not_unmask_them() -> None:
    buckets = broken_tenant(others=[*range(2, 118, 3)])
    stray = bucket(120, 1, 1, failed_users=frozenset({"small0"}))
    inside = CallWindow(
        buckets[5].start,
        buckets[5].end,
        100,
        100,
        failed_users=frozenset({"big", "small1"}),
        ok_users=frozenset(),
    )
    for edited in ([*buckets, stray], [*buckets[:5], inside, *buckets[6:]]):
        assert judge(part(), signals(edited), known_good="modal", now=NOW)[0].verdict is Verdict.INCONCLUSIVE


def probes(*results: bool, age_s: float = 10) -> tuple[TailCall, ...]:
    return tail(*[(age_s + 30 * index, ok, None) for index, ok in enumerate(results)])


@pytest.mark.parametrize(
    ("buckets", "heard", "expected"),
    [
        ([], probes(False, False, False), Verdict.FAIL),
        ([], probes(False, False), Verdict.INCONCLUSIVE),
        ([], probes(False, False, True, False), Verdict.INCONCLUSIVE),
        ([], probes(True, False, False, False), Verdict.NO_DATA),  # heard again
        ([], probes(False, False, False, age_s=1801), Verdict.NO_DATA),  # beyond what is looked back
        ([bucket(100, 19)], probes(False, False, False), Verdict.FAIL),
        ([bucket(100, 20)], probes(False, False, False), Verdict.PASS),  # users speak for themselves
        ([bucket(15, 3)], probes(False, False, False), Verdict.INCONCLUSIVE),  # a user was served meanwhile
    ],
)
def test_quiet_hours_listen_to_probes(
    buckets: list[CallWindow], heard: tuple[TailCall, ...], expected: Verdict
) -> None:
    seen = judge(part(), signals(buckets, probes=heard), known_good="modal", now=NOW)[0]
    assert seen.verdict is expected
    assert seen.n == sum(item.total for item in buckets)  # probes are never calls
    literal = judge(part("literal"), signals(buckets, probes=heard), known_good="modal", now=NOW)[0]
    assert literal.verdict is not Verdict.FAIL


def test_probes_that_the_guard_made_itself_count_only_for_the_provider_in_force_and_since_then() -> None:
    def heard(provider: str, since_s: float) -> Verdict:
        failed = tuple(
            ProbeResult(NOW - timedelta(seconds=10 + 30 * index), False, provider) for index in range(3)
        )
        look = signals(row=mode(changed_at=NOW - timedelta(seconds=since_s)))
        object.__setattr__(look.probes, "active", failed)
        return judge(part(), look, known_good="modal", now=NOW)[0].verdict

    assert heard("qwen", 100) is Verdict.FAIL
    assert heard("qwen", 60) is Verdict.INCONCLUSIVE  # the third was of the mode before
    assert heard("modal", 100) is Verdict.NO_DATA


def test_blind_hides_health_but_not_failure() -> None:
    for policy in (LITERAL, GUARDED):
        assert verdict([(9, 0), (9, 0)], policy, blind="no worker reports") is Verdict.BLIND
        assert verdict([], policy, blind="no worker reports") is Verdict.BLIND
        assert verdict([(90, 90), (90, 90)], policy, blind="no worker reports") is Verdict.FAIL


def test_impossible_counts_are_blind() -> None:
    for total, failed in ((-3, 0), (3, -1), (3, 4)):
        bad = CallWindow(NOW - timedelta(seconds=5), NOW, total, failed)
        seen = judge(GUARDED, signals([bad, bucket(5, 50, 50)]), known_good="modal", now=NOW)[0]
        assert (seen.verdict, "impossible" in seen.detail) == (Verdict.BLIND, True)


def test_a_selector_that_matches_nothing_never_passes() -> None:
    elsewhere = {
        Series("qwen", 3, "design"): [bucket(0, 100)],
        Series("qwen", 2, "speak"): [bucket(0, 100)],
        Series("modal", 3, "speak"): [bucket(0, 100)],
    }
    for rule in ("literal", "guarded"):
        seen = judge(part(rule), signals(elsewhere), known_good="modal", now=NOW)[0]
        assert seen.verdict is Verdict.NO_DATA
        assert "300 calls of other operations" in seen.detail


def test_a_drain_after_a_flip_never_counts_against_the_side_moved_to() -> None:
    drain = {
        Series("qwen", 3, "speak"): [bucket(age, 50, 50) for age in range(0, 120, 5)],
        Series("modal", 4, "speak"): [bucket(0, 10), bucket(5, 10)],
    }
    seen = judge(part(), signals(drain, row=mode("modal", 4)), known_good="modal", now=NOW)[0]
    assert (seen.verdict, seen.provider, seen.mode_epoch, seen.failures) == (Verdict.PASS, "modal", 4, 0)


def test_events_an_hour_late_and_in_the_future_trip_nothing() -> None:
    late = [bucket(3600 + age, 50, 50) for age in range(0, 120, 5)]
    old = tail(*[(3600 + index, False, "ab"[index % 2]) for index in range(20)])
    assert judge(part(), signals(late, tails=old), known_good="modal", now=NOW)[0].verdict is Verdict.NO_DATA
    future = [bucket(-5 - age, 50, 50) for age in range(0, 60, 5)]
    ahead = tail(*[(-1 - index, False, "ab"[index % 2]) for index in range(20)])
    seen = judge(part(), signals([*future, bucket(0, 9)], tails=ahead), known_good="modal", now=NOW)[0]
    assert seen.verdict is Verdict.PASS


def test_without_a_mode_it_is_blind() -> None:
    look = signals([bucket(0, 9)])
    object.__setattr__(look, "mode", None)
    assert [item.verdict for item in judge(part(), look, known_good="modal", now=NOW)] == [Verdict.BLIND] * 2


@given(st.lists(counts, min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_buckets_and_split_buckets_change_nothing(
    history: list[tuple[int, int]], shuffler: random.Random
) -> None:
    whole = windows(history)
    split = [
        item
        for window in whole
        for item in (
            CallWindow(window.start, window.end, window.total - window.failed, 0, ok_users=window.ok_users),
            CallWindow(
                window.start, window.end, window.failed, window.failed, failed_users=window.failed_users
            ),
        )
    ]
    shuffler.shuffle(split)
    shuffled = shuffler.sample(whole, len(whole))
    # Parts of one bucket come together in the source: a streak takes its buckets whole.
    streakless = part(window_s=5, lookback_windows=30, evidence__streak_s=600)
    for policy, parts in ((LITERAL, split), (streakless, split), (GUARDED, shuffled)):
        one = judge(policy, signals(whole), known_good="modal", now=NOW)[0]
        other = judge(policy, signals(parts), known_good="modal", now=NOW)[0]
        assert (one.verdict, one.n, one.failures) == (other.verdict, other.n, other.failures)


@given(st.lists(counts, min_size=1, max_size=12), st.data())
def test_more_failures_never_make_a_verdict_milder(
    history: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Turned from successes, or added to a window that has calls."""
    position = data.draw(st.integers(0, len(history) - 1))
    total, failed = history[position]
    turned = data.draw(st.integers(failed, total))
    more = data.draw(st.integers(0, 5)) if total else 0
    worse_history = [*history[:position], (total + more, turned + more), *history[position + 1 :]]
    for policy in (LITERAL, GUARDED):
        assert verdict(worse_history, policy).severity >= verdict(history, policy).severity


def test_a_finding_carries_its_evidence() -> None:
    seen = found([(10, 10), (0, 0), (10, 4)])
    assert (seen.n, seen.failures, seen.key) == (20, 14, "success_rate/rate/speak/qwen/3")
    assert [window.total for window in seen.windows[:3]] == [10, 0, 10]
    assert seen.document()["windows"][0]["end"] == NOW.isoformat()
    assert seen.first_bad_at == NOW - timedelta(seconds=15)
    assert (seen.mode, seen.cures) == ("auto", ("env_switch", "code_rollback"))
    assert found([(10, 10), (10, 4)], GUARDED).bounds["alpha"] == pytest.approx(3e-5)


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([(1000, 6)] * 4, True),
        ([(1000, 7)] * 4, False),  # 99.3 %: better than the SLO, not better by a third of the budget
        ([(1000, 0)] * 3, False),  # three windows of four
        ([(1000, 0)] * 3 + [(1000, 7)], False),
        ([(0, 0), (3, 0), (0, 0), (3, 0), (3, 0), (3, 0)], True),
        ([], False),
    ],
)
def test_it_leaves_only_when_better_than_it_had_to_be(
    newest_first: list[tuple[int, int]], expected: bool
) -> None:
    assert recovered(GUARDED, signals(windows(newest_first)), now=NOW) is expected
    assert recovered(GUARDED, signals(windows(newest_first), blind="gone"), now=NOW) is False


@given(st.lists(st.sampled_from(Verdict)))
def test_the_lattice(verdicts: list[Verdict]) -> None:
    order = [Verdict.FAIL, Verdict.BLIND, Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.PASS]
    expected = next((item for item in order if item in verdicts), Verdict.NO_DATA)
    assert worst(verdicts) is expected


@pytest.mark.parametrize(
    ("asked", "refused", "expected"),
    [
        ([(400, 20), (400, 20)], 0, Verdict.FAIL),  # both limits exactly: 20 and 5 %
        ([(400, 20), (400, 19)], 0, Verdict.INCONCLUSIVE),
        ([(401, 20), (400, 20)], 0, Verdict.INCONCLUSIVE),  # just under 5 %
        ([(400, 0), (400, 0)], 0, Verdict.PASS),
    ],
)
def test_refusals_are_an_objective_of_their_own(
    asked: list[tuple[int, int]], refused: int, expected: Verdict
) -> None:
    del refused
    buckets = [bucket(300 * index, total, failed) for index, (total, failed) in enumerate(asked)]
    found_all = judge(part(), signals(refused={QWEN: buckets}), known_good="modal", now=NOW)
    assert [item.check for item in found_all] == ["rate", "refusals"]
    assert (found_all[1].verdict, found_all[1].mode) == (expected, "shadow")
    assert found_all[0].verdict is Verdict.NO_DATA  # they are no calls
    nothing = judge(
        part(), signals(refused={Series("modal", 2, "speak"): buckets}), known_good="modal", now=NOW
    )
    assert nothing[1].verdict is Verdict.NO_DATA


@given(
    st.floats(1.6e9, 2e9).map(lambda stamp: datetime.fromtimestamp(stamp, UTC)),
    st.integers(1, 24),
    st.integers(1, 10),
)
def test_windows_are_adjacent_aligned_and_never_in_the_future(
    now: datetime, buckets: int, limit: int
) -> None:
    cut = list(spans(now, window_s=5 * buckets, limit=limit))
    assert len(cut) == limit
    assert cut[0][1] <= now < cut[0][1] + timedelta(seconds=5)
    for start, end in cut:
        assert end - start == timedelta(seconds=5 * buckets)
        assert end.timestamp() % 5 == 0
    assert all(newer[0] == older[1] for newer, older in pairwise(cut))


def test_window_edges() -> None:
    assert last_edge(NOW) == NOW
    assert last_edge(NOW + timedelta(seconds=4, microseconds=999_999)) == NOW
    assert last_edge(NOW + timedelta(seconds=5)) == NOW + timedelta(seconds=5)
    floor = NOW - timedelta(seconds=10)
    assert len(list(spans(NOW, window_s=5, limit=9, floor=floor))) == 2  # one starting at the floor counts
    assert len(list(spans(NOW, window_s=5, limit=9, floor=floor + timedelta(microseconds=1)))) == 1
    with pytest.raises(ValueError, match="multiple of 5"):
        list(spans(NOW, window_s=7, limit=1))


def test_a_call_at_a_windows_edge_belongs_to_the_window_it_begins() -> None:
    policy = part("literal", window_s=60, consecutive=1, lookback_windows=1)
    assert (
        judge(policy, signals([bucket(55, 10, 10)]), known_good="modal", now=NOW)[0].verdict is Verdict.FAIL
    )
    assert (
        judge(policy, signals([bucket(60, 10, 10)]), known_good="modal", now=NOW)[0].verdict
        is Verdict.NO_DATA
    )
