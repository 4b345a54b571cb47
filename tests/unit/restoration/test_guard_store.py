from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from tests.clocks import HandClock
from understudy.errors import (
    ConfigurationError,
    ConflictError,
    LeaseLostError,
    NotFoundError,
    StoreUnavailableError,
)
from understudy.store.guard import GuardStore, Lease, SqliteBackend
from understudy.store.guard.schema import SQLITE_SCRIPTS
from understudy.store.journal import GENESIS_HASH, canonical_json

pytestmark = pytest.mark.unit


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard" / "guard.sqlite3"


@pytest.fixture
def store(path: Path, clock: HandClock) -> GuardStore:
    return GuardStore(path, clock)


def taken(store: GuardStore, holder: str = "a") -> Lease:
    lease = store.acquire("local", holder, lifetime_s=10)
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


def raw(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as conn:
        for statement in statements:
            conn.execute(statement)
    conn.close()


def test_the_file_is_private_and_durable(store: GuardStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert store._backend.run("PRAGMA journal_mode")[0]["journal_mode"] == "wal"
    assert store._backend.run("PRAGMA synchronous")[0]["synchronous"] == 2  # FULL


def test_the_chain_links_every_entry(store: GuardStore) -> None:
    lease = taken(store)
    incident = opened(store, lease)
    for number in range(5):
        store.append(lease, incident=incident, kind="page", actor="guard", body={"n": number, "ü": None})
    entries = store.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[0].prev_hash == GENESIS_HASH
    assert all(b.prev_hash == a.hash for a, b in pairwise(entries))
    verdict = store.verify_chain()
    assert (verdict.entries, verdict.head, verdict.problems) == (6, entries[-1].hash, ())


def test_the_journal_refuses_change_and_deletion(store: GuardStore, path: Path) -> None:
    opened(store, taken(store))
    for statement in ("UPDATE journal SET actor = 'x'", "DELETE FROM journal"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw(path, statement)


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE journal SET body = replace(body, '1', '2') WHERE seq = 2", "entry 2 was altered"),
        ("UPDATE journal SET at = '2026-01-01T00:00:00+00:00' WHERE seq = 1", "entry 1 was altered"),
        ("DELETE FROM journal WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM journal WHERE seq = 3", "recorded head"),
        ("UPDATE incidents SET state = 'CLOSED'", "inc-1 reads CLOSED, but its journal says OPEN"),
        ("UPDATE journal SET body = 'not json' WHERE seq = 3", "entry 3 was altered"),
        ("DELETE FROM journal", "recorded head"),
    ],
)
def test_tampering_is_found(store: GuardStore, path: Path, tampering: str, said: str) -> None:
    lease = taken(store)
    incident = opened(store, lease)
    for number in (1, 2):
        store.append(lease, incident=incident, kind="page", actor="guard", body={"n": number})
    assert store.verify_chain().problems == ()
    raw(path, "DROP TRIGGER journal_is_never_changed", "DROP TRIGGER journal_is_never_deleted", tampering)
    assert any(said in problem for problem in store.verify_chain().problems)


def test_of_two_guards_one_holds_the_lease(store: GuardStore, path: Path, clock: HandClock) -> None:
    other = GuardStore(path, clock)
    first = taken(store, "a")
    assert first.epoch == 1
    clock.advance(9.999)
    assert other.acquire("local", "b", lifetime_s=10) is None
    first = store.renew(first, lifetime_s=10)
    clock.advance(9.999)
    assert other.acquire("local", "b", lifetime_s=10) is None
    clock.advance(0.001)
    second = taken(other, "b")
    assert second.epoch == 2
    assert store.acquire("local", "a", lifetime_s=10) is None


def test_an_old_holders_writes_are_refused(store: GuardStore, path: Path, clock: HandClock) -> None:
    old = taken(store, "a")
    incident = opened(store, old)
    clock.advance(10)
    new = taken(GuardStore(path, clock), "b")
    for write in (
        lambda: store.append(old, incident=incident, kind="page", actor="guard", body={}),
        lambda: store.append(
            old, incident=incident, kind="state", actor="guard", body={}, move=("OPEN", "HOLD")
        ),
        lambda: store.renew(old, lifetime_s=10),
        lambda: opened(store, old, "inc-2"),
    ):
        with pytest.raises(LeaseLostError, match="b holds it"):
            write()
    assert store.incident(incident).state == "OPEN"
    store.append(new, incident=incident, kind="page", actor="guard", body={})
    assert store.entries()[-1].lease_epoch == 2


def test_a_released_lease_is_free_at_once_and_a_lost_one_is_left_alone(store: GuardStore) -> None:
    first = taken(store, "a")
    store.release(first)
    second = taken(store, "b")
    store.release(first)
    assert store.acquire("local", "c", lifetime_s=10) is None
    assert store.lease("local") == second


def test_the_same_holder_keeps_its_epoch_until_it_lets_the_lease_run_out(
    store: GuardStore, clock: HandClock
) -> None:
    assert taken(store).epoch == taken(store).epoch == 1
    clock.advance(10)
    assert taken(store).epoch == 2


def test_moves_compare_the_state_inside_the_transaction(store: GuardStore) -> None:
    lease = taken(store)
    incident = opened(store, lease)
    with pytest.raises(ConflictError, match="is OPEN, not HOLD"):
        store.append(lease, incident=incident, kind="state", actor="g", body={}, move=("HOLD", "OPEN"))
    with pytest.raises(NotFoundError):
        store.append(lease, incident="inc-9", kind="page", actor="g", body={})


def test_the_highest_mode_epoch_never_goes_down(store: GuardStore, path: Path, clock: HandClock) -> None:
    assert store.highest_mode_epoch() == 0
    assert store.saw_mode_epoch(7) == 7
    assert store.saw_mode_epoch(3) == 7
    store.close()
    assert GuardStore(path, clock).highest_mode_epoch() == 7


def test_operators_are_known_by_hash_alone(store: GuardStore, path: Path) -> None:
    store.add_operator("token-of-ada-0123456789", "ada")
    assert store.operator("token-of-ada-0123456789") == "ada"
    assert store.operator("token-of-ada-012345678") is None
    store.close()
    assert b"token-of-ada" not in path.read_bytes()


def test_what_is_written_survives_reopening(store: GuardStore, path: Path, clock: HandClock) -> None:
    incident = opened(store, taken(store))
    again = GuardStore(path, clock, must_exist=True)
    assert again.incident(incident).opened_at == clock.now()
    assert again.verify_chain().problems == ()


def test_a_newer_or_missing_or_foreign_file_is_refused(tmp_path: Path, path: Path, clock: HandClock) -> None:
    with pytest.raises(ConfigurationError, match="no guard has run here"):
        GuardStore(path, clock, must_exist=True)
    GuardStore(path, clock).close()
    raw(path, "PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer version"):
        GuardStore(path, clock)
    foreign = tmp_path / "other.sqlite3"
    foreign.write_text("this is no database at all, but long enough to be looked at")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        GuardStore(foreign, clock)


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": [None, "ü"]}) == '{"a":[null,"ü"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_a_file_of_the_first_version_is_upgraded_with_everything_in_it(path: Path, clock: HandClock) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as conn:
        conn.executescript(SQLITE_SCRIPTS[0])
        conn.execute("PRAGMA user_version = 1")
        conn.execute(
            "INSERT INTO operators VALUES (?, 'operator.token', ?)",
            (sha256(b"old-token-0123456789").hexdigest(), clock.now().isoformat()),
        )
        conn.execute("INSERT INTO meta VALUES ('highest_mode_epoch', '7')")
    conn.close()
    store = GuardStore(path, clock)
    assert store.operator("old-token-0123456789") == "operator.token"
    assert store.highest_mode_epoch() == 7
    opened(store, taken(store))
    assert store.outbox.channel("slack").sent_seq == 1
    store.close()
    with GuardStore(path, clock) as again:
        assert again.verify_chain().problems == ()


def test_a_damaged_file_is_a_store_that_is_away_and_a_defect_of_ours_is_not(
    path: Path, store: GuardStore, clock: HandClock
) -> None:
    store.close()
    raw(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(4096)  # the first page says which tables there are
        stream.write(b"x" * (size - 4096))
    backend = SqliteBackend(path, clock)
    with pytest.raises(StoreUnavailableError, match="malformed"):
        backend.run("SELECT * FROM journal")
    with pytest.raises(sqlite3.ProgrammingError):
        backend.run("SELECT :missing")
    backend.close()


def test_a_second_opening_in_this_process_keeps_the_locks_of_the_first(
    store: GuardStore, path: Path, clock: HandClock
) -> None:
    store.remember("key", "before")
    with GuardStore(path, clock, must_exist=True) as second:
        assert second.meta("key") == "before"
    # A command that ends must not take itself for the last one: it would remove the journal.
    script = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute(\"UPDATE meta SET value = 'theirs'\"); db.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    store.remember("other", "after")
    with sqlite3.connect(path) as db:
        assert dict(db.execute("SELECT key, value FROM meta WHERE key IN ('key', 'other')")) == {
            "key": "theirs",
            "other": "after",
        }
