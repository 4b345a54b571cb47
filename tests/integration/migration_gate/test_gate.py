"""The gate on a database: the catalog's proof, reviews, what is recorded, and what stands before a deploy."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from understudy.cli.commands import app
from understudy.errors import MigrationError, MigrationRefusedError
from understudy.migration_gate.deploying import refuse_unsafe
from understudy.migration_gate.gate import GateReport, Proof, check, record
from understudy.migration_gate.parser import PARSER_VARIABLE, ParserProcess
from understudy.migration_gate.recorded import ACCEPTED_FILE, VERDICTS_FILE
from understudy.migration_gate.verdicts import Verdict
from understudy.resources import migrations_dir
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.settings import Settings
from understudy.stabilization.gates import judge
from understudy.stabilization.gathering import Place, gather
from understudy.stabilization.signing import sign_off
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.migrations import connect_owner, load_migrations, migrate

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("parser")]

OLD = "create table public.things (id uuid primary key, name text not null);\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sequence of one file."""
    place = tmp_path / "files"
    (place / "gate").mkdir(parents=True)
    (place / "20300101000000_things.sql").write_text(OLD)
    return place


def add(folder: Path, text: str, version: int = 20300102000000) -> str:
    (folder / f"{version}_next.sql").write_text(text)
    return str(version)


def accept(folder: Path, version: str, *digests: str, rules: Sequence[str] = ()) -> None:
    (folder / ACCEPTED_FILE).write_text(
        f'[[accepted]]\nfile = "{version}_next.sql"\nreason = "read by two"\n'
        f"statements = {json.dumps(digests)}\nrules = {json.dumps(list(rules))}\n"
    )


async def judged(folder: Path, url: SecretStr | None, version: str) -> GateReport:
    return await check(load_migrations(folder), folder=folder, judged={version}, url=url)


async def test_a_file_that_only_adds_may_run(folder: Path, empty_database_urls: DatabaseUrls) -> None:
    version = add(folder, "alter table public.things add column size integer not null default 0;")
    report = await judged(folder, empty_database_urls.owner, version)
    assert report.allowed(stabilized=False)
    assert [(one.name, one.state) for one in report.proofs] == [
        ("parser", Proof.DONE),
        ("squawk", Proof.DONE),
        ("catalog", Proof.DONE),
    ]


async def test_what_a_person_accepted_unread_is_still_seen_in_the_catalog(
    folder: Path, empty_database_urls: DatabaseUrls
) -> None:
    hidden = "do $$ begin execute 'grant select on public.things to public'; end $$;"
    version = add(folder, hidden)
    (statement,) = (await judged(folder, None, version)).files[0].reading.statements
    accept(folder, version, statement.digest)
    assert (await judged(folder, None, version)).open == []
    report = await judged(folder, empty_database_urls.owner, version)
    (told,) = report.open
    assert "grant select on public.things to public is new" in told
    assert "no statement in plain sight says so" in told
    accept(folder, version, statement.digest, rules=["catalog"])
    assert (await judged(folder, empty_database_urls.owner, version)).allowed(stabilized=False)


async def test_a_hidden_loss_is_destructive_and_no_review_helps(
    folder: Path, empty_database_urls: DatabaseUrls
) -> None:
    version = add(folder, "do $$ begin execute 'alter table public.things drop column name'; end $$;")
    (statement,) = (await judged(folder, None, version)).files[0].reading.statements
    accept(folder, version, statement.digest, rules=["catalog"])
    report = await judged(folder, empty_database_urls.owner, version)
    assert report.open == []
    assert report.destroys == [f"{version}_next.sql catalog: column public.things.name is lost"]
    assert not report.allowed(stabilized=False)
    assert report.allowed(stabilized=True)


async def test_an_edited_statement_is_asked_about_again_and_a_stale_entry_is_told(folder: Path) -> None:
    version = add(folder, "update public.things set name = 'x' where name is null;")
    (statement,) = (await judged(folder, None, version)).files[0].reading.statements
    accept(folder, version, statement.digest)
    assert (await judged(folder, None, version)).allowed(stabilized=False)
    add(folder, "update public.things set name = 'y' where name is null;")
    report = await judged(folder, None, version)
    assert len(report.open) == 1
    assert report.files[0].unused == (statement.digest,)


