"""Every invariant of the stored data, each at its own pace; a slow one delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import psycopg

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError, UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.observing import MISSED_LOOKS, NOT_YET
from understudy.restoration.signals.readings import IntegrityReading, InvariantReading
from understudy.restoration.signals.sampling import AudioSampler, ReferenceSampler
from understudy.restoration.signals.schema import SchemaWatch
from understudy.store import invariants
from understudy.store.drift import ScratchRefusedError
from understudy.store.invariants import COLLECTION_BELIEVED_FOR, Broken
from understudy.store.objects import ObjectStore

AUDIO = "completed_without_audio"
AUDIO_WITHOUT_ROW = "audio_without_row"
REFERENCES = "unreadable_references"
SCHEMA = "schema_drift"
#: Looks that run at once; each takes a connection.
AT_ONCE = 2
#: A query may take this share of a look's deadline; then the server gives it up itself.
QUERY_SHARE = 0.8
SPAN_S = 7200.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one invariant is looked at; the policy's numbers, all in seconds.

    Parameters
    ----------
    due_s
        Between two looks.
    older_than_s
        Younger rows may be in flight.
    full_pass_s
        In which every stored object is looked at; None where none is.
    span_s
        How far back calls and ledger entries are compared.
    tolerance_percent
        By how much the provider's count may differ from ours.
    """

    due_s: float
    older_than_s: float
    full_pass_s: float | None = None
    span_s: float = SPAN_S
    tolerance_percent: float = 0.0


Look = Callable[[datetime], Awaitable[Broken]]


