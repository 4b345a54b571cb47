from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.restoration.looking import part
from understudy.errors import ConfigurationError
from understudy.resources import simulation_bounds_file
from understudy.restoration.playbook import bounds
from understudy.restoration.playbook.simulation import (
    CONDITIONS,
    RATES,
    Cell,
    Plan,
    Rule,
    fails,
    looks,
    simulate,
    upper_rate,
)
from understudy.restoration.playbook.traffic import Recorded, broken_after, bursty, steady
from understudy.restoration.triggers.statistics import poisson_tail

pytestmark = pytest.mark.unit


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("rule", ["literal", "guarded"])
@pytest.mark.parametrize(("rate", "error_rate"), [(3, 0.5), (30, 0.08), (240, 0.03)])
def test_looks_that_are_skipped_cannot_trip(rule: Rule, rate: int, error_rate: float) -> None:
    policy = part(rule, window_s=10, lookback_windows=12)
    calls = steady(random(), calls_per_minute=rate, length_s=1500, error_rate=error_rate)
    recorded = Recorded(calls)
    lookback = policy.rate.lookback_s // 5
    tripping = [look for look in range(lookback, recorded.buckets + 1) if fails(policy, recorded, look)]
    assert tripping
    assert set(tripping) <= set(looks(policy, recorded))


def test_traffic_is_what_it_says() -> None:
    calls = steady(random(), calls_per_minute=60, length_s=100_000, error_rate=0.05)
    assert len(calls.at_s) == pytest.approx(100_000, rel=0.02)
    assert calls.failed.mean() == pytest.approx(0.05, rel=0.1)
    assert (np.diff(calls.at_s) >= 0).all()
    bursts = bursty(random(), calls_per_minute=60, length_s=2_000_000)
    assert bursts.failed.mean() == pytest.approx(0.002, rel=0.2)
    together = np.diff(bursts.at_s[bursts.failed])
    assert (together < 10).mean() > 0.5  # failures keep each other company
    broken = broken_after(random(), calls_per_minute=60, healthy_s=50_000, length_s=100_000, error_rate=1.0)
    assert broken.failed[broken.at_s < 50_000].mean() < 0.005
    assert broken.failed[broken.at_s >= 50_000].all()


def test_what_the_guard_sees_are_the_calls() -> None:
    calls = steady(random(), calls_per_minute=120, length_s=300, error_rate=0.3)
    seen = Recorded(calls).signals(60, 60).calls
    buckets = next(iter(seen.buckets.values()))
    assert sum(bucket.total for bucket in buckets) == len(calls.at_s)
    assert sum(bucket.failed for bucket in buckets) == calls.failed.sum()
    assert [bucket.start for bucket in buckets] == sorted((bucket.start for bucket in buckets), reverse=True)
    tail = next(iter(seen.tails.values()))
    assert [call.ok for call in tail] == [not bad for bad in reversed(calls.failed[-20:])]


def test_a_small_simulation_is_repeatable_and_shows_what_the_rules_are_for() -> None:
    plan = Plan(days=1, runs=6, shards=2)
    cells = simulate(part(), plan, rates=(20,), conditions=("healthy", "at_slo", "outage"))
    assert cells == simulate(part(), plan, rates=(20,), conditions=("healthy", "at_slo", "outage"))
    rows = {(row["rule"], row["condition"]): row for row in (cell.row() for cell in cells)}
    assert set(rows["literal", "healthy"]) >= {
        "rule",
        "calls_per_minute",
        "condition",
        "false_trips_per_day",
        "detect_p50_s",
        "detect_p95_s",
    }
    assert rows["guarded", "healthy"]["false_trips_per_day"] == 0
    assert rows["literal", "at_slo"]["false_trips_per_day"] > 5
    assert rows["guarded", "at_slo"]["false_trips_per_day"] <= 2
    assert rows["guarded", "outage"]["detect_p95_s"] < rows["literal", "outage"]["detect_p50_s"]
    assert rows["guarded", "outage"]["false_trips_per_day"] is None


