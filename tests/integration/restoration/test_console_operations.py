"""What operators look at and order beyond incidents, over the guard's API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from tests.clocks import HandClock
from tests.integration.restoration.console_stage import Served, StandingGuard, finding
from tests.integration.restoration.deployment import CountingTarget
from tests.integration.restoration.test_cutover_guard import PLAN
from understudy.environments import EnvironmentName, builtin_local
from understudy.errors import NotFoundError, StoreUnavailableError
from understudy.logs import Redactor
from understudy.resources import playbook_file
from understudy.restoration.cutover import memory
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import share_of
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.restoration.guard import console_drills, console_playbook
from understudy.restoration.guard.console import Console
from understudy.restoration.guard.console_building import parts_of
from understudy.restoration.guard.console_parts import ConsoleContext
from understudy.restoration.guard.contract import ROUTES
from understudy.restoration.guard.heartbeat import Heartbeat
from understudy.restoration.guard.loop import Guard
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.policy import load_policy
from understudy.restoration.targets.base import Backup
from understudy.rollout import cutover
from understudy.rollout.mode import set_mode
from understudy.settings import load_settings
from understudy.store.cutover import NewCutover, SideTotals
from understudy.store.database import Database
from understudy.store.guard import MACHINE_KEY, GuardStore

pytestmark = pytest.mark.integration

ROW = {
    "rule": "literal", "calls_per_minute": 1, "condition": "healthy", "false_trips_per_day": 0.1,
    "detect_p50_s": None, "detect_p95_s": None, "false_trips_per_day_upper": 0.4, "days": 10.0, "runs": 0,
    "missed": 0,
}  # fmt: skip
SECRET = "sk-the-secret-of-the-test"


class Shelf:
    """Backups that take as long as the test wants."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.known: list[Backup] = []
        self.go_on = asyncio.Event()

    async def backups(self) -> tuple[Backup, ...]:
        return tuple(reversed(self.known))

    async def take_backup(self, key: str, *, reason: str) -> Backup:
        await self.go_on.wait()
        self.known.append(Backup(f"backup-{len(self.known)}", self.clock.now(), 10))
        return self.known[-1]

    async def verify_backup(self, backup_id: str) -> Backup:
        (at,) = (number for number, one in enumerate(self.known) if one.id == backup_id)
        self.known[at] = replace(self.known[at], verified_at=self.clock.now())
        return self.known[at]


class ShelvedTarget(CountingTarget):
    shelf: Shelf

    @property
    def database(self) -> Any:
        return self.shelf


@dataclass
class Operated(Served):
    shelf: Shelf = field(kw_only=True)
    machine: str = field(kw_only=True)
    product: list[Database] = field(kw_only=True)
    context: ConsoleContext = field(kw_only=True)

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Ask, and hold every answer against the document that the console's types are made of."""
        status, answer = await super().ask(method, path, **more)
        if status < 300:
            asked = path.split("?", maxsplit=1)[0].split("/")
            (route,) = (
                route for route in ROUTES if route.method == method and fits(route.path.split("/"), asked)
            )
            assert status == route.status, (method, path)
            assert not isinstance(route.answer, str)
            route.answer.model_validate(answer)
        return status, answer

    async def job_over(self, job: str) -> Any:
        async with asyncio.timeout(60):
            while (found := (await self.ask("GET", f"/jobs/{job}"))[1])["state"] == "running":
                await asyncio.sleep(0.01)
        return found


def fits(pattern: list[str], asked: list[str]) -> bool:
    return len(pattern) == len(asked) and all(
        one == other or one.startswith("{") for one, other in zip(pattern, asked, strict=True)
    )


