from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.clocks import HandClock
from understudy.errors import ConflictError, StoreUnavailableError, UnservedError
from understudy.speech.signals import SignalRecorder
from understudy.store import process_signals
from understudy.store.process_signals import AdmissionCount, HitCount

pytestmark = pytest.mark.unit

INSTANCE, USER, CANARY = uuid4(), uuid4(), uuid4()


class Store:
    """What was committed; away, refusing or hanging when told so."""

    def __init__(self) -> None:
        self.admissions: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.hits: list[HitCount] = []
        self.drops: list[int] = []
        self.fails: BaseException | None = None
        self.fails_at_commit = False
        self.hangs = False
        self.transactions = 0

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Store]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None and not self.fails_at_commit:
            raise self.fails
        self.transactions += 1
        yield self
        if self.fails is not None:
            raise self.fails

    async def close(self) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    async def write_admissions(conn: Store, instance: UUID, counts: Sequence[AdmissionCount]) -> None:
        assert instance == INSTANCE
        for count in counts:
            key = (count.bucket_at.second, count.provider, count.mode_epoch, count.operation)
            conn.admissions[key] = (count.asked, count.refused)

    async def write_hits(conn: Store, _: str, __: UUID, hits: Sequence[HitCount]) -> None:
        conn.hits += hits

    async def write_drops(conn: Store, _: str, __: UUID, dropped: int) -> None:
        conn.drops.append(dropped)

    async def synthetic_among(_: Store, users: set[UUID]) -> set[UUID]:
        return users & {CANARY}

    for fake in (write_admissions, write_hits, write_drops, synthetic_among):
        monkeypatch.setattr(process_signals, fake.__name__, fake)
    return Store()


def recorder(store: Store, clock: HandClock, capacity: int = 100) -> SignalRecorder:
    async def connect() -> Any:
        return store

    return SignalRecorder(connect, process="api", instance=INSTANCE, clock=clock, capacity=capacity)


async def test_admissions_fall_into_buckets_and_canaries_are_left_out(store: Store) -> None:
    clock = HandClock()
    signals = recorder(store, clock)
    signals.admit("modal", 3, "speak", USER)
    signals.admit("modal", 3, "speak", USER, refused=True)
    signals.admit("modal", 3, "speak", CANARY, refused=True)
    clock.advance(5)
    signals.admit("qwen", 4, "speak", USER)
    assert await signals.flush()
    assert store.admissions == {(0, "modal", 3, "speak"): (2, 1), (5, "qwen", 4, "speak"): (1, 0)}
    signals.admit("qwen", 4, "speak", USER)
    assert await signals.flush()
    assert store.admissions[5, "qwen", 4, "speak"] == (2, 0)


async def test_only_a_refusal_by_mode_or_coverage_is_one(store: Store) -> None:
    signals = recorder(store, HandClock())
    with signals.admission("qwen", 1, "speak", USER):
        pass
    with pytest.raises(UnservedError), signals.admission("qwen", 1, "speak", USER):
        raise UnservedError
    with pytest.raises(ConflictError), signals.admission("qwen", 1, "speak", USER):
        raise ConflictError("You have 1 generation(s) in progress.")
    await signals.flush()
    assert store.admissions == {(0, "qwen", 1, "speak"): (2, 1)}


async def test_nothing_is_asked_of_the_store_when_nothing_happened(store: Store) -> None:
    assert await recorder(store, HandClock()).flush()
    assert store.transactions == 0


async def test_while_the_store_is_away_it_keeps_what_fits_and_then_tells_what_it_dropped(
    store: Store,
) -> None:
    signals = recorder(store, HandClock(), capacity=10)
    store.fails = StoreUnavailableError()
    for _ in range(14):
        signals.leak("log", "JWT_SECRET")
    assert not await signals.flush()
    assert (len(signals), signals.dropped) == (10, 4)
    store.fails = None
    assert await signals.flush()
    assert [(hit.where, hit.name, hit.count) for hit in store.hits] == [("log", "JWT_SECRET", 10)]
    assert store.drops == [4]
    assert await signals.flush()
    assert (store.drops, len(signals)) == ([4], 0)


async def test_a_batch_whose_commit_got_no_answer_counts_once(store: Store) -> None:
    signals = recorder(store, HandClock())
    signals.admit("qwen", 1, "speak", USER, refused=True)
    store.fails, store.fails_at_commit = StoreUnavailableError(), True
    assert not await signals.flush()
    signals.admit("qwen", 1, "speak", USER)
    store.fails = None
    assert await signals.flush()
    assert store.admissions == {(0, "qwen", 1, "speak"): (2, 1)}


async def test_a_batch_that_the_store_refuses_is_dropped_and_counted(store: Store) -> None:
    signals = recorder(store, HandClock())
    signals.leak("response", "canary-1")
    store.fails = ValueError("no such column")
    assert not await signals.flush()
    store.fails = None
    assert await signals.flush()
    assert (store.hits, store.drops, signals.dropped) == ([], [1], 1)


async def test_the_end_writes_what_is_left_and_waits_for_no_hung_store(store: Store) -> None:
    signals = recorder(store, HandClock())
    signals.start()
    signals.leak("log", "JWT_SECRET")
    await signals.stop()
    assert len(store.hits) == 1
    hung = recorder(store, HandClock())
    hung.leak("log", "JWT_SECRET")
    store.hangs = True
    async with asyncio.timeout(5):
        await hung.stop(deadline_s=0.05)
    assert len(hung) == 1
