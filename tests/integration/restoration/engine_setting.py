"""One engine over a real target's environment file, a real database, and actions that can be counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.restoration.deployment import Bench, CountingTarget, env_file, reopened, running
from tests.unit.findings import finding_of
from understudy.resources import playbook_file
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.policy import Playbook, load_playbook
from understudy.restoration.playbook.repertoire import WORKFLOW_VERSION
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Finding
from understudy.rollout.mode import set_mode
from understudy.store.database import Database
from understudy.store.mode import mode_history

STEPS = ("evidence", "precheck", "live_override", "durable_env", "redeploy", "read_back", "verification")
PLAYBOOK = load_playbook(playbook_file())


class KilledError(BaseException):
    """The process ends here: nothing of it may catch this."""


@dataclass
class Setting:
    database: Database
    home: Path
    bench: Bench
    book: IncidentBook
    playbook: Playbook = field(default=PLAYBOOK)

    @property
    def target(self) -> CountingTarget:
        return self.bench.target

    def engine(self, book: IncidentBook | None = None) -> Engine:
        return Engine(book or self.book, self.playbook, self.bench.clock, self.bench.prepare)

    def open(
        self,
        provider: str = "qwen",
        epoch: int = 1,
        *,
        finding: Finding | None = None,
        action: ActionName | None = "env_switch",
        **facts: Any,
    ) -> str:
        at = datetime.now(UTC)
        finding = finding or finding_of(provider=provider, mode_epoch=epoch, evaluated_at=at)
        known = {"workflow_version": WORKFLOW_VERSION} | facts
        return self.book.open(finding, onset=at - timedelta(seconds=10), facts=known, action=action).id

    def restart(self, **more: Any) -> IncidentBook:
        """Open the guard's file again, as a new process does."""
        self.book = reopened(self.home, self.bench.clock, **more)
        self.bench.store = self.book.store
        return self.book

    async def back_to_qwen(self) -> None:
        env_file(self.home, "qwen")
        await set_mode(self.database, "qwen", actor="test", reason="again")
        (self.home / "effects.jsonl").unlink(missing_ok=True)

    async def overrides(self, incident: str) -> int:
        async with self.database.service() as conn:
            return sum(change.incident == incident for change in await mode_history(conn, 500))


@asynccontextmanager
async def running_setting(database: Database, tmp_path: Path) -> AsyncIterator[Setting]:
    """An api and a worker that hold the mode, and an engine that may act on them."""

    async def connect() -> Database:
        return database

    async with running(database, tmp_path) as base_url:
        target = CountingTarget(tmp_path, base_url)
        bench = Bench(tmp_path, target, connect, None)  # type: ignore[arg-type]
        book = reopened(tmp_path, bench.clock)
        bench.store = book.store
        yield Setting(database, tmp_path, bench, book)


def outcomes(book: IncidentBook, incident: str) -> list[tuple[str | None, bool]]:
    return [(entry.step, entry.body["ok"]) for entry in book.entries(incident) if entry.kind == "outcome"]


def edited(folder: Path, *changes: tuple[str, str]) -> Playbook:
    text = playbook_file().read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "edited.yaml"
    path.write_text(text, "utf-8")
    return load_playbook(path)
