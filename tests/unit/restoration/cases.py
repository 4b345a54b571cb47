"""One incident under an engine whose actions only note that they acted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from tests.unit.restoration.guarding import FakeStep
from understudy.resources import playbook_file
from understudy.restoration.actions.step import Restoration, StepError
from understudy.restoration.approvals import Plan, approve, plans_of
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.restoration.orders import Order, give_order
from understudy.restoration.playbook.agenda import action_for
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.policy import Playbook, PolicyFile, load_playbook
from understudy.restoration.triggers.verdict import Finding
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.journal import JournalEntry

PLAYBOOK = load_playbook(playbook_file())
RATE = finding_of()
COST = finding_of("cost/design_repeats", subject="ada")
LEAK = finding_of("security/secret_leak")
STALLS = finding_of("playback/stalls")
SCHEMA = finding_of("data_integrity/schema_drift", cures=("database_restore",))
RUNAWAY = finding_of("cost/runaway_characters", subject="ada", mode="pause", cures=("throttle_tenant",))


@dataclass
class Case:
    """Everything of one guard; ``failing`` breaks steps by name, ``planned`` is what every plan says."""

    home: Path
    clock: HandClock = field(default_factory=HandClock)
    acted: list[str] = field(default_factory=list)
    failing: dict[str, StepError] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    playbook: Playbook = PLAYBOOK
    policy: PolicyFile | None = None
    holder: str = "a"

    def __post_init__(self) -> None:
        self.book = IncidentBook(GuardStore(self.home / "guard.sqlite3", self.clock), "local", self.clock)
        self.take_lease()

    def take_lease(self) -> None:
        self.book.lease = self.book.store.acquire("local", self.holder, lifetime_s=10_000_000)

    def another_guard(self, holder: str) -> Case:
        """The same store and world, as a guard process that has just taken over sees them."""
        if self.book.lease is not None:
            self.book.store.release(self.book.lease)
        return Case(
            self.home, self.clock, self.acted, self.failing, self.planned, self.playbook, self.policy, holder
        )

    @property
    def engine(self) -> Engine:
        return Engine(self.book, self.playbook, self.clock, self.prepare, policy=self.policy)

    def prepare(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        nothing: Any = None
        return Restoration(
            incident=row.id, attempt=attempt, title=row.title, finding=finding, known_good="modal",
            target=nothing, connect=nothing, store=self.book.store, clock=self.clock,
            check_known_good=nothing, verify=nothing, stale_after_s=5,
        )  # fmt: skip

    def step(self, name: str, **given: Any) -> FakeStep:
        """A step of this case."""
        return FakeStep(name, self.acted, self.failing, planned=self.planned, **given)

    def actions(self, *, more: bool = False) -> tuple[FakeStep, dict[str, tuple[FakeStep, ...]]]:
        """The evidence step, and each action's steps; with ``more``, the rungs that persons agree to too."""
        step = self.step
        evidence = step("evidence", changes=False, required=False)
        found: dict[str, tuple[FakeStep, ...]] = {
            "close_valve": (evidence, step("close_valve")),
            "env_switch": (evidence, step("redeploy")),
        }
        if more:
            found["env_switch"] = (
                evidence,
                step("precheck", changes=False),
                step("live_override", required=False),
                step("durable_env"),
                step("redeploy"),
                step("verification", changes=False),
            )
            found["throttle_tenant"] = (evidence, step("throttle"))
            found["code_rollback"] = (
                evidence,
                step("deploy_revision"),
                FakeStep("verification", self.acted, self.failing, changes=False, fails_as="smoke"),
            )
            found["database_restore"] = (
                evidence,
                step("freeze_writes"),
                step("restore_beside"),
                step("swap"),
                step("unfreeze"),
            )
        return evidence, found

    def action(self, finding: Finding) -> Any:
        return action_for(finding, known_good="modal", performed=self.engine.performs)

    def open(self, finding: Finding, **facts: Any) -> str:
        action = self.action(finding)
        return self.book.open(
            finding,
            onset=None,
            facts=self.engine.facts() | {"known_good": "modal"} | facts,
            action=action,
            instruction=None if action else "Do it by hand.",
        ).id

    def join(self, incident: str, finding: Finding) -> None:
        action = self.action(finding)
        instruction = None if action else "Do it by hand."
        assert self.book.join(incident, finding, action=action, instruction=instruction)

    def tend(self, incident: str) -> IncidentState:
        return asyncio.run(self.engine.tend(incident))

    def entries(self, incident: str, *kinds: str) -> list[JournalEntry]:
        return [entry for entry in self.book.entries(incident) if not kinds or entry.kind in kinds]

    def pages(self, incident: str) -> list[str]:
        return [entry.body["message"] for entry in self.entries(incident, "page")]

    def plan(self, incident: str) -> Plan:
        """The newest plan."""
        return max(plans_of(self.entries(incident)).values(), key=lambda plan: plan.seq)

    def approve(self, incident: str, person: str, **more: Any) -> JournalEntry:
        plan = more.pop("plan", None)
        if plan is None:
            plan = self.plan(incident).sha256
        return approve(self.book.store, incident, person=person, plan=plan, now=self.clock.now(), **more)

    def order(self, incident: str, order: Order, person: str = "ada") -> JournalEntry:
        return give_order(self.book.store, incident, order, person=person, reason=f"{order}, says {person}")
