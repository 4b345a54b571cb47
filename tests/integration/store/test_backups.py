"""Backups: made whole or not at all, proven by a restore, and refused with the reason otherwise."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from understudy.errors import BackupError
from understudy.store.backups.creating import Request, create_backup
from understudy.store.backups.manifest import DUMP, EVIDENCE, MANIFEST, MANUAL
from understudy.store.backups.programs import Programs
from understudy.store.backups.shelf import Shelf, Shelved
from understudy.store.backups.verifying import problem_of, verify_backup
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Database
from understudy.store.migrations import load_migrations
from understudy.store.objects import LocalObjects

pytestmark = pytest.mark.integration

FILES = {one.version: one.sha256 for one in load_migrations()}


@dataclass
class Room:
    """A database with two tenants' rows, their audio, and a folder for backups."""

    urls: DatabaseUrls
    shelf: Shelf
    objects: LocalObjects
    clock: HandClock

    async def make(self, key: str = "one", purpose: str = MANUAL) -> Shelved:
        return await create_backup(
            self.shelf, self.urls.owner, self.objects, self.clock, Request(key, purpose, "test")
        )

    async def verify(self, backup: Shelved) -> Shelved:
        return await verify_backup(self.shelf, self.urls.owner, backup.id, self.clock)

    async def run(self, statement: str) -> None:
        url = self.urls.owner.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            await conn.execute(statement.encode())


@pytest_asyncio.fixture
async def room(database: Database, database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Room]:
    clock = HandClock()
    objects = LocalObjects(tmp_path / "objects", SecretStr("o" * 40), 60, clock)
    user = uuid.uuid4()
    async with database.service() as conn:
        await conn.execute("insert into auth.users (id) values (%s)", (user,))
        for number in range(20):
            voice = uuid.uuid4()
            await conn.execute(
                "insert into public.voices (id, user_id, name, reference_object_key) values (%s, %s, %s, %s)",
                (voice, user, f"voice {number}", f"{user}/{voice}/reference.wav"),
            )
            if number < 3:
                await objects.put(REFERENCES, f"{user}/{voice}/reference.wav", voice.bytes, "audio/wav")
    await objects.put(GENERATIONS, f"{user}/{uuid.uuid4()}.wav", b"speech" * 1000, "audio/wav")
    yield Room(database_urls, Shelf(tmp_path / "backups", clock), objects, clock)


async def scratch_databases(urls: DatabaseUrls) -> list[str]:
    async with await psycopg.AsyncConnection.connect(urls.owner.get_secret_value()) as conn:
        found = await conn.execute("select datname from pg_database where datname like 'understudy_scratch%'")
        return [row[0] for row in await found.fetchall()]


