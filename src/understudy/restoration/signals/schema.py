"""Whether the live schema is what the migrations give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pydantic import SecretStr

from understudy.store.catalog import Catalog
from understudy.store.drift import ScratchRefusedError
from understudy.store.invariants import SAMPLE, Broken
from understudy.store.schema_watch import SchemaLook, expected_of, look_at_schema

#: Said where only the fingerprint of what was first seen is known.
CHANGED = "the live catalog is not the one that was first seen with these migrations"


class Memory(Protocol):
    """Where short texts outlive the guard's process: its own store."""

    def meta(self, key: str) -> str | None:
        """What was remembered, or None."""
        ...

    def set_meta(self, key: str, value: str) -> None:
        """Remember a text."""
        ...


class SchemaWatch:
    """Compares a live schema with what its applied files give.

    That is found on a scratch database, once for each set of applied files; its fingerprint is remembered,
    so a restarted guard compares at once. Where the role may not create a database, the catalog of the
    known-good record stands in, or else the one that was first seen with these files.

    Parameters
    ----------
    url
        Gives the address to look by: the migrating role's, where it is known.
    recorded
        The catalog of the known-good record, or None.
    recorded_files
        The migrations of the known-good record, SHA-256 by version, or None.
    """

    def __init__(
        self,
        url: Callable[[], SecretStr],
        memory: Memory,
        *,
        recorded: Callable[[], Catalog | None] = lambda: None,
        recorded_files: Callable[[], Mapping[str, str] | None] = lambda: None,
    ) -> None:
        self._url = url
        self._memory = memory
        self._recorded = recorded
        self._recorded_files = recorded_files
        self._expected: tuple[str, Catalog] | None = None

    async def look(self) -> Broken:
        """Look once.

        Raises
        ------
        StoreUnavailableError, MigrationError
            The database cannot be reached; the files cannot be read, or fail on a scratch database.
        """
        url = self._url()
        look = await look_at_schema(url)
        problems = look.history_problems + look.departures(self._recorded_files() or {})
        known = self._memory.meta(_key(look))
        if known != look.live.fingerprint:
            expected = await self._catalog(url, look)
            if expected is not None:
                problems += look.differences(expected)
            elif known is not None:
                problems += (CHANGED,)
            if not problems:
                self._memory.set_meta(_key(look), look.live.fingerprint)
                self._expected = (look.applied, look.live)
        return Broken(len(problems), problems[:SAMPLE])

    async def _catalog(self, url: SecretStr, look: SchemaLook) -> Catalog | None:
        """What is expected; None where nobody can say."""
        if self._expected is not None and self._expected[0] == look.applied:
            return self._expected[1]
        try:
            expected = await expected_of(url, look)
        except ScratchRefusedError:
            recorded = self._recorded() if self._recorded_with(look) else None
            if recorded is None:
                return None
            expected = recorded
        self._expected = (look.applied, expected)
        return expected

    def _recorded_with(self, look: SchemaLook) -> bool:
        """Whether the recorded catalog is of the files applied now: more may have run since."""
        files = self._recorded_files()
        return files is None or files.keys() == {one.version for one in look.files}


def _key(look: SchemaLook) -> str:
    return f"schema:{look.applied[:32]}"
