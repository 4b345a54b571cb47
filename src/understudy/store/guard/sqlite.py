"""The guard's store in one SQLite file of this machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConfigurationError, StoreUnavailableError
from understudy.store.guard.backend import Row, Values
from understudy.store.guard.schema import SQLITE_SCRIPTS

_BUSY_TIMEOUT_MS = 5000


class SqliteBackend:
    """One open file, 0600 in a 0700 folder; durable with every commit.

    Raises
    ------
    ConfigurationError
        The file cannot be opened.
    """

    def __init__(self, path: Path, clock: Clock, *, must_exist: bool = False) -> None:
        self._path = path
        self._clock = clock
        if must_exist and not path.is_file():
            raise ConfigurationError(f"{path}: no guard has run here yet. Start one, or give --home.")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Only a new file: to close any other descriptor of it drops the locks that SQLite holds for this
            # process, and the next command to end would take the journal away from under it.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000)
            self._db.row_factory = _as_dict
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"{path} cannot be used as the guard's store: {error}") from error

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    def run(self, statement: str, values: Values | None = None) -> list[Row]:
        """Run one statement; see :class:`Backend`."""
        try:
            return self._db.execute(statement, dict(values or {})).fetchall()
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a defect of ours, not of the file
        except sqlite3.DatabaseError as error:
            raise StoreUnavailableError(f"The guard's store {self._path} failed: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the file for one transaction; see :class:`Backend`."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error, StoreUnavailableError):
                # A full disk may have ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise

    def now(self) -> datetime:
        """This machine's clock: every guard on the file is on this machine."""
        return self._clock.now()

    def version(self) -> int:
        """Version of the schema in the file; 0 for an empty one."""
        return int(self.run("PRAGMA user_version")[0]["user_version"])

    def upgrade(self, version: int) -> None:
        """Take the file to ``version``; see :class:`Backend`."""
        for statement in _statements(SQLITE_SCRIPTS[version - 1]):
            self.run(statement)
        self.run(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _statements(script: str) -> Iterator[str]:
    """Yield a script's statements one by one, so that they run inside one transaction."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
