"""The previous release on the new schema: its own smoke suite passes where the schema only grew."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from understudy.migration_gate.parser import PARSER_VARIABLE, parser_command
from understudy.resources import checkout_dir
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import connect_owner, migrate

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

NOTES = (
    "create table public.notes (id uuid primary key);\nalter table public.notes enable row level security;\n"
)
#: A person accepted it, and was wrong.
REFUSES = (
    "create function public.refuse() returns trigger language plpgsql as\n"
    "$$ begin raise exception 'this release knows better'; end $$;\n"
    "create trigger refuse before insert on public.voices for each row execute function public.refuse();\n"
)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose release `v1` is this checkout as it stands."""
    root = tmp_path / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=checkout_dir(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        source = checkout_dir() / name
        if source.is_file() and name.split("/", 1)[0] in {"src", "migrations", "playbooks", "pyproject.toml"}:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, root / name)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "the release")
    git(root, "tag", "v1")
    return root


def check(repository: Path, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [
            sys.executable, "-m", "understudy.cli.app", "migrations", "check", str(repository / "migrations"),
            "--since", "v1", "--json", "--home", str(repository / "home"), *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_old_code_works_on_a_schema_that_only_grew(repository: Path) -> None:
    (repository / "migrations" / "20990101000000_notes.sql").write_text(NOTES)
    code, document = check(repository, "--prove-old-code")
    assert code == 0, document
    assert [one["file"] for one in document["files"]] == ["20990101000000_notes.sql"]
    assert set(document["old_code"]["checks"].values()) == {"passed"}
    assert document["old_code"]["commit"] == git(repository, "rev-parse", "v1").strip()


def test_what_was_accepted_wrongly_is_found_by_old_code(repository: Path) -> None:
    place = repository / "migrations"
    (place / "20990101000000_refuse.sql").write_text(REFUSES)
    _, document = check(repository)
    digest = document["files"][0]["statements"][1]["digest"]
    with (place / "gate" / "accepted.toml").open("a") as stream:
        stream.write(
            '\n[[accepted]]\nfile = "20990101000000_refuse.sql"\n'
            f'statements = ["{digest}"]\nreason = "surely harmless"\n'
        )
    assert check(repository)[0] == 0
    code, document = check(repository, "--prove-old-code")
    assert code == 1
    assert "clone" in document["old_code"]["problem"]


async def test_up_and_db_migrate_refuse_what_destroys_and_leave_the_database_as_it_was(
    repository: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tmp_path.chmod(0o711)  # Run by root, the server has an account of its own, and must get in.
    server = EmbeddedPostgres(home)
    try:
        await server.start()
        await migrate(server.migration_database_url, repository / "migrations")
        await server.stop()
        place = repository / "migrations"
        (place / "20990101000000_lose.sql").write_text("alter table public.voices drop column language;\n")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(repository / "src"),
            PARSER_VARIABLE: shlex.join(parser_command()),
            "UNDERSTUDY_HOME": str(home),
        }
        for command in (["db", "migrate"], ["up", "--json"]):
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "understudy.cli.app", *command],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert done.returncode == 1, done.stdout + done.stderr
            assert "drop_column: public.voices.language" in done.stderr
            assert "stabilization: on_qwen" in done.stderr
        await server.start()
        async with await connect_owner(server.migration_database_url) as conn:
            cursor = await conn.execute("select language from public.voices")
            assert await cursor.fetchall() == []
    finally:
        await server.destroy()


def test_a_released_file_stays_as_it_was(repository: Path) -> None:
    edited = next((repository / "migrations").glob("*_cutover.sql"))
    edited.write_text(edited.read_text() + "select 1;\n")
    code, document = check(repository)
    assert code == 1
    assert f"{edited.name} is not as v1 has it" in document["problems"][0]
    edited.unlink()
    assert f"{edited.name} is in v1 and not here" in check(repository)[1]["problems"][0]
    (repository / "migrations" / "20200101000000_late.sql").write_text("select 1;\n")
    assert "older than the newest of v1" in " ".join(check(repository)[1]["problems"])
