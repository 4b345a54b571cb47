"""The rung's steps on a real database, real mode readers and a release whose own code is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from aiohttp import web

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.deployment import CountingTarget
from tests.scratch_repository import commit_all, git
from tests.small_release import small_release
from tests.unit.findings import finding_of
from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import FailureClass, ProviderUnavailableError, StoreUnavailableError, TargetError
from understudy.providers.base import CheckResult
from understudy.releases.release import Release
from understudy.restoration.actions.code_rollback import (
    STEPS,
    DeployRevision,
    Precheck,
    ReadBack,
)
from understudy.restoration.actions.step import Progress, Restoration, StepError, Verified
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.stepping import Stepper
from understudy.restoration.targets.base import AppliedMigration, Deployment
from understudy.restoration.targets.local import LocalTarget
from understudy.rollout.mode import ModeReader
from understudy.settings import settings_from
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry
from understudy.store.migrations import load_migrations
from understudy.store.mode import read_mode

pytestmark = pytest.mark.integration

BAD = "b" * 40
LATER = "20991231000000"


class CodeTarget(CountingTarget):
    """Its processes are mode readers in this process; a deployment starts new ones, unless it lies."""

    def __init__(self, home: Path, base_url: str, database: Database) -> None:
        super().__init__(home, base_url)
        self.home = home
        self.readers: dict[str, ModeReader] = {}
        self.runs: dict[str, str | None] = {}
        self.lies_about: set[str] = set()
        self.silent = False
        self._local = LocalTarget(home)
        self._store = database

    async def start(self, revision: str, kinds: tuple[str, ...] = ("api", "worker")) -> None:
        mode = read_env_file(self.home / "understudy.env")["TTS_PROVIDER_MODE"]
        settings = settings_from({"TTS_PROVIDER_MODE": mode})
        for kind in kinds:
            old = self.readers.get(kind)
            told = None if self.silent else revision
            self.readers[kind] = ModeReader(
                self._store, settings, kind=kind, clock=SystemClock(), revision=told
            )
            self.runs[kind] = revision
            await self.readers[kind].start()
            if old is not None:
                await old.stop()

    async def stop(self) -> None:
        for reader in self.readers.values():
            await reader.stop()

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        self.note("deploy", deployment_id)
        if self.fails is None:
            honest = tuple(kind for kind in self.kinds if kind not in self.lies_about)
            await self.start(revision, honest)
        return self._deployment(deployment_id)

    async def revision(self) -> str | None:
        return next(iter(set(self.runs.values()))) if len(set(self.runs.values())) == 1 else None

    async def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        return await self._local.applied_migrations()


@dataclass
class Scene:
    home: Path
    target: CodeTarget
    store: GuardStore
    release: Release
    repository: Path
    good: str
    database: Database
    owner: str
    check_error: Exception | None = None
    actions: list[str] = field(default_factory=list)

    def record(self, **changes: Any) -> None:
        """Record the release as known-good."""
        document: dict[str, Any] = {
            "git": {
                "revision": self.good,
                "tag": "v1",
                "changed": False,
                "checkout": str(self.repository),
            },
            "release": self.release.document(),
            "migrations": {"files": {one.version: one.sha256 for one in load_migrations()}},
        }
        self.store.record_known_good({**document, **changes}, actor="person:test")

    def run(self, attempt: int = 1) -> Restoration:
        async def connect() -> Database:
            return self.database

        async def check() -> CheckResult:
            if self.check_error is not None:
                raise self.check_error
            return CheckResult(latency_ms=3, detail="job list answered")

        async def verify(base_url: str) -> Verified:
            self.actions.append(f"verify {base_url}")
            return Verified(ok=True, detail="checklist 8 of 8", evidence={})

        return Restoration(
            incident="inc-1",
            attempt=attempt,
            title="generate answers 500",
            finding={"provider": "qwen"},
            known_good="modal",
            target=self.target,  # type: ignore[arg-type]
            connect=connect,
            store=self.store,
            clock=SystemClock(),
            check_known_good=check,
            verify=verify,
            stale_after_s=60,
            home=self.home,
            known_good_record=self.store.known_good(),
        )

    async def refusal(self, attempt: int = 1) -> StepError:
        with pytest.raises(StepError) as caught:
            await Precheck().act(self.run(attempt), "key")
        assert self.target.effects("deploy") == []
        assert read_env_file(self.home / "understudy.env")["TTS_PROVIDER_MODE"] == "qwen"
        return caught.value

    async def sql(self, statement: str, *values: Any) -> None:
        async with await psycopg.AsyncConnection.connect(self.owner, autocommit=True) as conn:
            await conn.execute(statement, values)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "src" / "understudy").mkdir(parents=True)
    (folder / "src" / "understudy" / "__init__.py").write_text("")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "first")
    git(folder, "tag", "v1")
    return folder


@pytest_asyncio.fixture
async def scene(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path, repository: Path
) -> AsyncIterator[Scene]:
    good = git(repository, "rev-parse", "HEAD")
    home = tmp_path / "home"
    home.mkdir()
    set_in_env_file(
        home / "understudy.env",
        {
            "TTS_PROVIDER_MODE": "qwen",
            "DATABASE_URL": database_urls.app.get_secret_value(),
            "MIGRATION_DATABASE_URL": database_urls.owner.get_secret_value(),
        },
    )

    async def languages(_: web.Request) -> web.Response:
        return web.json_response({"provider": target.readers["api"].view().value})

    app = web.Application()
    app.router.add_get("/api/languages", languages)
    runner = web.AppRunner(app, access_log=None)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = CodeTarget(home, f"http://127.0.0.1:{runner.addresses[0][1]}", database)
        await target.start(BAD)
        stack.push_async_callback(target.stop)
        store = stack.enter_context(GuardStore(tmp_path / "guard.sqlite3", SystemClock()))
        release = small_release(home, good)
        owner = database_urls.owner.get_secret_value()
        yield Scene(home, target, store, release, repository, good, database, owner)


async def perform(run: Restoration) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for step in STEPS:
        key = f"{run.incident}:{step.name}"
        async with asyncio.timeout(60):
            while (seen := await step.look(run, key)).progress is not Progress.DONE:
                if seen.progress is Progress.ABSENT and (done := await step.act(run, key)) is not None:
                    found[step.name] = done
                    break
                await asyncio.sleep(0.05)
            else:
                found[step.name] = seen.evidence
    return found


async def test_the_rung_goes_back_in_code_and_says_what_it_leaves(scene: Scene) -> None:
    scene.record()
    await scene.sql(
        "insert into supabase_migrations.schema_migrations (version, name) values (%s, 'x')", LATER
    )
    plans = [step.plan(scene.run()) for step in STEPS]
    assert plans[1]["set"] == {"TTS_PROVIDER_MODE": "modal"}
    assert (plans[1]["revision"], plans[1]["tag"]) == (scene.good, "v1")

    found = await perform(scene.run())
    precheck = found["precheck"]
    assert precheck["schema"]["newer"] == [LATER]
    assert precheck["schema"]["asked"]
    assert (precheck["rebuilt"], precheck["tag_problem"], precheck["serving"]) == (False, None, BAD)
    for evidence in (precheck, found["read_back"]):
        assert evidence["not_reverted"][:2] == ["applied database migrations", "remote secrets"]
    assert {row["revision"] for row in found["read_back"]["processes"]} == {scene.good}
    assert scene.target.effects("deploy") == ["inc-1:deploy_revision"]
    assert read_env_file(scene.home / "understudy.env")["TTS_PROVIDER_MODE"] == "modal"
    async with scene.database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert (row.value, row.actor, row.incident) == ("modal", "guard", "inc-1")
    assert scene.actions == [f"verify {await scene.target.base_url()}"]
    assert [step.plan(scene.run()) for step in STEPS] == plans


async def test_a_deployment_that_lies_is_found_by_what_the_processes_say(scene: Scene) -> None:
    scene.record()
    scene.target.lies_about = {"worker"}
    run = scene.run()
    await DeployRevision().act(run, "d")
    assert (await DeployRevision().look(run, "d")).progress is Progress.DONE
    seen = await ReadBack().look(run, "r")
    assert seen.progress is Progress.PENDING
    assert f"serves {BAD[:12]}, not {scene.good[:12]}" in seen.detail
    assert "worker" in seen.detail
    # All of the target's own words are the new revision's, and one process's are not.
    scene.target.runs["worker"] = scene.good
    seen = await ReadBack().look(run, "r")
    assert (seen.progress, "the target serves" in seen.detail) == (Progress.PENDING, False)
    scene.target.lies_about = set()
    await scene.target.start(scene.good)
    seen = await ReadBack().look(run, "r")
    assert seen.progress is Progress.DONE, seen.detail


async def test_code_from_before_releases_says_nothing_and_is_still_read_back(scene: Scene) -> None:
    scene.release = replace(scene.release, tells_revision=False)
    scene.release.write()
    scene.record()
    scene.target.silent = True
    run = scene.run()
    await DeployRevision().act(run, "d")
    assert (await ReadBack().look(run, "r")).progress is Progress.DONE
    # A silent process of code that would speak is some other code.
    replace(scene.release, tells_revision=True).write()
    seen = await ReadBack().look(run, "r")
    assert "serves an unknown" in seen.detail


async def test_half_of_the_mode_is_finished_though_an_order_lets_nothing_begin(scene: Scene) -> None:
    scene.record()
    book = IncidentBook(scene.store, "local", SystemClock())
    book.lease = scene.store.acquire("local", "test", lifetime_s=600)
    at = SystemClock().now()
    incident = book.open(finding_of(evaluated_at=at), onset=at, facts={}, action="code_rollback").id
    stepper = Stepper(book, SystemClock(), step_retry_s=0.05)
    run = replace(scene.run(), incident=incident)

    async def stop() -> JournalEntry | None:
        return await stepper.take(run, DeployRevision(), "code_rollback", box_s=60, finish_only=True)

    assert await stop() is None  # nothing had happened
    await scene.target.write_env({"TTS_PROVIDER_MODE": "modal"})  # and there the process was killed
    assert (await DeployRevision().look(run, "d")).progress is Progress.HALF
    ended = await stop()
    assert ended is not None
    assert ended.body["ok"], ended.body
    assert scene.target.effects("deploy") == [f"{incident}:code_rollback:deploy_revision"]
    async with scene.database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert row.value == "modal"
    # Both, and no deployment: an order may stop there.
    assert (await DeployRevision().look(run, "another")).progress is Progress.ABSENT


async def test_a_mode_row_that_cannot_be_read_leaves_the_environment_as_it_was(scene: Scene) -> None:
    scene.record()

    async def away() -> Database:
        raise StoreUnavailableError

    with pytest.raises(StoreUnavailableError):
        await DeployRevision().act(replace(scene.run(), connect=away), "d")
    assert read_env_file(scene.home / "understudy.env")["TTS_PROVIDER_MODE"] == "qwen"
    assert scene.target.effects("deploy") == []


async def test_a_failed_deployment_ends_the_attempt(scene: Scene) -> None:
    scene.record()
    scene.target.fails = "api ended with status 3"
    run = scene.run()
    await DeployRevision().act(run, "d")
    with pytest.raises(StepError, match="ended with status 3") as caught:
        await DeployRevision().look(run, "d")
    assert (caught.value.final, caught.value.hopeless) == (True, False)


async def test_without_a_known_good_revision_nothing_is_begun(scene: Scene) -> None:
    error = await scene.refusal()
    assert (error.hopeless, "understudy known-good record" in error.message) == (True, True)
    assert "Nothing is recorded" in DeployRevision().plan(scene.run())["problem"]
    scene.record(git=None, release=None)
    assert "names no revision" in (await scene.refusal()).message


async def test_the_known_good_revision_itself_cannot_be_cured_by_going_back_to_it(scene: Scene) -> None:
    scene.record()
    await scene.target.start(scene.good)
    error = await scene.refusal()
    assert (error.hopeless, "already serves" in error.message) == (True, True)
    # A later attempt may find what an earlier one deployed: then only the proof is missing.
    assert (await Precheck().act(scene.run(attempt=2), "key"))["serving"] == scene.good


async def test_a_known_good_provider_that_fails_moves_nothing(scene: Scene) -> None:
    scene.record()
    scene.check_error = ProviderUnavailableError(failure_class=FailureClass.TRANSPORT, provider="modal")
    error = await scene.refusal()
    assert (error.hopeless, "nobody to speak for it" in error.message) == (False, True)


async def test_a_damaged_release_without_its_revision_is_named(scene: Scene) -> None:
    scene.record(git={"revision": scene.good, "tag": "v1", "changed": False, "checkout": None})
    (scene.release.site_packages / "understudy" / "note.txt").write_text("changed")
    error = await scene.refusal()
    assert error.hopeless
    assert "note.txt was changed" in error.message
    assert "cannot be built again" in error.message
    scene.record(release={**scene.release.document(), "wheel_sha256": "0" * 64}, git=None)
    assert "another wheel" in (await scene.refusal()).message


async def test_a_release_that_is_gone_is_built_again_or_the_reason_is_said(scene: Scene) -> None:
    """This revision has no wheel to build: the reason that the builder gives is what is read."""
    scene.record()
    scene.release.path.rename(scene.release.path.with_name("elsewhere"))
    error = await scene.refusal()
    assert "building it again failed: The wheel could not be built" in error.message
    assert [path.name for path in scene.release.path.parent.iterdir()] == ["elsewhere"]


async def test_a_tag_that_was_moved_or_removed_is_said_and_the_revision_counts(scene: Scene) -> None:
    scene.record()
    commit_all(scene.repository, "second")
    git(scene.repository, "tag", "--force", "v1")
    assert "was moved to" in (await Precheck().act(scene.run(), "key"))["tag_problem"]
    git(scene.repository, "tag", "--delete", "v1")
    assert "is gone" in (await Precheck().act(scene.run(), "key"))["tag_problem"]
    # Where a target fetches the revision itself, it must be in the repository.
    scene.record(release=None, git={"revision": "0" * 40, "tag": None, "checkout": str(scene.repository)})
    assert "git fetch --all --tags" in (await scene.refusal()).message


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "delete from supabase_migrations.schema_migrations where version = %s",
            "is missing",
        ),
        (
            "update understudy.migration_files set sha256 = repeat('0', 64) where version = %s",
            "ran with another content",
        ),
    ],
)
async def test_a_schema_that_the_old_code_cannot_serve_on_is_refused(
    scene: Scene, statement: str, says: str
) -> None:
    scene.record()
    version = load_migrations()[3].version
    await scene.sql(statement, version)
    error = await scene.refusal()
    assert error.hopeless
    assert f"{version} {says}" in error.message
    # The release's own code refuses too, where the record does not know the file.
    files = {one.version: one.sha256 for one in load_migrations() if one.version != version}
    scene.record(migrations={"files": files})
    error = await scene.refusal()
    assert "refuses the present schema" in error.message
    assert version in error.message


async def test_the_history_is_read_by_the_application_s_own_role_too(scene: Scene) -> None:
    as_owner = await scene.target.applied_migrations()
    assert [(one.version, one.name, one.sha256) for one in as_owner] == [
        (one.version, one.name, one.sha256) for one in load_migrations()
    ]
    set_in_env_file(scene.home / "understudy.env", {"MIGRATION_DATABASE_URL": None})
    assert await scene.target.applied_migrations() == as_owner
    set_in_env_file(scene.home / "understudy.env", {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"})
    with pytest.raises(TargetError, match="cannot be read"):
        await scene.target.applied_migrations()


async def test_a_database_that_is_away_is_waited_for(scene: Scene) -> None:
    scene.record()

    async def away() -> tuple[AppliedMigration, ...]:
        raise TargetError("The migration history cannot be read: the database does not answer.")

    scene.target.applied_migrations = away  # type: ignore[method-assign]
    error = await scene.refusal()
    assert (error.hopeless, "cannot be seen" in error.message) == (False, True)