@pytest_asyncio.fixture
async def operated(tmp_path: Path) -> AsyncIterator[Operated]:
    """A console with every part, and a product database that is away until a test gives one."""
    clock, product = HandClock(), cast("list[Database]", [])
    store = GuardStore(tmp_path / "guard.sqlite3", clock)
    book = IncidentBook(store, "local", clock)
    book.lease = store.acquire("local", "a", lifetime_s=10**6)
    playbook, file = load_policy(playbook_file())
    guard = StandingGuard(book, playbook)
    guard.policy_file = file  # type: ignore[assignment]

    async def connect() -> Database:
        if not product:
            raise StoreUnavailableError("The database is away.")
        return product[0]

    (tmp_path / "understudy.env").write_text("TTS_PROVIDER_MODE=modal\n")
    target = ShelvedTarget(tmp_path, "http://127.0.0.1:9")
    target.shelf = Shelf(clock)
    context = ConsoleContext(
        guard=cast("Guard", guard), store=store, clock=clock, redactor=Redactor([SECRET]), connect=connect,
        home=tmp_path, settings=load_settings(), target=target,
    )  # fmt: skip
    console = Console(context.guard, clock, context.redactor, parts=parts_of(context))
    url = await console.start("127.0.0.1", 0)
    _, key = store.operators.create("ada")
    machine = "the-machines-own-key-of-this-home"
    store.add_operator(machine, MACHINE_KEY)
    async with aiohttp.ClientSession() as session:
        yield Operated(
            guard, store, clock, Heartbeat(tmp_path, clock), console, session, url, key, "", tmp_path,
            context.board, shelf=target.shelf, machine=machine, product=product, context=context,
        )  # fmt: skip
    await console.stop()
    store.close()


async def test_no_part_answers_without_a_key(operated: Operated) -> None:
    before = operated.store.head()
    wanted = [each for each in operated.console.routes if each[1] not in operated.console.open_paths]
    for path in ("/cutover", "/backups", "/jobs", "/drills", "/audit", "/restorations/plan", "/known-good"):
        assert ("GET", path) in wanted
    for method, pattern in wanted:
        for key in ("", "wrong"):
            body = {"reason": "r"} if method == "POST" else None
            status, answer = await operated.ask(method, pattern.replace("{id}", "x"), key=key, body=body)
            assert (status, list(answer)) == (401, ["detail"]), (method, pattern)
    assert operated.store.head() == before


# --- cutover ------------------------------------------------------------------------------------------------


async def begin(operated: Operated, database: Database) -> None:
    operated.product.append(database)
    await set_mode(database, "modal", actor="person:ada", reason="where a cutover starts")
    stages = [{"percent": each, "hold_s": 0.0, "exclude_percent": 50.0} for each in (5, 100)]
    plan = {**PLAN, "stages": stages}
    new = NewCutover("qwen", 5, "ada", plan, "0" * 64, 60)
    await cutover.start(database, new, share_of(plan, 5), actor="person:ada", reason="go")


async def test_a_cutover_is_shown_paused_and_moved_by_persons_alone(
    operated: Operated, database: Database
) -> None:
    assert (await operated.ask("GET", "/cutover"))[0] == 503
    operated.product.append(database)
    _, found = await operated.ask("GET", "/cutover")
    assert (found["cutover"], found["may"]["return"]) == (None, "No cutover is on.")
    assert [stage["percent"] for stage in found["stages"]][-1] == 100
    await begin(operated, database)
    _, found = await operated.ask("GET", "/cutover")
    assert (found["cutover"]["percent"], found["in_force"], found["may"]["pause"]) == (5, True, None)
    assert "No guard has judged" in found["may"]["next"]
    assert [(stage["percent"], stage["clean_calls"]) for stage in found["stages"]] == [(5, 5), (100, 5)]
    for order in ("next", "resume"):
        refused = await operated.ask("POST", f"/cutover/{order}", key=operated.machine, body={"reason": "r"})
        assert (refused[0], "a person's own key" in refused[1]["detail"]) == (403, True)
    for body in ({}, {"reason": " "}, {"reason": "x" * 501}, {"reason": 7}):
        assert (await operated.ask("POST", "/cutover/pause", body=body))[0] == 400, body
    status, paused = await operated.ask("POST", "/cutover/pause", body={"reason": f"a look, {SECRET}"})
    assert (status, paused["cutover"]["state"], paused["not_in_force_on"]) == (200, "paused", [])
    assert (paused["cutover"]["actor"], SECRET in paused["cutover"]["reason"]) == ("person:ada", False)
    assert (await operated.ask("POST", "/cutover/pause", body={"reason": "again"}))[0] == 409
    both = await asyncio.gather(
        *(operated.ask("POST", "/cutover/resume", body={"reason": "on"}) for _ in range(2))
    )
    assert sorted(status for status, _ in both) == [200, 409]  # a double click takes one move
    limits = MoveLimits(operated.store, operated.guard.playbook.cutover.limits, operated.clock, "local")
    assert (len(limits.record().moves), limits.frozen()) == (1, None)


