"""One rung killed wherever its process may die, and once more while it resumes; every effect counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.integration.restoration.deployment import Bench, CountingTarget
from tests.integration.restoration.engine_setting import KilledError, Setting
from tests.integration.restoration.kill_table import Counted
from understudy.restoration.actions.step import Restoration, Verified
from understudy.restoration.approvals import approve, plans_of
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.restoration.playbook.repertoire import ACTIONS
from understudy.restoration.triggers.verdict import Finding
from understudy.store.database import Database
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry

S = IncidentState
CHANGING = {step.name for steps in ACTIONS.values() for step in steps if step.changes}
PERSONS = ("ada", "ben")
#: Rows that a rung writes; whoever writes one of them twice has repeated an effect.
TABLES = (
    "understudy.provider_mode",
    "understudy.provider_mode_history",
    "understudy.valves",
    "understudy.valve_history",
    "understudy.budgets",
    "understudy.closed_reads",
    "understudy.closed_reads_history",
    "understudy.quarantine",
    "understudy.write_freeze",
    "understudy.ledger",
    "public.voices",
    "public.generations",
    "public.tasks",
)
_WATCH = """
create schema seen;
create table seen.writes (seq bigint generated always as identity primary key, what text, written jsonb);
create function seen.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into seen.writes (what, written)
    values (tg_op || ' ' || tg_table_name, to_jsonb(coalesce(new, old)));
    return null;
end $$;
"""


class Writes:
    """Every write to :data:`TABLES`, noted by the database itself, in the transaction that wrote."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    async def watch(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as conn:
            await conn.execute(_WATCH)
            for name in TABLES:
                await conn.execute(
                    f"create trigger seen after insert or update or delete on {name}"  # type: ignore[arg-type]
                    " for each row execute function seen.note()"
                )

    async def newest(self) -> int:
        newest: int = (await self._read("select coalesce(max(seq), 0) from seen.writes"))[0][0]
        return newest

    async def since(self, seq: int) -> list[str]:
        """What was written after ``seq``, without what differs from run to run."""
        rows = await self._read("select what, written from seen.writes where seq > %s order by seq", seq)
        return [f"{what} {json.dumps(_lasting(written), sort_keys=True)}" for what, written in rows]

    async def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as conn:
            return await (await conn.execute(statement.encode(), values)).fetchall()


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if not name.endswith(("_at", "epoch")) and not (name == "id" and isinstance(value, int))
    }


