"""A run that a person agrees to: killed anywhere and again while it resumes; stolen; without its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.restoration.engine_setting import STEPS, KilledError, Setting, edited, outcomes
from tests.unit.findings import finding_of
from understudy.envfile import read_env_file
from understudy.errors import LeaseLostError
from understudy.restoration.approvals import approve, plans_of
from understudy.restoration.guard.process import Connector
from understudy.restoration.incidents import IncidentBook, IncidentState, close_by_person
from understudy.restoration.orders import give_order
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration

S = IncidentState
STALLS = finding_of("playback/stalls")


def killing(at: int) -> Callable[[str], None]:
    """Die at the boundary of that number, counted from here."""
    left: Iterator[int] = iter(range(at, -1, -1))

    def reached(_: str) -> None:
        if next(left, 1) == 0:
            raise KilledError

    return reached


async def live(setting: Setting, incident: str) -> IncidentState:
    """Tend the incident to its end; a person agrees to what waits, once."""
    state = await setting.engine().tend(incident)
    plan = plans_of(setting.book.entries(incident)).get("env_switch")
    if state is S.HOLD and plan is not None and plan.waits(setting.bench.clock.now()):
        agreed = plan.sha256[:12]
        approve(setting.book.store, incident, person="ada", plan=agreed, now=setting.bench.clock.now())
        state = await setting.engine().tend(incident)
    return state


def repeated_nothing(setting: Setting, incident: str, boundary: str) -> None:
    entries = setting.book.entries(incident)
    alone, *steps = outcomes(setting.book, incident)
    assert alone == ("evidence", True), boundary
    assert steps == [(name, True) for name in STEPS], boundary
    assert [entry.step for entry in entries if entry.kind == "intent"] == ["evidence", *STEPS], boundary
    kinds = [entry.kind for entry in entries]
    assert (kinds.count("plan"), kinds.count("approval"), kinds.count("begun")) == (1, 1, 1), boundary
    assert [entry.body["about"].split()[0] for entry in entries if entry.kind == "page"] == ["plan"]
    assert setting.target.effects("env") == [{"TTS_PROVIDER_MODE": "modal"}], boundary
    assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy"], boundary


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.long)])
async def test_killed_at_every_boundary_and_once_more_while_it_resumes(setting: Setting, every: int) -> None:
    recorded: list[str] = []
    setting.restart(reached=recorded.append)
    incident = setting.open(finding=STALLS)
    assert await live(setting, incident) is S.MITIGATED
    repeated_nothing(setting, incident, "none")
    boundaries = recorded[2:]
    assert {"before plan", "after plan", "before page", "after HOLD", "after begun"} <= set(boundaries)
    for number, boundary in list(enumerate(boundaries))[::every]:
        close_by_person(setting.book.store, incident, person="test", reason="next round")
        await setting.back_to_qwen()
        setting.restart()
        incident = setting.open(finding=replace(STALLS, mode_epoch=number + 10))
        # The second kill comes soon after the first, later each round.
        for at in (number, number % 5):
            setting.restart(reached=killing(at))
            try:
                await live(setting, incident)
            except KilledError:
                continue
            assert at == number % 5, boundary  # nothing was left to die in
        setting.restart()
        assert await live(setting, incident) is S.MITIGATED, boundary
        assert await setting.overrides(incident) == 1, boundary
        repeated_nothing(setting, incident, boundary)
    assert setting.book.store.verify_chain().problems == ()
    killed = len(boundaries[::every])
    print(f"\n{killed} of {len(boundaries)} boundaries: killed, killed again, resumed; nothing repeated")


@pytest.mark.parametrize("stolen_at", ["after plan", "after intent live_override", "acted redeploy"])
async def test_a_second_guard_that_takes_the_lease_goes_on_and_the_first_one_stops(
    setting: Setting, stolen_at: str
) -> None:
    """The first guard is not dead: it sleeps, loses the lease, and wakes up in the middle of a step."""
    store = setting.book.store
    taken: list[IncidentBook] = []

    def steal(boundary: str) -> None:
        if boundary == stolen_at and not taken:
            assert setting.book.lease is not None
            store.release(setting.book.lease)
            second = GuardStore(setting.home / "guard.sqlite3", setting.bench.clock)
            book = IncidentBook(second, "local", setting.bench.clock)
            book.lease = second.acquire("local", "the-second-guard", lifetime_s=600)
            assert book.lease is not None
            taken.append(book)

    incident = setting.open(finding=STALLS)
    setting.book.reached = steal
    with pytest.raises(LeaseLostError):
        await live(setting, incident)
    wrote = {e.lease_epoch for e in store.entries(incident) if e.lease_epoch is not None}
    assert wrote == {1}
    setting.book = taken[0]
    setting.bench.store = taken[0].store
    assert await live(setting, incident) is S.MITIGATED
    assert await setting.overrides(incident) == 1
    repeated_nothing(setting, incident, stolen_at)
    with pytest.raises(LeaseLostError):
        IncidentBook(store, "local", setting.bench.clock).append(incident, "note", body={})


async def test_an_abort_in_the_middle_of_the_switch_leaves_row_and_environment_in_agreement(
    setting: Setting,
) -> None:
    incident = setting.open()

    def order(boundary: str) -> None:
        if boundary == "acted live_override":
            give_order(setting.book.store, incident, "abort", person="ada", reason="the wrong environment")

    setting.book.reached = order
    assert await setting.engine().tend(incident) is S.ABORTED
    assert await setting.overrides(incident) == 1
    assert setting.target.effects("env") == [{"TTS_PROVIDER_MODE": "modal"}]
    assert setting.target.effects("deploy") == []
    end = setting.book.entries(incident)[-1].body
    assert end["side"] == "Changed, and left so: live_override, durable_env."


async def test_with_the_product_database_gone_it_switches_holds_pages_and_never_closes(
    setting: Setting, tmp_path: Path
) -> None:
    setting.playbook = edited(
        tmp_path,
        ("live_override: 10", "live_override: 0.3"),
        (
            "      read_back: 60\n      verification: 150\n  - rung: 1\n    action: reapply",
            "      read_back: 0.5\n      verification: 150\n  - rung: 1\n    action: reapply",
        ),
        ("attempts: 5", "attempts: 2"),
    )
    setting.bench.connect = Connector(SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none"))
    incident = setting.open(known_good="modal")
    states = []
    for _ in range(4):
        states.append(await setting.engine().tend(incident))
        setting.bench.clock.advance(3600)
        assert setting.book.lease is not None
        setting.book.lease = setting.book.store.acquire("local", "guard-under-test", lifetime_s=600)
    assert states == [S.HOLD, S.FROZEN, S.FROZEN, S.FROZEN]
    assert read_env_file(setting.home / "understudy.env")["TTS_PROVIDER_MODE"] == "modal"
    assert setting.target.effects("deploy") == [
        f"{incident}:env_switch:redeploy",
        f"{incident}:env_switch:redeploy:2",
    ]
    pages = [e.body["message"] for e in setting.book.entries(incident) if e.kind == "page"]
    assert any("read_back" in page for page in pages)
    reached = {e.body["to"] for e in setting.book.entries(incident) if e.kind in {"opened", "state"}}
    assert not {S.MITIGATED, S.RECOVERED, S.CLOSED} & reached
