"""What the guard's store promises, whichever database holds it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from understudy.errors import (
    ConfigurationError,
    ConflictError,
    LeaseLostError,
    NotFoundError,
    StoreUnavailableError,
)
from understudy.settings import Settings
from understudy.store.guard import ChartRow, GuardStore, Lease, PostgresBackend, open_guard_store

pytestmark = pytest.mark.integration

Open = Callable[[], GuardStore]
NOWHERE = SecretStr("")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> Iterator[Open]:
    """Open the same store again and again, each time as another process would."""
    opened: list[GuardStore] = []
    if request.param == "sqlite":

        def make() -> GuardStore:
            return GuardStore(tmp_path / "guard.sqlite3", clock)
    else:
        urls: DatabaseUrls = request.getfixturevalue("empty_database_urls")

        def make() -> GuardStore:
            return GuardStore(PostgresBackend(urls.owner, product_url=NOWHERE), clock)

    def open_one() -> GuardStore:
        opened.append(make())
        return opened[-1]

    yield open_one
    for store in opened:
        try:
            store.close()
        except sqlite3.ProgrammingError:
            continue  # of another thread, which has closed it


def taken(store: GuardStore, holder: str = "a") -> Lease:
    lease = store.acquire("local", holder, lifetime_s=60)
    assert lease is not None
    return lease


def opened(store: GuardStore, lease: Lease, name: str = "inc-1") -> str:
    store.open_incident(
        lease,
        environment=lease.environment,
        incident=name,
        title="t",
        state="OPEN",
        actor="guard",
        body={"n": 1},
    )
    return name


def expire(store: GuardStore) -> None:
    past = (store.lease_now() - timedelta(seconds=1)).isoformat()
    with store._backend.writing():
        store._backend.run("UPDATE lease SET expires_at = :past", {"past": past})


def test_one_guard_holds_the_lease_and_an_old_holder_writes_nothing(opening: Open) -> None:
    one, two = opening(), opening()
    first = taken(one)
    assert (first.epoch, taken(one).epoch) == (1, 1)
    assert two.acquire("local", "b", lifetime_s=60) is None
    first = one.renew(first, lifetime_s=60)
    assert one.holds(first)
    assert first.expires_at > one.lease_now() + timedelta(seconds=50)
    incident = opened(one, first)
    expire(one)
    assert not one.holds(first)
    second = taken(two, "b")
    assert second.epoch == 2
    writes: list[Callable[[], object]] = [
        lambda: one.append(first, incident=incident, kind="page", actor="guard", body={}),
        lambda: one.append(first, incident=incident, kind="state", actor="g", body={}, move=("OPEN", "HOLD")),
        lambda: one.renew(first, lifetime_s=60),
        lambda: one.announce(first, kind="alarm", actor="guard", body={}),
        lambda: opened(one, first, "inc-2"),
    ]
    for write in writes:
        with pytest.raises(LeaseLostError, match="b holds it"):
            write()
    assert one.incident(incident).state == "OPEN"
    one.release(first)
    assert one.acquire("local", "c", lifetime_s=60) is None
    two.release(second)
    assert taken(one, "c").epoch == 3


def test_the_journal_is_one_chain_that_nobody_changes(opening: Open, clock: HandClock) -> None:
    store = opening()
    assert (store.head(), store.verify_chain().problems) == (0, ())
    lease = taken(store)
    incident = opened(store, lease)
    with pytest.raises(ConflictError, match="open incident already"):
        opened(store, lease, "inc-2")
    clock.advance(1)
    store.announce(lease, kind="alarm", actor="guard", body={"name": "blind", "message": "ü"})
    store.append(None, incident=incident, kind="note", actor="person:ada", body={"text": "looking"})
    store.append(None, incident=incident, kind="ack", actor="person:ada", body={})
    with pytest.raises(ConflictError, match="is OPEN, not HOLD"):
        store.append(lease, incident=incident, kind="state", actor="g", body={}, move=("HOLD", "OPEN"))
    with pytest.raises(NotFoundError):
        store.append(lease, incident="inc-9", kind="page", actor="g", body={})

    def fail() -> None:
        assert store.incident(incident).state == "CLOSED"  # sees what is not committed
        raise ConfigurationError("no report")

    def close(before_commit: Callable[[], None] | None) -> None:
        store.append(
            lease, incident=incident, kind="state", actor="g", body={}, move=("OPEN", "CLOSED"),
            before_commit=before_commit,
        )  # fmt: skip

    with pytest.raises(ConfigurationError, match="no report"):
        close(fail)
    assert (store.incident(incident).state, store.head()) == ("OPEN", 4)
    close(None)
    with pytest.raises(ConflictError, match="nothing is added"):
        store.append(lease, incident=incident, kind="page", actor="g", body={})
    assert store.open_incident_of("local") is None
    opened(store, lease, "inc-2")

    again = opening()
    entries = again.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(entries))
    assert [entry.kind for entry in again.entries(incident)] == ["opened", "note", "ack", "state"]
    assert [entry.seq for entry in again.entries_after(2, limit=2)] == [3, 4]
    assert [row.id for row in again.incidents(state="OPEN")] == ["inc-2"]
    assert [row.id for row in again.incidents("local", limit=1, offset=1)] == ["inc-1"]
    assert again.verify_chain().problems == ()
    with pytest.raises(Exception, match="append-only"):
        again._backend.run("UPDATE journal SET actor = 'x' WHERE seq = 1")
    with pytest.raises(Exception, match="append-only"):
        again._backend.run("DELETE FROM journal")
    again.remember("journal_head", "5:0")
    assert any("recorded head" in problem for problem in again.verify_chain().problems)


def test_what_it_remembers_outlives_it(opening: Open, clock: HandClock) -> None:
    store = opening()
    assert (store.saw_mode_epoch(7), store.saw_mode_epoch(3)) == (7, 7)
    assert (store.count("would_have_fired:cost/creates_hour"), store.count("other", 5)) == (1, 5)
    store.count("would_have_fired:cost/creates_hour")
    assert store.known_good() is None
    store.record_known_good({"git": {"revision": "a"}}, actor="person:ada")
    store.record_known_good({"git": {"revision": "b"}}, actor="person:ada")
    store.remember("probe", "1")
    store.remember("probe", "2")

    row, key = store.operators.create("ada")
    store.add_operator("token-of-this-home", "operator.token")
    with pytest.raises(ConflictError, match="has a key already"):
        store.operators.create("ada")
    assert (store.operator(key), store.operator(key + "x"), store.operator("")) == ("ada", None, None)
    assert key.startswith(row.prefix + "_")

    again = opening()
    assert again.highest_mode_epoch() == 7
    assert again.counts("would_have_fired:") == {"would_have_fired:cost/creates_hour": 2}
    newest = again.known_good()
    assert newest is not None
    assert (newest.seq, newest.document, newest.at) == (2, {"git": {"revision": "b"}}, clock.now())
    assert [record.seq for record in again.known_good_history()] == [2, 1]
    assert again.meta("probe") == "2"
    assert [seen.last_used_at for seen in again.operators.all() if seen.label == "ada"] == [clock.now()]
    again.operators.revoke("ada")
    with pytest.raises(NotFoundError):
        again.operators.revoke("ada")
    assert store.operator(key) is None
    again.operators.revoke("operator.token")
    again.add_operator("token-of-this-home", "operator.token")  # as a guard does when it starts
    assert again.operator("token-of-this-home") is None
    other, _ = again.operators.create("ada")
    assert other.prefix != row.prefix


def test_channels_keep_their_own_place_in_the_journal(opening: Open, clock: HandClock) -> None:
    store = opening()
    lease = taken(store)
    incident = opened(store, lease)
    assert store.outbox.channel("slack").sent_seq == 1  # a new channel is not told the past
    for _ in range(3):
        store.append(lease, incident=incident, kind="page", actor="guard", body={})
    now, later = clock.now(), clock.now() + timedelta(seconds=2)
    store.outbox.failed("slack", reason="500", at=now, next_attempt_at=later)
    store.outbox.failed("slack", reason="503", at=later, next_attempt_at=later)
    found = opening().outbox.channel("slack")
    assert (found.attempts, found.failing_since, found.last_error) == (2, now, "503")
    store.outbox.passed("slack", 2, delivered_at=now)
    store.outbox.give_up("slack", 3, reason="400", at=now)
    store.outbox.passed("slack", 1)
    found = opening().outbox.channel("slack")
    assert (found.sent_seq, found.attempts, found.delivered, found.failing_since) == (3, 0, 1, None)
    assert [(dead.channel, dead.seq, dead.reason) for dead in store.outbox.dead_letters()] == [
        ("slack", 3, "400")
    ]
    assert store.outbox.dead_letters(since=now + timedelta(seconds=1)) == []
    assert store.outbox.channel("pagerduty").sent_seq == 4
    assert [row.channel for row in store.outbox.channels()] == ["pagerduty", "slack"]


def test_alerts_are_kept_once_a_firing_and_forgotten_at_last(opening: Open, clock: HandClock) -> None:
    store = opening()
    now, day = clock.now(), timedelta(days=1)

    def alert(name: str, status: str = "firing", group: str = "g") -> dict[str, Any]:
        return {
            "fingerprint": name, "starts_at": f"2026-11-24T11:00:0{len(name)}+00:00", "status": status,
            "group": group, "labels": {"alertname": "ü"}, "annotations": {},
        }  # fmt: skip

    def receive(*alerts: dict[str, Any], at: Any = now, room: int = 3) -> int:
        return store.alerts.receive(alerts, now=at, live_since=at - day, room=room)

    assert receive(alert("a"), alert("bb"), alert("a")) == 0
    assert receive(alert("ccc", group="h"), alert("dddd"), alert("a")) == 1  # full: the known one is updated
    rows = opening().alerts.pending(live_since=now - day)
    assert [(row.fingerprint, row.times, row.group) for row in rows] == [
        ("a", 3, "g"), ("bb", 1, "g"), ("ccc", 1, "h"),
    ]  # fmt: skip
    assert rows[0].episode == rows[1].episode != rows[2].episode
    receive(alert("a", "resolved"), alert("bb", "resolved"))
    assert len(store.alerts.pending(live_since=now - day)) == 3
    store.alerts.taken("g", rows[0].episode, at=now)
    assert [store.alerts.episodes_taken(since=since) for since in (now, now + day)] == [1, 0]
    assert [row.fingerprint for row in store.alerts.pending(live_since=now - day)] == ["ccc"]
    assert store.alerts.newest(1)[0].resolved_at == now
    receive(alert("a"))
    assert [row.fingerprint for row in store.alerts.pending(live_since=now - day)] == ["a", "ccc"]
    assert store.alerts.pending(live_since=now + day) == []
    store.alerts.forget(before=now + day)
    assert store.alerts.newest() == []


def test_two_guards_that_race_never_hold_one_epoch_together(opening: Open, clock: HandClock) -> None:
    """Six guards, each with a connection of its own, fight over one lease that keeps running out."""
    guards, rounds = 6, 12
    acted: list[tuple[int, str]] = []
    barrier = threading.Barrier(guards)

    def fight(number: int) -> None:
        barrier.wait()
        store, name = opening(), f"guard-{number}"  # all of them make the schema at once, too
        for _ in range(rounds):
            try:
                lease = store.acquire("local", name, lifetime_s=0.05)
                if lease is None:
                    continue
                lease = store.renew(lease, lifetime_s=0.05)
                store.announce(lease, kind="alarm", actor=name, body={"holder": name})
                acted.append((lease.epoch, name))
                if number % 2:
                    store.release(lease)
                clock.advance(0.02)  # SQLite tells leases by this one
            except LeaseLostError:
                continue
        store.close()

    with ThreadPoolExecutor(guards) as pool:
        list(pool.map(fight, range(guards)))
    store = opening()
    entries = store.entries()
    assert store.verify_chain().problems == ()
    assert len(entries) == len(acted) > 0
    holders: dict[int | None, set[str]] = {}
    for entry in entries:
        holders.setdefault(entry.lease_epoch, set()).add(entry.actor)
    assert all(len(names) == 1 for names in holders.values())
    epochs = [entry.lease_epoch for entry in entries if entry.lease_epoch is not None]
    assert epochs == sorted(epochs)  # what an old holder wrote never follows what a new one wrote


def test_the_products_database_is_refused_and_a_missing_one_is_named(
    database_urls: DatabaseUrls, tmp_path: Path, clock: HandClock
) -> None:
    app = database_urls.app.get_secret_value()

    def refused(guard: str, product: str) -> str:
        settings = Settings.model_construct(guard_store_url=SecretStr(guard), database_url=SecretStr(product))
        with pytest.raises(ConfigurationError) as caught:
            open_guard_store(tmp_path, settings, clock)
        return caught.value.message

    assert "points to the product's database" in refused(app, app)
    # The same by another name: its tables tell.
    assert "points to the product's database" in refused(app, "postgresql://u:p@127.0.0.2:1/elsewhere")
    gone = "postgresql://u:hunter22@127.0.0.1:1/none"
    assert "GUARD_STORE_URL cannot be used" in refused(gone, app)
    assert "hunter22" not in refused(gone, app)
    assert "is no Postgres URL" in refused("mysql://x", app)


def test_a_lost_connection_is_replaced_and_a_lost_server_is_said(
    empty_database_urls: DatabaseUrls, clock: HandClock
) -> None:
    backend = PostgresBackend(empty_database_urls.owner, product_url=NOWHERE)
    with (
        GuardStore(backend, clock) as store,
        psycopg.connect(empty_database_urls.owner.get_secret_value(), autocommit=True) as other,
    ):

        def cut() -> None:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'understudy-guard-store' and datname = current_database()"
            )

        lease = taken(store)
        cut()
        assert store.holds(lease)  # idle when it was cut: nobody notices
        with pytest.raises(StoreUnavailableError):
            store.open_incident(
                lease,
                environment="local",
                incident="i",
                title="t",
                state="OPEN",
                actor="g",
                body={"cut": _Cut(cut)},
            )
        assert store.incidents() == []  # cut within the transaction: nothing of it was written
        opened(store, lease)
        assert store.verify_chain().problems == ()


class _Cut:
    """Cuts the connection when the entry's body is written, in the middle of a transaction."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut

    def __str__(self) -> str:
        self._cut()
        return "cut"


