"""The guard's way to the product's database: the one that processes start from, opened when needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from understudy.envfile import read_env_file
from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.settings import ENV_FILE_VARIABLE, Settings
from understudy.store.database import Database

#: A reader of the database that was replaced gets so long to end.
LET_END_S = 10.0

log = get_logger(__name__)


class DurableUrl:
    """An address in the environment file, read again when it changed: a restore swaps the database there.

    A variable of this process's own environment wins, as it does for every process.

    Parameters
    ----------
    names
        Variables to try, the first that is set counts.
    at_start
        For an installation without a file, or while it cannot be read.
    """

    def __init__(self, home: Path, names: tuple[str, ...], at_start: SecretStr) -> None:
        self._path = Path(os.environ.get(ENV_FILE_VARIABLE) or home / "understudy.env")
        self._names = names
        self._known = next((SecretStr(os.environ[name]) for name in names if os.environ.get(name)), at_start)
        self._fixed = any(os.environ.get(name) for name in names)
        self._seen: tuple[int, int] | None = None

    def __call__(self) -> SecretStr:
        """Return it as the file has it now."""
        if self._fixed:
            return self._known
        try:
            found = self._path.stat()
        except OSError:
            return self._known
        # An atomic replacement is another inode, whatever the clock's grain.
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            try:
                values = read_env_file(self._path)
            except ConfigurationError:
                return self._known
            self._seen = seen
            self._known = next(
                (SecretStr(values[name]) for name in self._names if values.get(name)), self._known
            )
        return self._known


def product_url(home: Path, settings: Settings) -> DurableUrl:
    """The service's own address."""
    return DurableUrl(home, ("DATABASE_URL",), settings.database_url)


def migrating_url(home: Path, settings: Settings) -> DurableUrl:
    """The schema owner's address, where it is known."""
    known = settings.migration_database_url
    return DurableUrl(
        home,
        ("MIGRATION_DATABASE_URL", "DATABASE_URL"),
        known if known.get_secret_value() else settings.database_url,
    )


class Connector:
    """Connects to the product database when it is first needed, again after it was away, and after a swap.

    Parameters
    ----------
    url
        Its address, or what gives the one that is in force.
    """

    def __init__(self, url: SecretStr | Callable[[], SecretStr]) -> None:
        self._url_of = url if callable(url) else lambda: url
        self._url: SecretStr | None = None
        self._database: Database | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> Database:
        """Return the database; raises :class:`StoreUnavailableError` while it cannot be reached."""
        async with self._one_at_a_time:
            url = self._url_of()
            if self._database is None or url != self._url:
                fresh = await Database.connect(url, application_name="understudy-guard")
                if self._database is not None:
                    log.warning("guard_follows_the_swap")
                    self._let_end(self._database)
                self._database, self._url = fresh, url
            return self._database

    async def close(self) -> None:
        """Close the pools."""
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self._database is not None:
            await self._database.close()

    def _let_end(self, database: Database) -> None:
        async def end() -> None:
            try:
                await asyncio.sleep(LET_END_S)
            finally:
                await database.close()

        task = asyncio.create_task(end(), name="old-database-ends")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
