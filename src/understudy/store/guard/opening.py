"""Which store a guard has: a file of its home, or the Postgres that GUARD_STORE_URL names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.store.guard.postgres import PostgresBackend
from understudy.store.guard.store import GuardStore

#: The file, below the home.
GUARD_FILE = Path("guard") / "guard.sqlite3"


class StoreSettings(Protocol):
    """What of the settings decides it."""

    @property
    def guard_store_url(self) -> SecretStr:
        """Postgres of the guard; empty for a file."""
        ...

    @property
    def database_url(self) -> SecretStr:
        """The product's database."""
        ...


def open_guard_store(
    home: Path, settings: StoreSettings, clock: Clock, *, must_exist: bool = False
) -> GuardStore:
    """Open the guard's store.

    Parameters
    ----------
    must_exist
        Refuse to make the file; a Postgres is there or is not reached.

    Raises
    ------
    ConfigurationError
        It cannot be opened, is the product's database, or a newer version wrote it.
    """
    if settings.guard_store_url.get_secret_value():
        return GuardStore(PostgresBackend(settings.guard_store_url, product_url=settings.database_url), clock)
    return GuardStore(home / GUARD_FILE, clock, must_exist=must_exist)