async def test_a_backup_is_one_snapshot_with_its_audio_and_is_proven_by_a_restore(room: Room) -> None:
    made = await room.make()
    manifest = made.manifest
    assert manifest is not None
    assert manifest.tables["public.voices"].rows == 20
    assert manifest.history == FILES
    assert (manifest.objects, len(manifest.lacking)) == (4, 17)  # named by rows, and not in the storage
    assert made.proof is None
    proven = await room.verify(made)
    assert proven.proof is not None
    assert proven.proof.rows == manifest.rows
    assert await scratch_databases(room.urls) == []
    for path in (*made.folder.iterdir(), *(room.shelf.folder / "audio").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path

    again = await room.make()
    assert again.id == made.id  # one key, one backup
    room.clock.advance(60)
    later = await room.make("two")
    assert later.id > made.id
    audio = [path for path in (room.shelf.folder / "audio").rglob("*") if path.is_file()]
    assert len(audio) == 4  # what did not change is kept once

    _cut(made, room.shelf)
    with pytest.raises(BackupError):
        await room.verify(made)
    assert room.shelf.find(made.id).proof is None  # it is void once a later look fails


def _cut(backup: Shelved, _: Shelf) -> None:
    path = backup.folder / DUMP
    path.write_bytes(path.read_bytes()[:-100])


def _flip(backup: Shelved, _: Shelf) -> None:
    path = backup.folder / DUMP
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other_manifest(backup: Shelved, _: Shelf) -> None:
    path = backup.folder / MANIFEST
    path.write_text(path.read_text().replace('"rows": 20', '"rows": 21'))


def _half_manifest(backup: Shelved, _: Shelf) -> None:
    path = backup.folder / MANIFEST
    path.write_text(path.read_text()[:200])


def _no_audio(backup: Shelved, shelf: Shelf) -> None:
    next(path for path in (shelf.folder / "audio").rglob("*") if path.is_file()).unlink()


def _other_audio(backup: Shelved, shelf: Shelf) -> None:
    path = next(path for path in (shelf.folder / "audio").rglob("*") if path.is_file())
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


DAMAGES: tuple[tuple[Callable[[Shelved, Shelf], None], str], ...] = (
    (_cut, "is cut short"),
    (_flip, "was damaged: its SHA-256 is not the recorded one"),
    (_other_manifest, "was changed after it was written"),
    (_half_manifest, "is damaged"),
    (_no_audio, "is missing"),
    (_other_audio, "its bytes changed"),
)


async def test_a_damaged_backup_is_refused_with_the_reason(room: Room, tmp_path: Path) -> None:
    made = await room.make()
    for number, (damage, reason) in enumerate(DAMAGES):
        copy = Shelf(tmp_path / f"copy-{number}", room.clock)
        shutil.copytree(room.shelf.folder, copy.folder)
        damage(copy.find(made.id), copy)
        with pytest.raises(BackupError, match=reason):
            await verify_backup(copy, room.urls.owner, made.id, room.clock)
        assert copy.find(made.id).proof is None


async def test_a_backup_of_a_database_that_had_lost_something_is_no_backup(room: Room) -> None:
    await room.run("alter table public.voices drop column description")
    made = await room.make()
    with pytest.raises(BackupError, match=r"damaged already: column public\.voices\.description is missing"):
        await room.verify(made)


async def test_what_must_not_be_restored_from_shows_without_reading_it(room: Room) -> None:
    made = await room.make()
    now = room.clock.now()

    def problem(later: timedelta = timedelta(), known: dict[str, str] | None = None) -> str | None:
        return problem_of(made, now + later, max_age_s=3600, known_good=FILES if known is None else known)

    assert problem() is None
    assert problem(timedelta(hours=1)) is None
    assert "older than BACKUP_MAX_AGE_S" in (problem(timedelta(hours=1, seconds=1)) or "")
    newest = max(FILES)
    assert f"{newest} is not in it" in (problem(known={k: v for k, v in FILES.items() if k != newest}) or "")
    assert f"{newest} ran with another content" in (problem(known=FILES | {newest: "0" * 64}) or "")
    assert problem(known=FILES | {"29990101000000": "0" * 64}) is None  # behind: the rest is applied after it
    assert "20260101000000 never ran" in (problem(known=FILES | {"20260101000000": "0" * 64}) or "")
    evidence = await room.make("broken", EVIDENCE)
    assert evidence.manifest is not None
    assert evidence.manifest.objects is None
    assert "never restored from" in (problem_of(evidence, now, max_age_s=0, known_good=None) or "")


async def test_old_backups_go_but_never_the_newest_proven_one(room: Room) -> None:
    first = await room.verify(await room.make("0"))
    for number in range(1, 4):
        room.clock.advance(60)
        await room.make(str(number))
    await room.make("broken", EVIDENCE)
    gone = room.shelf.prune(2)
    kept = [one.id for one in room.shelf.all() if one.manifest and one.manifest.purpose != EVIDENCE]
    assert len(gone) == 1
    assert len(kept) == 3
    assert first.id in kept
    assert len(room.shelf.remove_evidence()) == 1
    assert (await room.verify(room.shelf.find(kept[0]))).proof is not None  # its audio stayed


async def test_a_full_disk_leaves_no_half_backup(room: Room, tmp_path: Path) -> None:
    env_file = tmp_path / "understudy.env"
    env_file.write_text(
        f"DATABASE_URL={room.urls.app.get_secret_value()}\n"
        f"MIGRATION_DATABASE_URL={room.urls.owner.get_secret_value()}\n"
        f"OBJECT_URL_SECRET={'o' * 40}\n"
    )
    command = [sys.executable, "-m", "understudy.cli.app", "backup", "create", "--home", str(tmp_path)]
    # A file may have 8 KiB, the next write fails as on a full disk: so no byte code may be written either.
    environment = {
        "PATH": os.environ["PATH"],
        "UNDERSTUDY_ENV_FILE": str(env_file),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *command]
    done = await asyncio.to_thread(
        subprocess.run, limited, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "backup:" in done.stderr or "target:" in done.stderr
    left = [path.name for path in (tmp_path / "backups").iterdir()]
    assert left == []


async def test_the_password_is_in_no_argument(tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/argv\nprintf "%s" "$PGPASSWORD" > {tmp_path}/password\n'
    )
    program.chmod(0o700)
    url = SecretStr("postgresql://ann:s3cr3t%40here@127.0.0.1:5/db?sslmode=disable")
    await Programs(tmp_path, 18).run("pg_dump", ["--version"], url=url)
    argv = (tmp_path / "argv").read_text()
    assert "s3cr3t" not in argv
    assert "user=ann" in argv
    assert "sslmode=disable" in argv
    assert (tmp_path / "password").read_text() == "s3cr3t@here"


@pytest.mark.long
async def test_the_command_makes_lists_and_proves(room: Room, tmp_path: Path) -> None:
    env_file = tmp_path / "understudy.env"
    env_file.write_text(
        f"DATABASE_URL={room.urls.app.get_secret_value()}\n"
        f"MIGRATION_DATABASE_URL={room.urls.owner.get_secret_value()}\n"
        f"OBJECT_URL_SECRET={'o' * 40}\nOBJECTS_DIR={tmp_path / 'objects'}\n"
    )
    command = [sys.executable, "-m", "understudy.cli.app", "backup"]
    environment = {"PATH": os.environ["PATH"], "UNDERSTUDY_ENV_FILE": str(env_file)}

    def understudy(*arguments: str) -> subprocess.CompletedProcess[str]:
        given = [*command, *arguments, "--home", str(tmp_path), "--json"]
        return subprocess.run(given, env=environment, capture_output=True, text=True, check=False)

    made = json.loads((await asyncio.to_thread(understudy, "create")).stdout)["backups"][0]
    assert made["verified_at"] is not None
    listed = json.loads((await asyncio.to_thread(understudy, "list")).stdout)["backups"]
    assert [(one["id"], one["problem"]) for one in listed] == [(made["id"], None)]
    _cut(Shelf(tmp_path / "backups", room.clock).find(made["id"]), room.shelf)
    refused = await asyncio.to_thread(understudy, "verify", made["id"])
    assert refused.returncode == 1
    assert "is cut short" in refused.stderr