class IntegrityObserver:
    """Looks at each invariant when it is due.

    Parameters
    ----------
    plans
        By the invariant's name: :meth:`DataIntegrity.plans` of the policy.
    objects
        Where audio is stored; None where the guard has no access to it: then rows alone are looked at.
    schema
        What compares the live schema; None leaves that invariant BLIND.
    deadline_s
        Seconds that the look at one invariant may take.
    patience_s
        Seconds that a reading waits for looks that it began.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        *,
        plans: Mapping[str, Plan],
        objects: ObjectStore | None,
        schema: SchemaWatch | None,
        deadline_s: float = 30.0,
        patience_s: float = 1.0,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self.deadline_s = deadline_s
        self._patience_s = patience_s
        self.every_s = min((plan.due_s for plan in plans.values()), default=60.0)
        self._made_at = clock.now()
        self._plans = dict(plans)
        self._looks = {name: self._look_of(name, plan, objects, schema) for name, plan in plans.items()}
        self._readings = {name: InvariantReading(name, None, plan.due_s) for name, plan in plans.items()}
        self._tried_at: dict[str, datetime] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self) -> IntegrityReading:
        """Look at every invariant that is due; what fails is BLIND with its reason. Never raises.

        A look that takes longer than the patience goes on, and is told by a later reading.
        """
        now = self._clock.now()
        for name in self._plans:
            if name not in self._under_way and self._is_due(name, now):
                look = asyncio.create_task(self._look(name, now), name=f"invariant-{name}")
                self._under_way[name] = look
                look.add_done_callback(lambda _, name=name: self._under_way.pop(name, None))  # type: ignore[misc]
        looks = list(self._under_way.values())
        try:
            if looks:
                await asyncio.wait(looks, timeout=self._patience_s)
        except asyncio.CancelledError:
            for look in looks:
                look.cancel()
            raise
        return self._reading()

    def _reading(self) -> IntegrityReading:
        """The newest look at each; one that was never looked at although due is BLIND."""
        now = self._clock.now()
        return IntegrityReading(now, tuple(self._told(reading, now) for reading in self._readings.values()))

    def _told(self, reading: InvariantReading, now: datetime) -> InvariantReading:
        begins_at = self._made_at + self._first_after(reading.name)
        if reading.at is not None or reading.blind is not None or now < begins_at:
            return reading
        late = timedelta(seconds=MISSED_LOOKS * reading.due_s + self.deadline_s)
        return replace(reading, blind="nothing was looked at" if now - begins_at > late else NOT_YET)

    def _first_after(self, name: str) -> timedelta:
        # What the schema should be costs a scratch database: a guard that just started has other work.
        return timedelta(seconds=self._plans[name].due_s if name == SCHEMA else 0)

    def _is_due(self, name: str, now: datetime) -> bool:
        since = self._tried_at.get(name)
        if since is None:
            return now - self._made_at >= self._first_after(name)
        return now - since >= timedelta(seconds=self._plans[name].due_s)

    async def _look(self, name: str, now: datetime) -> None:
        async with self._slots:
            self._tried_at[name] = now
            before = self._readings[name]
            try:
                async with asyncio.timeout(self.deadline_s):
                    broken = await self._looks[name](now)
            except (TimeoutError, psycopg.errors.QueryCanceled):
                self._readings[name] = replace(before, blind=f"no answer within {self.deadline_s:g} s")
            except (UnderstudyError, ScratchRefusedError) as error:
                self._readings[name] = replace(before, blind=f"cannot be looked at: {error}")
            except Exception as error:  # noqa: BLE001  # whatever broke the look (a lost table too): say BLIND
                kind = type(error).__name__
                log.warning("look_failed", invariant=name, kind=kind, error=str(error).partition("\n")[0])
                self._readings[name] = replace(before, blind=f"the look failed ({kind})")
            else:
                self._readings[name] = InvariantReading(
                    name=name,
                    at=now,
                    due_s=before.due_s,
                    count=broken.count,
                    sample=broken.sample,
                    since=(before.since or now) if broken.count else None,
                    broken_looks=before.broken_looks + 1 if broken.count else 0,
                )

    def _look_of(
        self, name: str, plan: Plan, objects: ObjectStore | None, schema: SchemaWatch | None
    ) -> Look:
        if name == SCHEMA:
            return partial(_look_at_schema, schema)
        rows = partial(self._rows, name, plan)
        if name == AUDIO_WITHOUT_ROW:
            return partial(self._collected, rows)
        full_pass_s = plan.full_pass_s
        if objects is None or full_pass_s is None:
            return rows
        sampler = (AudioSampler if name == AUDIO else ReferenceSampler)(
            objects, due_s=plan.due_s, full_pass_s=full_pass_s
        )
        return partial(self._rows_and_objects, rows, sampler, plan)

    async def _rows(self, name: str, plan: Plan, now: datetime) -> Broken:
        async with (await self._connect()).service() as conn:
            return await invariants.broken(
                conn,
                name,
                now=now,
                older_than_s=plan.older_than_s,
                span_s=plan.span_s,
                timeout_s=QUERY_SHARE * self.deadline_s,
                tolerance_percent=plan.tolerance_percent,
            )

    async def _rows_and_objects(
        self, rows: Look, sampler: AudioSampler | ReferenceSampler, plan: Plan, now: datetime
    ) -> Broken:
        by_rows = await rows(now)
        by_objects = await sampler.look(self._connect, now - timedelta(seconds=plan.older_than_s))
        both = sorted({*by_rows.sample, *by_objects.sample})
        count = max(by_rows.count, by_objects.count, len(both))
        return Broken(count, tuple(both[: invariants.SAMPLE]))

    async def _collected(self, rows: Look, now: datetime) -> Broken:
        """What the collection saw; nothing is known where it no longer runs."""
        async with (await self._connect()).service() as conn:
            at = await invariants.collected_at(conn)
        if at is not None and now - at > COLLECTION_BELIEVED_FOR:
            raise StoreUnavailableError(f"stored audio was last matched with its rows at {at.isoformat()}")
        return await rows(now)


async def _look_at_schema(schema: SchemaWatch | None, now: datetime) -> Broken:  # noqa: ARG001
    if schema is None:
        raise StoreUnavailableError("nothing says how to reach the catalog")
    return await schema.look()