class KillBench(Bench):
    """Counts effects on target and database; what a scene gives the steps besides is in ``given``."""

    def __init__(self, home: Path, database: Database, target: CountingTarget) -> None:
        async def connect() -> Database:
            if self.acting is not None:
                self.reached(f"a connection of {self.acting}")
            return database

        super().__init__(home, target, connect, None)  # type: ignore[arg-type]
        self.given: dict[str, Any] = {}
        self.reached: Callable[[str], None] = lambda _: None
        self.healthy: Callable[[], bool] = lambda: True
        #: The step whose look and act run for the first time: how often those connect is no chance.
        self.acting: str | None = None

    def prepare(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        given = {"verify": self._looked_at} | self.given
        return replace(super().prepare(row, attempt, finding), **given)

    async def _looked_at(self, base_url: str, expect_provider: str | None = None) -> Verified:
        """Green as soon as the world is well; which provider serves then, read-back has said."""
        found = await self._verify(base_url)
        return found if self.healthy() else Verified(ok=False, detail="clone failed", evidence={})


@dataclass
class Scene:
    """One rung with a world that it can be performed in again and again.

    Parameters
    ----------
    begin
        Breaks the world once more; gives the finding about it, and the ids that are this time's own.
    """

    name: str
    setting: Setting
    bench: KillBench
    writes: Writes
    begin: Callable[[], Awaitable[tuple[Finding, Sequence[str]]]]


@dataclass
class Round:
    """One incident and how it went."""

    incident: str
    entries: list[JournalEntry]
    effects: Counter[str]
    passed: list[str] = field(default_factory=list)

    @property
    def shape(self) -> list[tuple[Any, ...]]:
        """The journal without what differs from run to run: a resumed one must have the very same."""
        return [
            (
                entry.kind,
                entry.step,
                entry.actor,
                *(entry.body.get(name) for name in ("action", "attempt", "ok", "to")),
            )
            for entry in self.entries
        ]


def boundaries_of(entries: Sequence[JournalEntry]) -> list[str]:
    """Where a guard may die, as its journal tells it: before and after every entry that it wrote itself."""
    labels = []
    for entry in entries[1:]:
        if not entry.actor.startswith("person:"):
            label = (
                entry.body["to"]
                if entry.kind == "state"
                else " ".join(filter(None, (entry.kind, entry.step)))
            )
            labels += [f"before {label}", f"after {label}"]
    return labels


class Killing:
    """Performs one scene's rung, whole or killed."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.setting = scene.setting

    def _live_again(self, reached: Callable[[str], None] = lambda _: None) -> None:
        """A new process: the guard's file opened again, and nothing known that is not in it."""
        bench = self.scene.bench

        def passing(boundary: str) -> None:
            word, _, step = boundary.rpartition(" ")
            if word == "after intent" and step in CHANGING:
                bench.acting = step
            elif word in {"acted", "before outcome"}:
                bench.acting = None
            reached(boundary)

        bench.acting, bench.reached = None, passing
        self.setting.book.store.close()
        self.setting.restart(reached=passing)

    async def _tend(self, incident: str) -> S:
        """Tend it to its end; persons agree to what waits."""
        while True:
            state = await self.setting.engine().tend(incident)
            now = self.setting.bench.clock.now()
            plans = plans_of(self.setting.book.entries(incident)).values()
            waiting = [plan for plan in plans if plan.waits(now)]
            if state is not S.HOLD or not waiting:
                return state
            for plan in waiting:
                for person in PERSONS[: plan.missing]:
                    approve(self.setting.book.store, incident, person=person, plan=plan.sha256[:12], now=now)

    async def round(self, number: int, *kills: int) -> tuple[Round, int]:
        """Break the world, restore it, and die at these places on the way; how often it did die."""
        self._live_again()
        finding, own = await self.scene.begin()
        seq = await self.scene.writes.newest()
        incident = self.setting.open(
            finding=replace(finding, mode_epoch=number + 10), action=finding.cures[0]
        )
        died = 0
        passed: list[str] = []
        for at in kills:
            self._live_again(_killing(at))
            try:
                await self._tend(incident)
            except KilledError:
                died += 1
        self._live_again(passed.append)
        state = await self._tend(incident)
        assert state is S.MITIGATED, f"{kills}: {state}: {self.setting.book.entries(incident)[-1].body}"
        entries = self.setting.book.entries(incident)
        effects = await self.scene.writes.since(seq)
        for kind in ("env", "deploy"):
            effects += [f"{kind} {json.dumps(told)}" for told in self.scene.bench.target.effects(kind)]
        for index, word in enumerate((incident, *own)):
            effects = [effect.replace(word, f"<{index}>") for effect in effects]
        close_by_person(self.setting.book.store, incident, person="test", reason="next round")
        return Round(incident, entries, Counter(effects), passed), died

    async def everywhere(self, every: int) -> Counted:
        """Kill it at every place, or every so many-th, and once more later; compare with a run without."""
        whole, _ = await self.round(0)
        assert set(whole.effects.values()) == {1}, whole.effects
        told = boundaries_of(whole.entries)
        assert [place for place in whole.passed if place.startswith(("before", "after"))] == told
        inside = sum(place.startswith(("a connection", "an effect")) for place in whole.passed)
        counted = Counted(self.scene.name, len(whole.passed) - inside, inside)
        for number, place in list(enumerate(whole.passed))[::every]:
            # The second kill comes soon after the first, later each time, but never after the end.
            left = len(whole.passed) - number - 1
            kills = [number, number % min(5, left)] if left else [number]
            found, died = await self.round(number + 1, *kills)
            assert died, place
            counted.kills += 1
            counted.killed_twice += died == 2
            repeated = found.effects - whole.effects
            counted.repeated += repeated.total()
            assert not repeated, f"{place}: {repeated}"
            assert found.effects == whole.effects, place
            assert found.shape == whole.shape, place
            counted.resumed += 1
        assert self.setting.book.store.verify_chain().problems == ()
        return counted


def _killing(at: int) -> Callable[[str], None]:
    """Die at the place of that number, counted from here."""
    left: Iterator[int] = iter(range(at, -1, -1))

    def reached(_: str) -> None:
        if next(left, 1) == 0:
            raise KilledError

    return reached
