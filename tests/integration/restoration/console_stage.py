"""The guard's console as it is served, without the guard's loop."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp

from tests.clocks import HandClock
from tests.integration.restoration.deployment import CountingTarget
from understudy.errors import StoreUnavailableError
from understudy.logs import Redactor
from understudy.metrics import guard_registry
from understudy.resources import playbook_file
from understudy.restoration.guard.alerts import AlertInbox, checks_of
from understudy.restoration.guard.channels import SlackChannel
from understudy.restoration.guard.console import Console
from understudy.restoration.guard.console_building import parts_of
from understudy.restoration.guard.console_parts import ConsoleContext
from understudy.restoration.guard.heartbeat import Heartbeat
from understudy.restoration.guard.loop import Guard, GuardView
from understudy.restoration.guard.metering import Metering
from understudy.restoration.guard.notifying import Notifier
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.policy import Playbook, load_playbook
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.readings import unseen
from understudy.restoration.targets.base import Target
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.board import SmokeBoard
from understudy.settings import Settings
from understudy.store.database import Database
from understudy.store.guard import GuardStore


async def away() -> Database:
    """The product's database is away."""
    raise StoreUnavailableError("it is away")


@dataclass
class StandingGuard:
    """Everything the console reads of a guard, without its loop."""

    book: IncidentBook
    playbook: Playbook
    view: GuardView = field(default_factory=GuardView)
    holder: str = "host:1:abc"
    known_good: str = "modal"
    policy_file: None = None

    @property
    def leads(self) -> bool:
        return self.book.lease is not None

    def drift(self) -> str | None:
        return None


@dataclass
class Served:
    guard: StandingGuard
    store: GuardStore
    clock: HandClock
    heartbeat: Heartbeat
    console: Console
    session: aiohttp.ClientSession
    url: str
    key: str
    incident: str
    home: Path
    board: SmokeBoard

    async def ask(
        self, method: str, path: str, *, key: str | None = None, body: Any = None, raw: bytes | None = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}"} if key != "" else {}
        async with self.session.request(
            method,
            self.url + path,
            headers=headers,
            json=body,
            data=io.BytesIO(raw) if raw is not None else None,
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text


def finding(at: Any, check: str = "rate", trigger: str = "success_rate") -> Finding:
    return Finding(
        trigger=trigger, check=check, verdict=Verdict.FAIL, mode="auto", cures=("env_switch",),
        evaluated_at=at, detail="9 of 9 calls failed", provider="qwen", mode_epoch=3, subject="speak",
        n=9, failures=9,
    )  # fmt: skip


@asynccontextmanager
async def serving(folder: Path, connect: Connect = away) -> AsyncIterator[Served]:
    """Serve it with one open incident."""
    clock = HandClock()
    store = GuardStore(folder / "guard.sqlite3", clock)
    book = IncidentBook(store, "local", clock)
    book.lease = store.acquire("local", "a", lifetime_s=10**6)
    guard = StandingGuard(book, load_playbook(playbook_file()))
    failing = finding(clock.now())
    guard.view.findings = (failing,)
    guard.view.signals = unseen(clock.now(), "the database is away")
    guard.view.verdicts = {"success_rate": Verdict.FAIL}
    guard.view.would_have_fired = {"cost/spend_hour": 2}
    row = book.open(
        failing, onset=clock.now(), action="env_switch", instruction=None,
        facts={"environment": "local", "owner": "on call"},
    )  # fmt: skip
    notifier = Notifier(
        store, (cast("SlackChannel", _Named("slack")),), clock, environment="local", leads=lambda: True,
        random=cast("Any", None),
    )  # fmt: skip
    heartbeat, board = Heartbeat(folder, clock), SmokeBoard()
    real = cast("Guard", guard)
    console = Console(
        real,
        clock,
        inbox=AlertInbox(store, clock, checks_of(guard.playbook)),
        notifier=notifier,
        heartbeat=heartbeat,
        metering=Metering(guard_registry(), real, notifier),
        reports=folder / "reports",
        parts=parts_of(
            ConsoleContext(
                guard=real,
                store=store,
                clock=clock,
                redactor=Redactor([]),
                connect=connect,
                home=folder,
                settings=Settings(),
                target=cast("Target", CountingTarget(folder, "http://127.0.0.1:9")),
                board=board,
            )
        ),
    )
    url = await console.start("127.0.0.1", 0)
    _, key = store.operators.create("ada")
    async with aiohttp.ClientSession() as session:
        yield Served(guard, store, clock, heartbeat, console, session, url, key, row.id, folder, board)
    await console.stop()
    store.close()


@dataclass
class _Named:
    name: str