async def test_a_file_that_fails_or_is_no_sql_may_not_run(
    folder: Path, empty_database_urls: DatabaseUrls
) -> None:
    version = add(folder, "alter table public.nothing add column x text;")
    report = await judged(folder, empty_database_urls.owner, version)
    assert "20300102000000_next.sql line 1 failed" in report.problems[0]
    assert not report.allowed(stabilized=True)
    version = add(folder, "\\i more.sql\n")
    assert not (await judged(folder, None, version)).allowed(stabilized=True)


async def test_without_the_parser_recorded_files_are_known_and_others_wait_for_a_person(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add(folder, "create view public.names as select name from public.things;\nselect 1;")
    files = load_migrations(folder)
    report = await check(files, folder=folder)
    (folder / VERDICTS_FILE).write_text(record(report))
    monkeypatch.setenv(PARSER_VARIABLE, "/nowhere/python parse_sql.py")
    known = await check(files, folder=folder, believe_recorded=True)
    assert known.allowed(stabilized=False)
    assert {one.source for one in known.files} == {"recorded"}
    add(folder, "create view public.names as select name from public.things;\nselect 2;")
    edited = await check(load_migrations(folder), folder=folder, believe_recorded=True)
    assert [(one.name, one.state) for one in edited.missing] == [
        ("parser", Proof.MISSING),
        ("catalog", Proof.MISSING),
    ]
    assert [one.split(" ", 1)[0] for one in edited.open] == [f"{version}_next.sql"]
    assert "select 2" in edited.files[1].reading.statements[1].text


async def test_squawk_that_is_missing_is_told_and_the_others_decide(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version = add(folder, "create index things_name_idx on public.things (name);")
    assert "require-concurrent-index-creation" in (await judged(folder, None, version)).open[0]
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(PARSER_VARIABLE, "/nowhere/python parse_sql.py")
    report = await judged(folder, None, version)
    assert [one.name for one in report.missing] == ["parser", "squawk", "catalog"]


# --- before a deploy -------------------------------------------------------------------


async def nobody_signed() -> Sequence[str]:
    return ["sign_offs: 2 of 2 persons have not signed off"]


async def everybody_signed() -> Sequence[str]:
    return []


async def test_a_destructive_file_waits_for_stabilization_and_then_runs(
    folder: Path, empty_database_urls: DatabaseUrls
) -> None:
    url = empty_database_urls.owner
    # The first migration of an empty database takes nothing away, whatever it says.
    assert len(await migrate(url, folder, before=refuse_unsafe(url, nobody_signed, folder))) == 1
    add(folder, "alter table public.things drop column name;")
    accept(folder, "20300102000000", rules=["ban-drop-column"])
    with pytest.raises(MigrationRefusedError, match="sign_offs: 2 of 2") as refused:
        await migrate(url, folder, before=refuse_unsafe(url, nobody_signed, folder))
    assert "line 1: drop_column" in refused.value.message
    assert isinstance(refused.value, MigrationError)
    assert len(await migrate(url, folder, before=refuse_unsafe(url, everybody_signed, folder))) == 1


async def test_what_needs_a_review_is_refused_whatever_was_signed(
    folder: Path, empty_database_urls: DatabaseUrls
) -> None:
    url = empty_database_urls.owner
    await migrate(url, folder)
    add(folder, "delete from public.things;\ndo $$ begin execute 'select 1'; end $$;")
    with pytest.raises(MigrationRefusedError, match="dynamic_sql"):
        await migrate(url, folder, before=refuse_unsafe(url, everybody_signed, folder))
    async with await connect_owner(url) as conn:
        rows = await (
            await conn.execute("select version from supabase_migrations.schema_migrations")
        ).fetchall()
    assert [row["version"] for row in rows] == ["20300101000000"]


def test_db_migrate_passes_its_own_files_through_the_gate(
    empty_database_urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for one in load_migrations()[:-2]:
        shutil.copy(migrations_dir() / one.file_name, some)
    asyncio.run(migrate(empty_database_urls.owner, some))
    monkeypatch.setenv("MIGRATION_DATABASE_URL", empty_database_urls.owner.get_secret_value())
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    run = CliRunner().invoke(app, ["db", "migrate", "--json"])
    assert run.exit_code == 0, run.output
    assert len(json.loads(run.stdout)["applied"]) == 2


# --- stabilization ---------------------------------------------------------------------


async def test_the_gates_are_gathered_from_product_guard_drills_and_backups(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with await connect_owner(database_urls.owner) as conn:
        await conn.execute(
            "insert into understudy.provider_mode (value, epoch, actor, reason, env_value, changed_at)"
            " values ('qwen', 3, 'a', 'r', 'qwen', now())"
        )
        await conn.execute(
            "insert into understudy.provider_mode_history"
            " (epoch, previous_value, value, actor, reason, env_value, changed_at) values"
            " (1, null, 'modal', 'a', 'r', 'modal', now() - interval '40 days'),"
            " (2, 'modal', 'qwen', 'a', 'r', 'qwen', now() - interval '20 days'),"
            " (3, 'qwen', 'qwen', 'a', 'r', 'qwen', now() - interval '1 day')"
        )
        await conn.execute(
            "insert into understudy.call_buckets select now() - make_interval(days => n), 'qwen', 2, 'speak',"
            " 50, 0, 0, 0, 0, 0, 5, 0, '{}', '{}', 0, 0, 0, 0, 0, 0, 0 from generate_series(0, 16) n"
        )
    append_row(
        tmp_path,
        DrillRow(now.isoformat(), "modal_down", "prod", True, "env_switch", True, True, 0, 0),
    )
    settings = Settings(database_url=database_urls.app)
    with GuardStore(tmp_path / "guard.sqlite3", HandClock(now)) as store:
        place = Place("prod", tmp_path, settings, store, 99.0)
        state = judge(await gather(place, HandClock(now)), now)
        assert [gate.name for gate in state.gates if not gate.met] == ["recent_backup", "sign_offs"]
        assert state.since is not None
        assert 19 <= (now - state.since).days <= 20
        with pytest.raises(Exception, match="no backup is proven"):
            sign_off(store, state, environment="prod", person="ada", reason="quiet")
    away = Place("prod", tmp_path, Settings(), None, 99.0, no_store="no guard has run here")
    assert {gate.name for gate in judge(await gather(away, HandClock(now)), now).gates if not gate.met} == {
        "on_qwen",
        "no_severe_incident",
        "slo_met",
        "recent_backup",
        "sign_offs",
    }


def test_the_commands_answer_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    run = CliRunner().invoke(app, ["stabilization", "status", "--json"])
    assert run.exit_code == 1
    document = json.loads(run.stdout)
    assert document["met"] is False
    assert len(document["gates"]) == 6
    refused = CliRunner().invoke(app, ["stabilization", "sign-off", "--reason", "quiet"])
    assert refused.exit_code == 1
    assert "no guard has run here yet" in refused.output


@pytest.mark.long
def test_the_shipped_files_pass_strictly_and_one_bad_file_does_not(
    parser: ParserProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parser.version
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    run = CliRunner().invoke(app, ["migrations", "check", "--strict", "--json"])
    assert run.exit_code == 0, run.stdout[:2000]
    document = json.loads(run.stdout)
    assert {one["verdict"] for one in document["files"]} == {"additive", "reviewed"}
    place = tmp_path / "files"
    shutil.copytree(migrations_dir(), place)
    bad = place / "20990101000000_bad.sql"
    bad.write_text("-- squawk-ignore ban-drop-column\nalter table public.voices drop column language;\n")
    run = CliRunner().invoke(app, ["migrations", "check", str(bad), "--json"])
    assert run.exit_code == 1
    document = json.loads(run.stdout)
    (one,) = document["files"]
    assert one["verdict"] == Verdict.DESTRUCTIVE
    assert one["ignored_comments"] == [{"line": 1, "text": "-- squawk-ignore ban-drop-column"}]
    assert [lock["rule"] for lock in one["locks"]] == ["ban-drop-column"]
    assert "column public.voices.language is lost" in one["catalog"]["lost"]
    assert document["stabilization"]["asked"] is True
    assert len(document["stabilization"]["unmet"]) == 6