def test_what_charts_show_is_kept_by_time_and_in_bounds(opening: Open, clock: HandClock) -> None:
    charted, now = opening().charted, clock.now()
    rows = [
        ChartRow(now + timedelta(seconds=s), who, {"calls": s})
        for s in (10, 0, 5)
        for who in ("qwen", "modal")
    ]
    for _ in range(2):
        charted.keep("local", "window", rows, oldest=now, most=100)
    charted.keep("prod", "window", rows[:1], oldest=now, most=100)
    found = opening().charted.kept("local", "window", now + timedelta(seconds=1))
    assert [(int((row.at - now).total_seconds()), row.subject) for row in found] == [
        (5, "modal"), (5, "qwen"), (10, "modal"), (10, "qwen"),
    ]  # fmt: skip
    charted.keep("local", "window", [], oldest=now + timedelta(seconds=5), most=2)
    assert {row.at for row in charted.kept("local", "window", now)} == {now + timedelta(seconds=10)}
    assert charted.newest("local", "window") == now + timedelta(seconds=10)
    assert (charted.newest("local", "start"), len(charted.kept("prod", "window", now))) == (None, 1)


def test_what_persons_wrote_is_found_newest_first(opening: Open) -> None:
    store = opening()
    store.announce(None, kind="job", actor="person:ada", body={})
    store.announce(None, kind="job", actor="guard", body={})
    for environment, actor in (("local", "person:bob"), ("prod", "person:ada")):
        store.open_incident(
            None, environment=environment, incident=f"INC-{environment}", title="t", state="OPEN",
            actor=actor, body={},
        )  # fmt: skip
    found = store.entries_by_persons("local", limit=10)
    assert [entry.actor for entry in found] == ["person:bob", "person:ada"]
    assert [entry.seq for entry in store.entries_by_persons("local", actor="person:ada", limit=10)] == [1]
    assert store.entries_by_persons("local", actor="person:eve", limit=10) == []
