"""The engine over a hosted project, as the guard builds it for an environment whose database is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp

from tests.clients.supabase.project import GOOD_TAG, Hosted
from tests.integration.restoration.deployment import ShiftedClock, reopened
from tests.unit.findings import finding_of
from understudy.errors import StoreUnavailableError
from understudy.providers.base import CheckResult
from understudy.resources import playbook_file
from understudy.restoration.actions.step import Restoration, Verified
from understudy.restoration.approvals import approve
from understudy.restoration.incidents import IncidentState
from understudy.restoration.orders import request_action
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.targets.supabase import SupabaseTarget
from understudy.restoration.triggers.cures import ActionName
from understudy.store.database import Database
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry

PLAYBOOK = load_playbook(playbook_file())


class Restoring:
    """Guard store, engine and target; a new one over the same home is a guard that was started again."""

    def __init__(self, project: Hosted, **target: Any) -> None:
        self.project = project
        self.clock = ShiftedClock()
        project.home.mkdir(exist_ok=True)
        self.book = reopened(project.home, self.clock)
        self.target: SupabaseTarget = project.target(**target)
        self.engine = Engine(self.book, PLAYBOOK, self.clock, self._prepare)

    def _prepare(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        return Restoration(
            incident=row.id,
            attempt=attempt,
            title=row.title,
            finding=finding,
            known_good="modal",
            target=self.target,
            connect=self._connect,
            store=self.book.store,
            clock=self.clock,
            check_known_good=self._check,
            verify=self._verify,
            stale_after_s=5,
            known_good_record=self.book.store.known_good(),
            home=self.project.home,
        )

    async def _connect(self) -> Database:
        raise StoreUnavailableError("this project's database is not ours")

    async def _check(self) -> CheckResult:
        return CheckResult(latency_ms=1, detail="the job list answered")

    async def _verify(self, base_url: str, provider: str = "modal") -> Verified:
        """From outside: health, and the provider that languages names."""
        told: dict[str, Any] = {}
        async with aiohttp.ClientSession() as session:
            for name in ("health", "languages"):
                async with session.get(f"{base_url}/api/{name}") as answer:
                    told[name] = await answer.json()
        ok = told["health"].get("ok") is True and told["languages"].get("provider") == provider
        return Verified(ok=ok, detail=f"health and languages say {told}", evidence=told)

    def record_known_good(self, **more: Any) -> None:
        """Write down the tagged commit as known-good."""
        commit = self.project.repository.commit_of(GOOD_TAG)
        git = {"revision": commit, "tag": GOOD_TAG, "checkout": str(self.project.repository.folder)}
        self.book.store.record_known_good({"git": git, **more}, actor="test")

    def open(self, action: ActionName, **finding: Any) -> str:
        """An incident whose finding this action cures."""
        now = self.clock.now()
        found = finding_of(provider="qwen", mode_epoch=1, evaluated_at=now, cures=(action,), **finding)
        return self.book.open(
            found, onset=now - timedelta(seconds=10), facts=self.engine.facts(), action=action
        ).id

    def request(self, incident: str, action: ActionName, **parameters: Any) -> None:
        """A person asks for an action in the open incident."""
        request_action(
            self.book.store,
            self.book.environment,
            action,
            person="lin",
            reason="the rows are gone",
            now=self.clock.now(),
            facts=self.engine.facts,
            incident=incident,
            parameters=parameters,
        )

    def agree(self, incident: str, *persons: str) -> None:
        """Persons agree to the newest plan."""
        plan = [entry for entry in self.book.entries(incident) if entry.kind == "plan"][-1]
        for person in persons:
            approve(
                self.book.store, incident, person=person, plan=plan.body["plan_sha256"], now=self.clock.now()
            )

    async def tend(self, incident: str) -> IncidentState:
        return await self.engine.tend(incident)

    def outcomes(self, incident: str) -> list[JournalEntry]:
        return [entry for entry in self.book.entries(incident) if entry.kind == "outcome"]

    def evidence(self, incident: str, step: str) -> dict[str, Any]:
        entry = next(entry for entry in self.outcomes(incident) if entry.step == step)
        assert entry.body["ok"], entry.body["problem"]
        found: dict[str, Any] = entry.body["evidence"]
        return found
