"""What becomes of findings: counted, opened, joined, acted on, asked about, and held back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.findings import AT, finding_of
from tests.unit.restoration.guarding import Post, mode_of, settle
from understudy.errors import StoreUnavailableError
from understudy.restoration.actions.step import StepError
from understudy.restoration.approvals import approve, plans_of
from understudy.restoration.guard.watching import Observer
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.restoration.orders import give_order
from understudy.restoration.playbook.reporting import write_report_of
from understudy.restoration.signals.readings import CostReading, Series, Signals, unseen
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.verdict import Finding, Verdict

pytestmark = pytest.mark.unit

S = IncidentState
RATE = finding_of()
COST = finding_of("cost/design_repeats", subject="ada")
LEAK = finding_of("security/secret_leak")
REFUSALS = finding_of("success_rate/refusals", mode="shadow")


def passing(finding: Finding) -> Finding:
    return replace(finding, verdict=Verdict.PASS)


async def test_shadow_is_counted_each_time_it_begins_and_never_opens(post: Post) -> None:
    guard = post.guard()
    for findings in ((REFUSALS,), (REFUSALS,), (passing(REFUSALS),), (REFUSALS,)):
        post.findings = findings
        await guard.cycle()
    assert guard.book.store.incidents() == []
    assert guard.view.would_have_fired == {"success_rate/refusals": 2}
    assert "would have opened" in guard.view.paged["shadow"]
    assert guard.view.verdicts["success_rate"] is not Verdict.FAIL  # shadow does not speak for its family
    again = post.guard("b")
    guard.book.store.release(guard.book.lease)  # type: ignore[arg-type]
    post.findings = ()
    await again.cycle()
    assert again.view.would_have_fired == {"success_rate/refusals": 2}


async def test_what_acts_opens_and_everything_else_that_fails_joins(post: Post) -> None:
    guard = post.guard()
    post.findings = (LEAK, finding_of("playback/stalls"), RATE, COST, REFUSALS)
    post.source.first_failed = AT - timedelta(seconds=7)
    post.findings = tuple(replace(f, first_bad_at=AT - timedelta(seconds=10)) for f in post.findings)
    assert await settle(guard) is S.MITIGATED
    [row] = guard.book.store.incidents()
    entries = guard.book.entries(row.id)
    assert entries[0].body["finding"]["trigger"] == "success_rate"
    assert entries[0].body["onset"] == (AT - timedelta(seconds=7)).isoformat()  # the very call
    assert entries[0].body["verdicts"]["security"] == "FAIL"
    joined = [e.body["finding"]["trigger"] for e in entries if e.kind == "joined"]
    assert joined == ["cost", "playback", "security"]
    assert post.acted.count("redeploy") == post.acted.count("close_valve") == 1
    asked = [e.body["about"] for e in entries if e.kind == "page"]
    assert asked[0].startswith("ask security")
    assert not any("playback" in about for about in asked)  # the switch is its cure too
    assert next(e for e in entries if e.kind == "page").body["instruction"]


@pytest.mark.parametrize("lost", ["answer", "time"])
async def test_the_onset_is_never_waited_for(post: Post, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.restoration.guard.deciding.ONSET_S", 0.01)
    guard = post.guard()
    await guard.cycle()
    if lost == "answer":
        post.source.error = StoreUnavailableError()
    else:
        post.source.hangs.clear()
    onset = AT - timedelta(seconds=10)
    decided = guard._deciding.decide(
        guard.view.signals,  # type: ignore[arg-type]
        [replace(RATE, first_bad_at=onset)],
        rearmed=lambda _: False,
        verdicts={},
    )
    row = await asyncio.wait_for(decided, 2)
    assert row is not None
    assert guard.book.entries(row.id)[0].body["onset"] == onset.isoformat()


async def test_late_failures_of_the_side_left_open_and_join_nothing(post: Post) -> None:
    guard = post.guard()
    post.source.mode = mode_of("modal", 4, AT)
    post.findings = (RATE,)  # of epoch 3
    await guard.cycle()
    assert guard.book.store.incidents() == []
    post.findings = (replace(RATE, mode_epoch=4), RATE)
    assert await settle(guard) is S.MITIGATED
    assert [e.kind for e in guard.book.entries(guard.book.store.incidents()[0].id)].count("joined") == 0


async def test_known_good_itself_in_trouble_asks_a_person_for_the_next_cure(post: Post) -> None:
    guard = post.guard()
    post.source.mode = mode_of("modal", 3, AT)
    post.findings = (replace(RATE, provider="modal"),)
    assert await settle(guard) is S.HOLD
    assert post.acted == ["evidence"]
    opened = guard.book.entries(guard.book.store.incidents()[0].id)[0].body
    assert opened["action"] is None
    assert opened["instruction"] == post.playbook.cures["code_rollback"].instruction


@pytest.mark.parametrize("hopeless", [False, True])
async def test_an_auto_finding_that_joins_acts_though_the_incident_holds(post: Post, hopeless: bool) -> None:
    guard = post.guard()
    post.failing["redeploy"] = StepError("no", final=True, hopeless=hopeless)
    post.findings = (RATE,)
    assert await settle(guard) is (S.FROZEN if hopeless else S.HOLD)
    post.findings = (RATE, COST)
    assert await settle(guard) is (S.FROZEN if hopeless else S.HOLD)
    assert post.acted.count("close_valve") == 1


async def test_what_was_closed_opens_again_only_after_it_was_healthy_and_a_restart_forgets_nothing(
    post: Post,
) -> None:
    guard = post.guard()
    post.findings = (LEAK, passing(COST))
    assert await settle(guard) is S.HOLD
    row = guard.book.store.incidents()[0]
    close_by_person(guard.book.store, row.id, person="ada", reason="known")
    await guard.cycle()
    assert len(guard.book.store.incidents()) == 1
    assert guard.view.disarmed == (LEAK.key,)
    assert LEAK.key in guard.view.paged["disarmed"]
    guard.book.store.release(guard.book.lease)  # type: ignore[arg-type]

    second = post.guard("b")  # restarted while it still fails: stays disarmed
    await second.cycle()
    assert len(second.book.store.incidents()) == 1
    post.findings = (replace(LEAK, verdict=Verdict.BLIND),)
    await second.cycle()
    assert second.view.disarmed == (LEAK.key,)  # blindness is no health
    post.findings = (passing(LEAK),)
    await second.cycle()
    assert second.view.disarmed == ()
    second.book.store.release(second.book.lease)  # type: ignore[arg-type]

    third = post.guard("c")  # restarted after it was healthy: armed
    post.findings = (LEAK,)
    await third.cycle()
    assert len(third.book.store.incidents()) == 2
    await third._stop_restoring()


async def test_a_subject_that_has_gone_is_healthy_when_its_whole_check_passes(post: Post) -> None:
    guard = post.guard()
    post.findings = (COST,)
    await settle(guard)
    close_by_person(guard.book.store, guard.book.store.incidents()[0].id, person="ada", reason="x")
    post.findings = (finding_of("cost/design_repeats", subject="ben"),)
    await guard.cycle()  # another tenant: another problem, which opens its own
    assert len(guard.book.store.incidents()) == 2
    await guard._stop_restoring()


@pytest.mark.parametrize(
    "boundary", ["after opened", "before RESTORING", "before begun", "before intent evidence"]
)
async def test_a_guard_killed_between_opening_and_evidence_goes_on(post: Post, boundary: str) -> None:
    class KilledError(BaseException):
        pass

    def reached(name: str) -> None:
        if name == boundary:
            raise KilledError

    guard = post.guard()
    guard.book.reached = reached
    post.findings = (RATE,)

    async def live() -> None:
        await guard.cycle()
        assert guard._restoring is not None
        await guard._restoring

    with pytest.raises(KilledError):
        await live()
    guard._restoring = None
    assert guard.book.lease is not None
    guard.book.store.release(guard.book.lease)
    second = post.guard("b")
    assert await settle(second) is S.MITIGATED
    assert len(second.book.store.incidents()) == 1
    assert post.acted == ["evidence", "redeploy", "read_back", "verification"]


async def test_a_closed_valve_closes_by_itself_when_its_finding_has_passed_long_enough(post: Post) -> None:
    guard = post.guard()
    post.findings = (COST,)
    assert await settle(guard) is S.MITIGATED
    post.findings = (passing(finding_of("cost/design_repeats")),)  # the tenant is named no more
    await guard.cycle()
    assert guard.view.recovery is not None
    assert guard.view.recovery.waiting_for == ("cost/design_repeats to pass for 10 s (0 s so far)",)
    post.clock.advance(10)
    await guard.cycle()
    row = guard.book.store.incidents()[0]
    assert row.state == S.CLOSED
    report = (post.home / "reports" / f"{row.id}.md").read_text()
    assert "4. Cost anomaly from repeated Qwen design creates or runaway generation volume. Found:" in report
    assert "Rollback type used: none" in report
    assert "understudy valve open design-creates" in report


async def test_what_asked_a_person_and_joined_stays_mitigated_until_a_person_closes(post: Post) -> None:
    guard = post.guard()
    post.findings = (COST,)
    assert await settle(guard) is S.MITIGATED
    post.findings += (LEAK,)
    await guard.cycle()
    post.findings = (passing(finding_of("cost/design_repeats")), passing(LEAK))
    await guard.cycle()
    post.clock.advance(post.playbook.closing.maximum_wait_s + 1)
    await guard.cycle()
    row = guard.book.store.incidents()[0]
    assert guard.view.recovery is not None
    assert guard.view.recovery.waiting_for == ("a person to decide about security/secret_leak",)
    assert row.state == S.MITIGATED
    said = [e.body["message"] for e in guard.book.entries(row.id) if e.body.get("about") == "overdue"]
    waits = "a person to decide about security/secret_leak"
    assert said == [f"Mitigated, but recovery is not proven: {waits}"]

    def write() -> None:
        write_report_of(guard.book.store, row.id, post.home / "reports", now=post.clock.now())

    closed = close_by_person(
        guard.book.store, row.id, person="ada", reason="keys rotated", before_commit=write
    )
    assert closed.state == S.CLOSED
    report = (post.home / "reports" / f"{row.id}.md").read_text()
    assert "keys rotated" in report
    assert "Closed by hand by person:ada" in report
    assert "Decide about: A secret stood in an answer or a log." in report
    assert "6. Security issue (secret mismatch, wrong region key, leakage risk). Found:" in report


async def test_what_a_person_was_asked_stays_on_hold_when_it_is_healthy_by_itself(post: Post) -> None:
    guard = post.guard()
    post.findings = (LEAK,)
    assert await settle(guard) is S.HOLD
    post.findings = (passing(LEAK),)
    await guard.cycle()
    for _ in range(3):
        post.clock.advance(5)
        await guard.cycle()
    post.findings = (LEAK,)
    for _ in range(2):
        await guard.cycle()
    row = guard.book.store.incidents()[0]
    said = [e.body["healthy"] for e in guard.book.entries(row.id) if e.kind == "signal"]
    assert (row.state, said) == (S.HOLD, [True, False])
    assert close_by_person(guard.book.store, row.id, person="ada", reason="rotated").state == S.CLOSED


async def test_what_pauses_runs_once_a_person_agrees_and_waits_while_one_holds_it(post: Post) -> None:
    guard = post.guard()
    post.findings = (finding_of("playback/stalls"),)
    assert await settle(guard) is S.HOLD
    row = guard.book.store.incidents()[0]
    assert guard.book.entries(row.id)[0].body["instruction"] == post.playbook.cures["env_switch"].instruction
    plan = plans_of(guard.book.entries(row.id))["env_switch"]
    approve(guard.book.store, row.id, person="ada", plan=plan.sha256, now=post.clock.now())
    assert await settle(guard) is S.MITIGATED
    assert post.acted.count("redeploy") == 1
    post.source.mode = mode_of("modal", 4, AT)
    post.findings = (passing(finding_of("playback/stalls")),)
    give_order(guard.book.store, row.id, "hold", person="ada", reason="we look at it first")
    guard.view.recovery = None
    await guard.cycle()
    assert guard.view.recovery is None  # held: nothing closes it
    give_order(guard.book.store, row.id, "resume", person="ada", reason="seen")
    await guard.cycle()
    assert guard.view.recovery is not None
    assert guard.view.recovery.waiting_for


async def test_traffic_closes_a_switch_and_another_failure_holds_it_open(post: Post) -> None:
    guard = post.guard()
    post.findings = (RATE,)
    assert await settle(guard) is S.MITIGATED
    post.source.mode = mode_of("modal", 4, AT)
    verified = post.clock.now()
    post.clock.advance(15)
    start = verified.replace(second=verified.second + (-verified.second) % 5, microsecond=0)
    buckets = (
        CallWindow(start + timedelta(seconds=5), start + timedelta(seconds=10), 16, 0),
        CallWindow(start, start + timedelta(seconds=5), 15, 0),
    )
    post.source.buckets = {Series("modal", 4, "speak"): buckets}
    post.findings = (
        passing(replace(RATE, provider="modal", mode_epoch=4)),
        finding_of("playback/stalls", mode_epoch=4),
    )
    await guard.cycle()
    assert guard.view.recovery is not None
    assert guard.view.recovery.waiting_for == ("playback/stalls to stop failing",)
    post.findings = post.findings[:1]
    await guard.cycle()
    row = guard.book.store.incidents()[0]
    assert row.state == S.CLOSED
    [end] = [e.body for e in guard.book.entries(row.id) if e.body.get("to") == S.RECOVERED]
    assert (end["recovery"]["n"], end["impact"]["failed"]) == (31, 9)


async def test_a_source_that_breaks_hangs_or_goes_blind_is_blind_and_never_healthy(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real triggers judge here
    monkeypatch.setattr("understudy.restoration.guard.watching.SOURCE_HANGS_AFTER_S", 0.01)
    guard = post.guard()
    post.source.blind = "the database's clock is 9 s ahead"
    await guard.cycle()
    assert set(guard.view.verdicts.values()) == {Verdict.BLIND}
    post.source.blind, post.source.error = None, RuntimeError("a defect")
    await guard.cycle()
    assert set(guard.view.verdicts.values()) == {Verdict.BLIND}
    post.source.error = None
    post.source.hangs.clear()
    await guard.cycle()
    assert set(guard.view.verdicts.values()) == {Verdict.BLIND}
    assert guard.book.store.incidents() == []
    post.clock.advance(11)
    await guard.cycle()
    post.source.hangs.set()
    alarms = [e.body["name"] for e in guard.book.store.entries() if e.kind == "alarm"]
    assert "blind success_rate" in alarms


async def test_a_slow_or_broken_observer_delays_nothing_and_is_blind_until_it_answers(post: Post) -> None:
    looks: list[str] = []

    async def broken() -> CostReading:
        looks.append("cost")
        await asyncio.sleep(0)  # the clock here does not wait, so the look must
        raise RuntimeError("a defect")

    async def slow() -> CostReading:
        looks.append("security")
        await asyncio.sleep(60)
        raise AssertionError

    async def healthy() -> CostReading:
        looks.append("playback")
        await asyncio.sleep(0)
        return unseen(post.clock.now(), "").playback  # type: ignore[return-value]

    observers = {
        "cost": Observer(broken, 5, 1),
        "security": Observer(slow, 5, 0.01),
        "playback": Observer(healthy, 5, 1),
    }
    watcher = post.guard(observers=observers)._watcher

    async def seen() -> Signals:
        return await asyncio.wait_for(watcher.signals(), 1)

    assert (await seen()).cost.blind == "not looked at yet"
    for name in observers:
        await watcher.look_once(name)
    assert "its observer broke (RuntimeError)" in ((await seen()).cost.blind or "")
    assert (await seen()).security.blind == "no answer within 0.01 s"
    assert (await seen()).playback.blind == ""
    assert (await seen()).integrity.blind == "nothing observes it here"
    post.clock.advance(17)
    assert "silent for 17 s" in ((await seen()).playback.blind or "")
    stop = asyncio.Event()
    looks.clear()
    running = asyncio.create_task(watcher.run(stop))
    while not {"cost", "security", "playback"} <= set(looks) or looks.count("cost") < 3:
        await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(running, 1)


async def test_a_storm_of_one_check_is_told_as_one(post: Post) -> None:
    """A hundred tenants run away at once: five are named, and nobody is paged a hundred times."""
    guard = post.guard()
    storm = [finding_of("cost/runaway_characters", subject=f"tenant-{n}", mode="pause") for n in range(100)]
    post.findings = tuple(storm)
    assert await settle(guard) is S.HOLD
    [row] = guard.book.store.incidents()
    entries = guard.book.entries(row.id)
    assert sum(entry.kind == "joined" for entry in entries) == 4
    pages = [entry.body["about"] for entry in entries if entry.kind == "page"]
    assert len(pages) <= 8
    assert pages.count("more cost/runaway_characters") == 1
    post.findings = tuple(replace(finding, mode="shadow") for finding in storm)
    await guard.cycle()
    assert guard.view.paged["shadow"].endswith("and 95 more")
