"""Tries a release in a process of its own: whether it starts, and whether its code serves on a database."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import ProcessError
from understudy.logs import Redactor
from understudy.releases.release import Release

_TIMEOUT_S = 60.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
#: What the two processes that a deployment replaces are made of.
_IMPORTS = (
    "import understudy, understudy.cli.app, understudy.cli.serve, understudy.cli.worker\n"
    "import understudy.api.server, understudy.speech.worker\n"
    "print(understudy.__file__)\n"
)
#: Runs the release's own check, as its processes do at their start. The answer is the last line.
_SCHEMA = """
import asyncio, json, os
import psycopg
from psycopg.rows import dict_row
from understudy.errors import MigrationError
from understudy.store.migrations import check_serving

async def ask():
    async with await psycopg.AsyncConnection.connect(
        os.environ["DATABASE_URL"], autocommit=True, row_factory=dict_row, connect_timeout=5,
        application_name="understudy-release-trial",
    ) as conn:
        await conn.execute("set role service_role")
        try:
            found = await check_serving(conn)
        except MigrationError as error:
            return {"problem": error.message}
        return {"problem": None, "newer": list(getattr(found, "newer", ()))}

print(json.dumps(asyncio.run(ask())))
"""


@dataclass(frozen=True, slots=True)
class SchemaTrial:
    """What a release's own code says of a database.

    Parameters
    ----------
    problem
        Why it would not serve there; None when it would.
    newer
        Applied migrations that it does not know; it serves all the same.
    """

    problem: str | None
    newer: tuple[str, ...]


def try_imports(interpreter: Path, folder: Path) -> None:
    """Import what api and worker are made of, from ``folder`` and nowhere else.

    Raises
    ------
    ProcessError
        With the reason.
    """
    lines = _run(interpreter, _IMPORTS, {}, folder)
    if not lines or not Path(lines[-1]).is_relative_to(folder):
        raise ProcessError(f"The release in {folder} loads other code than its own: {lines[-1:] or 'none'}.")


def try_schema(release: Release, database_url: SecretStr) -> SchemaTrial:
    """Let the release's code check the database at ``database_url``; it only reads.

    Raises
    ------
    ProcessError
        It could not be asked: the database or the release does not answer.
    """
    lines = _run(
        release.interpreter, _SCHEMA, {"DATABASE_URL": database_url.get_secret_value()}, release.path
    )
    try:
        said = json.loads(lines[-1])
        return SchemaTrial(said["problem"], tuple(said.get("newer") or ()))
    except (IndexError, ValueError, KeyError, TypeError):
        raise ProcessError(
            f"Release {release.name} did not say whether it serves on this database."
        ) from None


def _run(interpreter: Path, code: str, added: Mapping[str, str], folder: Path) -> list[str]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(added)
    try:
        done = subprocess.run(
            (str(interpreter), "-P", "-c", code),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProcessError(f"The release in {folder} did not answer within {_TIMEOUT_S:g} s.") from None
    except OSError as error:
        raise ProcessError(f"The release in {folder} cannot be started: {error.strerror}.") from error
    if done.returncode != 0:
        said = Redactor([SecretStr(value) for value in added.values()])(done.stderr.strip())
        raise ProcessError(
            f"The release in {folder} does not start: {(said.splitlines() or ['no reason given'])[-1][:300]}"
        )
    return done.stdout.splitlines()
