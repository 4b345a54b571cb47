"""A deployment whose database is damaged after a backup: a real server, a real file, dumps; no processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from tests.integration.conftest import DatabaseUrls
from tests.unit.findings import finding_of
from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.providers.base import CheckResult
from understudy.restoration.actions.database_restore import STEPS
from understudy.restoration.actions.step import Restoration, Step, Verified
from understudy.restoration.guard.connecting import Connector, DurableUrl
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.stepping import Stepper
from understudy.restoration.targets.base import Deployment, DeploymentState
from understudy.restoration.targets.local import LocalTarget
from understudy.restoration.targets.local_database import LocalDatabase
from understudy.settings import settings_from
from understudy.store.backups.restoring import drop_database
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry
from understudy.store.mode import ProcessRow, heartbeat_process
from understudy.store.object_choice import open_objects
from understudy.store.objects import ObjectStore

BOX_S = 110.0


class StagedTarget(LocalTarget):
    """The local target, with processes that are rows: a deployment lets them report where the file says."""

    def __init__(self, home: Path, database: LocalDatabase) -> None:
        super().__init__(home, base_url="http://127.0.0.1:1", database=database)
        self._folder = home
        self._notes = home / "deployments.jsonl"
        self.fails: str | None = None

    def deployed(self) -> list[str]:
        return (
            [json.loads(line) for line in self._notes.read_text().splitlines()]
            if self._notes.exists()
            else []
        )

    async def redeploy(self, deployment_id: str) -> Deployment:
        if deployment_id not in self.deployed():
            with self._notes.open("a") as stream:
                stream.write(json.dumps(deployment_id) + "\n")
        await report_from(SecretStr(read_env_file(self._folder / "understudy.env")["DATABASE_URL"]))
        return Deployment(deployment_id, DeploymentState.DONE)

    async def deployment(self, deployment_id: str) -> Deployment | None:
        if deployment_id not in self.deployed():
            return None
        if self.fails:
            return Deployment(deployment_id, DeploymentState.FAILED, error=self.fails)
        return Deployment(deployment_id, DeploymentState.DONE)

    async def revision(self) -> str | None:
        return None


async def report_from(url: SecretStr) -> None:
    """Let an api and a worker report from the database at ``url``."""
    database = await Database.connect(url, application_name="staged")
    try:
        async with database.service() as conn:
            for kind in ("api", "worker"):
                row = ProcessRow(
                    uuid4(), kind, os.getpid(), "here", "modal", 1, "FRESH", "modal",
                    datetime.now(UTC), datetime.now(UTC),
                )  # fmt: skip
                await heartbeat_process(conn, row)
    finally:
        await database.close()


@dataclass
class Stage:
    """Everything a restore works with."""

    home: Path
    urls: DatabaseUrls
    clock: SystemClock = field(default_factory=SystemClock)
    parameters: dict[str, Any] = field(default_factory=dict)
    reached: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        if not self.env_file.exists():
            set_in_env_file(
                self.env_file,
                {
                    "DATABASE_URL": self.urls.app.get_secret_value(),
                    "MIGRATION_DATABASE_URL": self.urls.owner.get_secret_value(),
                    "UNDERSTUDY_HOME": str(self.home),
                    "TTS_PROVIDER_MODE": "qwen",
                    "OBJECT_URL_SECRET": "o" * 40,
                    "JWT_SECRET": "j" * 40,
                },
            )
        self.local = LocalDatabase(self.home, settings_from({}), self.clock)
        self.target = StagedTarget(self.home, self.local)
        self.connect = Connector(DurableUrl(self.home, ("DATABASE_URL",), self.urls.app))
        self.store = GuardStore(self.home / "guard.db", self.clock)
        self.book = IncidentBook(self.store, "local", self.clock, reached=self.reached)
        self.book.lease = self.store.acquire("local", "stage", lifetime_s=600)
        self.red = False

    @property
    def env_file(self) -> Path:
        return self.home / "understudy.env"

    @property
    def objects(self) -> ObjectStore:
        return open_objects(self.local.settings(), self.clock)

    def reopen(self) -> Stage:
        """As a new process finds it."""
        self.store.close()
        return Stage(self.home, self.urls, parameters=self.parameters)

    async def close(self) -> None:
        await self.local.close()
        await self.connect.close()
        self.store.close()

    async def owner(self, database: str | None = None) -> psycopg.AsyncConnection[Any]:
        url = read_env_file(self.env_file)["MIGRATION_DATABASE_URL"] if database is None else database
        return await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)

    async def broken(self) -> psycopg.AsyncConnection[Any]:
        return await self.owner(self.urls.owner.get_secret_value())

    def run(self, incident: str, attempt: int = 1) -> Restoration:
        async def verify(_: str, expect_provider: str | None = None) -> Verified:
            return Verified(
                not self.red, "checklist 8 of 8" if not self.red else "1 of 8", {"detail": "staged"}
            )

        async def check() -> CheckResult:
            return CheckResult(latency_ms=1, detail="")

        return Restoration(
            incident=incident,
            attempt=attempt,
            title="Live schema differs",
            finding={"provider": "qwen", "check": None},
            known_good="modal",
            target=self.target,
            connect=self.connect,
            store=self.store,
            clock=self.clock,
            check_known_good=check,
            verify=verify,
            stale_after_s=3600,
            home=self.home,
            settings=self.local.settings,
            parameters=self.parameters,
        )

    def open(self) -> str:
        """Open an incident, as the guard would."""
        at = self.clock.now()
        found = finding_of(provider="qwen", mode_epoch=1, evaluated_at=at)
        return self.book.open(found, onset=at, facts={"workflow_version": 3}, action="database_restore").id

    async def climb(
        self, incident: str, *, attempt: int = 1, upto: str | None = None, steps: Sequence[Step] = STEPS
    ) -> list[JournalEntry]:
        """Take the steps as the engine does, one by one, until one fails or ``upto`` has ended."""
        stepper = Stepper(self.book, self.clock, step_retry_s=0.2)
        run, ended = self.run(incident, attempt), []
        for step in steps:
            entry = await stepper.take(run, step, "database_restore", box_s=BOX_S)
            assert entry is not None
            ended.append(entry)
            if not entry.body["ok"] or step.name == upto:
                break
        return ended


async def drop_restored(urls: DatabaseUrls) -> None:
    """Leave no database of a restore on the tests' server."""
    async with await psycopg.AsyncConnection.connect(urls.owner.get_secret_value(), autocommit=True) as conn:
        rows = await (
            await conn.execute("select datname from pg_database where starts_with(datname, 'understudy_r')")
        ).fetchall()
        for (name,) in rows:
            await drop_database(urls.owner, name)