async def test_back_is_never_refused_and_a_person_thaws(operated: Operated, database: Database) -> None:
    await begin(operated, database)
    limits = MoveLimits(operated.store, operated.guard.playbook.cutover.limits, operated.clock, "local")
    for epoch in range(1, 5):
        limits.count("a move by hand", "person:bob", epoch=epoch)
    assert limits.frozen() is not None
    row = (await operated.ask("GET", "/cutover"))[1]["cutover"]
    judged = {
        "epoch": row["epoch"], "at": operated.clock.now().isoformat(), "failing": [], "waiting": [],
        "left_behind": 0, "stage": 0, "percent": 5, "candidate": asdict(SideTotals()), "control": None,
        "needed": 5, "hidden_percent": 50.0, "hold_left_s": 0.0, "guardrails": [],
    }  # fmt: skip
    memory.remember_judgement(operated.store, "local", judged)
    assert "FROZEN" in (await operated.ask("GET", "/cutover"))[1]["may"]["next"]
    status, answer = await operated.ask("POST", "/cutover/next", body={"reason": "on"})
    assert (status, "FROZEN" in answer["detail"]) == (409, True)
    status, answer = await operated.ask("POST", "/cutover/return", key=operated.machine, body={"reason": "r"})
    assert (status, answer["returned"], answer["mode"]) == (200, True, "modal")
    status, answer = await operated.ask("POST", "/cutover/return", body={"reason": "r"})
    assert (status, answer["returned"]) == (200, False)
    assert (await operated.ask("POST", "/mode/thaw", key=operated.machine, body={"reason": "r"}))[0] == 403
    assert await operated.ask("POST", "/mode/thaw", body={"reason": "planned"}) == (200, {"thawed": True})
    assert limits.frozen() is None
    _, audit = await operated.ask("GET", "/audit?person=ada")
    sources = {entry["what"]: entry["source"] for entry in audit["entries"]}
    assert (sources["thawed moves away from known-good"], audit["partial"]) == ("mode", False)
    assert {entry["actor"] for entry in audit["entries"]} == {"person:ada"}


# --- backups and jobs ---------------------------------------------------------------------------------------


async def test_a_backup_is_a_job_that_a_double_click_starts_once(operated: Operated) -> None:
    operated.store.record_known_good({"reason": "a week", "git": {"revision": "abc"}}, actor="person:ada")
    _, known = await operated.ask("GET", "/known-good")
    assert [(row["seq"], row["revision"]) for row in known["known_good"]] == [(1, "abc")]
    assert await operated.ask("GET", "/backups") == (200, {"backups": [], "alarm": None, "supported": True})
    assert (await operated.ask("POST", "/backups", body={}))[0] == 400
    status, first = await operated.ask("POST", "/backups", body={"reason": f"before {SECRET}"})
    again = await operated.ask("POST", "/backups", body={"reason": "before the cutover"})
    assert (status, again[0], again[1]["job"]["id"]) == (202, 202, first["job"]["id"])
    operated.shelf.go_on.set()
    over = await operated.job_over(first["job"]["id"])
    assert (over["state"], over["result"]["id"], over["asked_by"]) == ("done", "backup-0", "person:ada")
    assert over["result"]["verified_at"] is not None
    assert len(operated.shelf.known) == 1
    status, verify = await operated.ask("POST", "/backups/backup-0/verify")
    assert (status, verify["job"]["subject"]) == (202, "backup-0")
    assert (await operated.job_over(verify["job"]["id"]))["state"] == "done"
    assert (await operated.ask("POST", "/backups/none/verify"))[0] == 404
    _, listed = await operated.ask("GET", "/jobs")
    assert [job["kind"] for job in listed["jobs"]] == ["verify", "backup"]
    asked = [entry for entry in operated.store.entries() if entry.kind == "job"]
    assert [(entry.actor, entry.body["kind"]) for entry in asked] == [
        ("person:ada", "backup"), ("person:ada", "verify"),
    ]  # fmt: skip
    assert SECRET not in str(asked)