def test_upper_bounds() -> None:
    assert upper_rate(0, 1) == pytest.approx(2.9957, abs=1e-3)
    assert upper_rate(0, 40) == pytest.approx(0.0749, abs=1e-3)
    assert 1 - poisson_tail(4, upper_rate(3, 1)) == pytest.approx(0.05, abs=1e-6)
    assert upper_rate(0, 0) == math.inf


QUIET = Cell("guarded", 20, "healthy", days=40.0, trips=2)
SEEN = Cell("guarded", 20, "outage", detect_s=tuple(float(second) for second in range(1, 101)))


def recorded(tmp_path: Path, *cells: Cell) -> dict[tuple[int, str], dict[str, object]]:
    path = tmp_path / "bounds.json"
    path.write_text(json.dumps(bounds.record(cells, "guarded", Plan())), "utf-8")
    return bounds.read_bounds(path)


def test_a_cell_is_worse_beyond_chance_only(tmp_path: Path) -> None:
    known = recorded(tmp_path, QUIET, SEEN)
    assert bounds.worse([QUIET, SEEN], known) == []
    assert bounds.worse([replace(QUIET, days=6.0, trips=4)], known) == []
    said = bounds.worse([replace(QUIET, days=6.0, trips=12)], known)
    assert len(said) == 1
    assert said[0].startswith("healthy at 20 calls/min (guarded): 12 false trips in 6 days")
    slower = replace(SEEN, detect_s=tuple(second + 40 for second in SEEN.detect_s))
    assert any("p50" in item for item in bounds.worse([slower], known))
    tail = replace(SEEN, detect_s=(*SEEN.detect_s[:75], *[math.inf] * 25))
    assert [item for item in bounds.worse([tail], known) if "p95" in item and "25 not at all" in item]
    assert "no bound is recorded" in bounds.worse([replace(QUIET, calls_per_minute=7)], known)[0]
    # Going back to the literal rule is an edit like any other.
    assert bounds.worse([replace(QUIET, rule="literal", days=6.0, trips=90)], known)


def test_trouble_that_the_record_missed_has_no_bound(tmp_path: Path) -> None:
    missed = replace(SEEN, detect_s=(math.inf,) * 50)
    assert missed.row()["detect_p50_s"] is None
    assert bounds.worse([missed], recorded(tmp_path, missed)) == []


def test_the_recorded_bounds_cover_every_cell(tmp_path: Path) -> None:
    known = bounds.read_bounds(simulation_bounds_file())
    assert set(known) == {(rate, condition) for rate in RATES for condition in CONDITIONS}
    for rate in RATES:
        assert known[rate, "healthy"]["false_trips_per_day_at_most"] < 0.1
        assert known[rate, "at_slo"]["false_trips_per_day_at_most"] < 1
        assert known[rate, "outage"]["detect_p95_s"] < (600 if rate == 1 else 120)
    with pytest.raises(ConfigurationError, match="--record"):
        bounds.read_bounds(tmp_path / "absent.json")


def test_an_edit_that_cries_wolf_is_caught() -> None:
    eager = part(evidence__alpha=0.02, evidence__min_calls=5, evidence__min_failures=2)
    plan = replace(bounds.CHECK, days=1, shards=1)
    cells = simulate(eager, plan, rules=("guarded",), rates=(60,), conditions=("at_slo",))
    said = bounds.worse(cells, bounds.read_bounds(simulation_bounds_file()))
    assert said
    assert "at_slo at 60 calls/min" in said[0]


def test_an_edit_that_sees_later_is_caught() -> None:
    slow = part(consecutive=4, evidence__streak_s=120.0)
    cells = simulate(slow, bounds.CHECK, rules=("guarded",), rates=(60,), conditions=("outage",))
    assert bounds.worse(cells, bounds.read_bounds(simulation_bounds_file()))
