"""What must be so before a cutover: what is not known is no yes, and production wants its rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import HandClock
from tests.unit.restoration.cutovers import NOW, PLAN, POLICY
from understudy.restoration.cutover import memory, preflight
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import Plan, subject_of
from understudy.restoration.cutover.preflight import Check, Rehearsal
from understudy.restoration.cutover.reproducing import Reproduction, reproduction_of, speak_clean
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.restoration.signals.readings import ProbeResult
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit

ERROR = 0.05
PLANNED = Plan({**PLAN, "environment": "prod", "owner": "ada", "known_good": "modal"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GuardStore]:
    with GuardStore(tmp_path / "guard.sqlite3", HandClock(NOW)) as opened:
        yield opened


def incident(store: GuardStore, name: str, **finding: Any) -> None:
    values = {"trigger": "success_rate", "check": "rate", "provider": "qwen", "n": 20, "failures": 20}
    lease = store.acquire("local", name, lifetime_s=10)
    assert lease is not None
    store.open_incident(
        lease,
        environment="local",
        incident=name,
        title="t",
        state="OPEN",
        actor="guard",
        body={"finding": {**values, **finding}, "finding_key": "k"},
    )
    body = {"from": "OPEN", "to": "ABORTED"}
    store.append(lease, incident=name, kind="state", actor="guard", body=body, move=("OPEN", "ABORTED"))
    store.release(lease)


def asked(store: GuardStore, at_most: int = 60) -> Reproduction:
    return reproduction_of(store, "local", candidate="qwen", error=ERROR, phrases_at_most=at_most)


# --- the probe that stands for the last incident ------------------------------------------------------------


def test_without_an_incident_the_candidate_speaks_a_little(store: GuardStore) -> None:
    found = asked(store)
    assert (found.incident, found.phrases) == (None, 5)
    assert found.rate == pytest.approx(0.45, abs=0.01)


@pytest.mark.parametrize(
    ("n", "failures", "phrases"), [(20, 20, 5), (20, 10, 5), (100, 20, 14), (100, 10, 29), (1000, 1, 29)]
)
def test_as_many_phrases_as_rule_the_incidents_rate_out(
    store: GuardStore, n: int, failures: int, phrases: int
) -> None:
    incident(store, "inc-1", n=n, failures=failures)
    found = asked(store)
    assert (found.incident, found.finding, found.phrases) == ("inc-1", "success_rate/rate", phrases)
    assert asked(store, at_most=3).phrases == 3


def test_an_incident_of_the_known_good_side_asks_nothing_of_the_candidate(store: GuardStore) -> None:
    incident(store, "inc-1", trigger="realtime_failures", check="protocol")
    incident(store, "inc-2", provider="modal")
    assert asked(store).finding == "realtime_failures/protocol"


@pytest.mark.parametrize(
    ("trigger", "verdicts", "ok"),
    [
        ("security", {"security": "PASS"}, True),
        ("data_integrity", {"data_integrity": "NO_DATA"}, False),
        ("data_integrity", None, False),
        ("cost", None, True),
    ],
)
def test_what_phrases_cannot_show_is_shown_otherwise_or_said(
    store: GuardStore, trigger: str, verdicts: dict[str, str] | None, ok: bool
) -> None:
    incident(store, "inc-1", trigger=trigger, check="c", provider=None)
    wanted = asked(store)
    assert wanted.phrases == 0
    heartbeat = {"verdicts": verdicts} if verdicts else None
    found = preflight.of_probe(wanted, None, heartbeat, candidate="qwen")
    assert found.ok is ok
    assert ("not reproduced" in found.detail) is (trigger == "cost")


async def test_one_phrase_that_is_not_clean_ends_it(store: GuardStore) -> None:
    said = iter([True, True, False, True])

    async def speak() -> ProbeResult:
        ok = next(said)
        return ProbeResult(NOW, ok, "qwen", code=None if ok else "closed_1006", detail="d", outcome="ok")

    spoken = await speak_clean(4, speak)
    assert (spoken.clean, list(said)) == (2, [True])
    found = preflight.of_probe(asked(store), spoken, None, candidate="qwen")
    assert found.ok is False
    assert "phrase 3 of 4 was not clean" in found.detail
    assert preflight.of_probe(asked(store), None, None, candidate="qwen").ok is None


# --- everything else ----------------------------------------------------------------------------------------


def test_what_is_not_known_stands_in_the_way_until_a_person_takes_it_for_granted() -> None:
    checks = [Check("a", True, ""), Check("b", None, "cannot be read"), Check("c", False, "wrong")]
    assert [check.name for check in preflight.problems(checks, accepted=False)] == ["b", "c"]
    assert [check.name for check in preflight.problems(checks, accepted=True)] == ["c"]


@pytest.mark.parametrize(
    ("heartbeat", "wrong"),
    [
        (None, ["guard"]),
        ({"at": NOW.isoformat(), "leads": True, "verdicts": {"cost": "PASS"}}, []),
        ({"at": NOW.isoformat(), "leads": False, "verdicts": {}}, ["guard"]),
        ({"at": (NOW - timedelta(seconds=11)).isoformat(), "leads": True, "verdicts": {}}, ["guard"]),
        ({"at": NOW.isoformat(), "leads": True, "verdicts": {"cost": "BLIND"}}, ["triggers"]),
    ],
)
def test_a_guard_must_lead_and_see(heartbeat: dict[str, Any] | None, wrong: list[str]) -> None:
    checks = preflight.of_guard(heartbeat, now=NOW, fresh_s=10, open_incident=None)
    assert [check.name for check in checks if check.ok is not True] == wrong


def test_a_restoration_must_have_been_drilled_here_and_lately(store: GuardStore, tmp_path: Path) -> None:
    moves = MoveLimits(store, POLICY.limits, HandClock(NOW), "local")

    def drilled() -> bool | None:
        checks = preflight.of_memory(store, POLICY, moves, environment="local", home=tmp_path, now=NOW)
        return next(check.ok for check in checks if check.name == "restoration drilled")

    for days, environment, verified in ((31, "local", True), (1, "staging", True), (1, "local", False)):
        at = (NOW - timedelta(days=days)).isoformat()
        append_row(tmp_path, DrillRow(at, "cost", environment, True, "env_switch", verified, True, 0, 0))
        assert drilled() is False
    at = (NOW - timedelta(days=29)).isoformat()
    append_row(tmp_path, DrillRow(at, "cost", "local", True, "close_valve", True, True, 0, 0))
    assert drilled() is True
    checks = preflight.of_memory(store, POLICY, moves, environment="prod", home=tmp_path, now=NOW)
    assert "restoration drilled" not in [check.name for check in checks]  # its rehearsal asks staging


def test_production_wants_the_same_cutover_and_a_drill_in_staging_and_an_owner(
    store: GuardStore, tmp_path: Path
) -> None:
    def wrong(rehearsal: Rehearsal | None, *, owner: bool = True, environment: str = "prod") -> list[str]:
        checks = preflight.of_rehearsal(
            PLANNED, rehearsal, POLICY, environment=environment, owner_named=owner, now=NOW
        )
        return [check.name for check in checks if check.ok is not True]

    same, drilled = "the same cutover in staging", "restoration drilled in staging"
    staging = Rehearsal(tmp_path, store)
    assert wrong(None, owner=False) == ["owner", same]
    assert wrong(Rehearsal(tmp_path, None, "no guard has run there")) == [same]
    assert wrong(staging) == [same, drilled]
    other = subject_of({**PLAN, "revision": "r2"})
    memory.remember_completed(store, "staging", memory.CompletedCutover(1, "qwen", other, NOW.isoformat()))
    append_row(tmp_path, DrillRow(NOW.isoformat(), "cost", "staging", True, "env_switch", True, True, 0, 0))
    assert wrong(staging) == [same]
    mine = subject_of(PLAN)
    memory.remember_completed(store, "staging", memory.CompletedCutover(2, "qwen", mine, NOW.isoformat()))
    assert wrong(staging) == []
    assert wrong(None, environment="local", owner=False) == []


def test_the_same_cutover_has_the_same_digest_and_another_another() -> None:
    assert Plan(dict(PLANNED.document)).sha256 == PLANNED.sha256
    assert Plan({**PLANNED.document, "owner": "bob"}).sha256 != PLANNED.sha256
    # In another environment, under another owner, it is the same cutover.
    assert subject_of({**PLANNED.document, "environment": "staging", "owner": "bob"}) == subject_of(PLAN)