async def test_a_job_is_stopped_by_word_and_with_the_console(operated: Operated) -> None:
    _, begun = await operated.ask("POST", "/backups", body={"reason": "r"})
    name = begun["job"]["id"]
    for _ in range(2):
        assert (await operated.ask("POST", f"/jobs/{name}/stop", body={"reason": "a slip"}))[0] == 200
    over = await operated.job_over(name)
    assert (over["state"], over["said"][-1]) == ("stopped", "person:ada stops it: a slip")
    assert [entry.kind for entry in operated.store.entries()] == ["job", "job_stopped"]
    assert (await operated.ask("GET", "/jobs/none"))[0] == 404
    _, begun = await operated.ask("POST", "/backups", body={"reason": "r"})
    jobs = next(part for part in operated.console._parts if hasattr(part, "_jobs"))._jobs  # type: ignore[attr-defined]
    await jobs.close()
    assert jobs.get(begun["job"]["id"]).state == "stopped"


# --- drills and simulation ----------------------------------------------------------------------------------


async def test_a_drill_is_a_command_of_its_own(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    append_row(
        operated.home,
        DrillRow(
            "2026-11-24T11:00:00+00:00", "playback", "local", True, "env_switch", True, True, 0, 0,
            report="drills/reports/a.md",
        ),
    )  # fmt: skip
    assert (await operated.ask("GET", "/drills/reports/a.md"))[0] == 404  # its file is gone
    (operated.home / "drills" / "reports").mkdir()
    for name in ("a.md", "b.md"):
        (operated.home / "drills" / "reports" / name).write_text(f"# Report, {SECRET}")
    _, report = await operated.ask("GET", "/drills/reports/a.md")
    assert report["markdown"].startswith("# Report, ")
    assert SECRET not in report["markdown"]
    for name in ("b.md", "..%2fhistory.jsonl", "drills%2freports%2fa.md"):
        assert (await operated.ask("GET", f"/drills/reports/{name}"))[0] == 404, name
    asked: list[tuple[str, ...]] = []
    real = console_drills.run_command

    async def run_command(arguments: Any, **more: Any) -> Any:
        asked.append(tuple(arguments))
        assert not any(name.startswith("UNDERSTUDY") for name in more["variables"])
        return await real(("drill", "--list", "--json"), **more)

    monkeypatch.setattr(console_drills, "run_command", run_command)
    _, shown = await operated.ask("GET", "/drills")
    assert {"scenario", "title", "cures"} == set(shown["scenarios"][0])
    assert (shown["may_run"], shown["history"][0]["passed"], shown["running"]) == (True, True, None)
    assert (await operated.ask("POST", "/drills", body={"scenario": "all"}))[0] == 404
    _, begun = await operated.ask("POST", "/drills", body={"scenario": "playback", "reason": None})
    _, meanwhile = await operated.ask("GET", "/drills")
    assert (meanwhile["may_run"], meanwhile["running"]["subject"]) == (False, "playback")
    assert (await operated.ask("POST", "/drills", body={"scenario": "drain_burst"}))[0] == 409
    over = await operated.job_over(begun["job"]["id"])
    assert (over["state"], len(over["result"])) == ("done", len(shown["scenarios"])), over
    assert asked == [("drill", "playback", "--home", str(operated.home), "--json")]


async def test_nothing_is_drilled_as_production(operated: Operated) -> None:
    part = next(part for part in operated.console._parts if isinstance(part, console_drills.Drills))
    production = replace(builtin_local(), name=EnvironmentName.PROD)
    part._context = replace(operated.context, environment=production)
    _, shown = await operated.ask("GET", "/drills")
    assert (shown["may_run"], "Nothing is drilled as prod" in shown["why_not"]) == (False, True)
    status, answer = await operated.ask("POST", "/drills", body={"scenario": "playback"})
    assert (status, answer["detail"]) == (409, shown["why_not"])
    with pytest.raises(NotFoundError):
        operated.context.store.incident("x")


async def test_the_policy_is_shown_and_simulated_once(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, page = await operated.ask("GET", "/playbook/page")
    assert "## 1. success_rate" in page["markdown"]
    _, found = await operated.ask("GET", "/playbook/simulation")
    assert (found["state"], found["rows"], found["job"]) == ("none", [], None)
    monkeypatch.setattr(console_playbook, "OPTIONS", ("--no-such-option",))
    _, begun = await operated.ask("POST", "/playbook/simulation")
    over = await operated.job_over(begun["job"]["id"])
    assert (over["state"], "ended with status 2" in over["error"]) == ("failed", True)
    _, found = await operated.ask("GET", "/playbook/simulation")
    assert (found["state"], found["error"]) == ("failed", over["error"])

    async def run_command(arguments: Any, **_: Any) -> Any:
        return [ROW]

    monkeypatch.setattr(console_playbook, "run_command", run_command)
    _, begun = await operated.ask("POST", "/playbook/simulation")
    assert (await operated.job_over(begun["job"]["id"]))["state"] == "done"
    _, found = await operated.ask("GET", "/playbook/simulation")
    assert (found["state"], found["rows"], found["job"]) == ("ready", [ROW], None)


# --- audit and restorations ---------------------------------------------------------------------------------


async def test_the_audit_merges_records_and_says_when_it_is_partial(
    operated: Operated, database: Database
) -> None:
    row = operated.guard.book.open(
        finding(operated.clock.now()), onset=operated.clock.now(), action="env_switch", instruction=None,
        facts={"environment": "local", "owner": "on call"},
    )  # fmt: skip
    for number in range(3):
        operated.clock.advance(1)
        await operated.ask("POST", f"/incidents/{row.id}/note", body={"text": f"note {number}"})
    operated.store.announce(
        None, kind="key_created", actor="person:bob", body={"label": "eve", "prefix": "p"}
    )
    _, audit = await operated.ask("GET", "/audit?limit=2")
    assert (audit["partial"], audit["next_offset"], len(audit["entries"])) == (True, 2, 2)
    _, rest = await operated.ask("GET", "/audit?limit=2&offset=2")
    assert (rest["next_offset"], len(rest["entries"])) == (None, 2)
    both = [*audit["entries"], *rest["entries"]]
    assert sorted(entry["source"] for entry in both) == ["journal", "journal", "journal", "keys"]
    assert not any(entry["actor"] == "guard" for entry in both)
    operated.product.append(database)
    await set_mode(database, "qwen", actor="guard", reason="the rate fell")
    _, audit = await operated.ask("GET", "/audit?person=guard")
    assert (audit["partial"], [entry["source"] for entry in audit["entries"]]) == (False, ["mode"])
    _, audit = await operated.ask("GET", "/audit?person=bob")
    assert [entry["what"] for entry in audit["entries"]] == ["made the key p of eve"]
    assert (await operated.ask("GET", "/audit?limit=0"))[0] == 400


async def test_a_person_asks_for_a_restoration_once(operated: Operated) -> None:
    _, plan = await operated.ask("GET", "/restorations/plan?action=env_switch")
    assert (plan["action"], plan["rung"], plan["steps"][0]["step"]) == ("env_switch", 1, "precheck")
    assert (await operated.ask("GET", "/restorations/plan?action=nothing"))[0] == 400
    assert (await operated.ask("GET", "/restorations/plan?action=env_switch&incident=x"))[0] == 404
    _, probed = await operated.ask("POST", "/restorations/probe", body={"action": "env_switch"})
    assert (probed["ok"], probed["steps"][0]["step"]) == (False, "precheck")
    body = {"action": "env_switch", "reason": "Qwen is slow"}
    assert (await operated.ask("POST", "/restorations", key=operated.machine, body=body))[0] == 403
    assert (await operated.ask("POST", "/restorations", body={"action": "env_switch"}))[0] == 400
    assert operated.store.incidents() == []
    both = await asyncio.gather(*(operated.ask("POST", "/restorations", body=body) for _ in range(2)))
    assert [status for status, _ in both] == [202, 202]
    assert sorted(answer["already"] for _, answer in both) == [False, True]
    assert both[0][1]["incident"] == both[1][1]["incident"]
    (opened,) = operated.store.entries()
    assert (opened.kind, opened.actor, opened.body["requested_by"]) == ("opened", "person:ada", "person:ada")
    operated.clock.advance(timedelta(days=30).total_seconds())
    status, answer = await operated.ask("POST", "/restorations", body=body)
    assert (status, "No guard leads" in answer["detail"]) == (409, True)
