"""What the guard's store asks of a database; SQLite and Postgres each give it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

Row = Mapping[str, Any]
Values = Mapping[str, Any]


class Backend(Protocol):
    """One connection to one database.

    Statements are written once, in the SQL that both understand, with ``:name`` for a value. Times are text
    (ISO 8601, UTC), so that a journal has the same hashes in either.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages; never with a password."""
        ...

    def run(self, statement: str, values: Values | None = None) -> list[Row]:
        """Run one statement and return its rows.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached, is busy for too long or cannot write.
        """
        ...

    def writing(self) -> AbstractContextManager[None]:
        """One transaction that no other writer's overlaps: what is read inside it stays true until its end.

        Raises
        ------
        StoreUnavailableError
            As :meth:`run`; raised by the commit, whether it was written is unknown.
        """
        ...

    def now(self) -> datetime:
        """Time by the clock that every guard on this store shares."""
        ...

    def version(self) -> int:
        """Version of the schema that is there; 0 for none."""
        ...

    def upgrade(self, version: int) -> None:
        """Take the schema from ``version - 1`` to ``version``, inside :meth:`writing`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
