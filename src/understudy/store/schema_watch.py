"""Whether a live schema is what the migrations give, cheaply enough to ask again and again.

:mod:`understudy.store.drift` tells a person everything; this tells a guard what is wrong and no more. What
the files give is found on a scratch database once for each set of applied files, and kept by the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from understudy.store import catalog, drift, migrations
from understudy.store.catalog import Catalog
from understudy.store.migrations import Migration, SchemaStatus


@dataclass(frozen=True, slots=True)
class SchemaLook:
    """A live schema, as found.

    Parameters
    ----------
    files
        Of the versions up to the newest applied one: what they give is expected. One that the history lacks
        is among them, for the later ones build on it.
    ran
        Every version in the live history.
    hashes
        SHA-256 by version, of those that this runner applied.
    applied
        Stands for those files and their contents.
    present
        Every schema of the database.
    """

    history: SchemaStatus
    ran: frozenset[str]
    hashes: Mapping[str, str]
    files: tuple[Migration, ...]
    live: Catalog
    present: frozenset[str]
    applied: str

    @property
    def history_problems(self) -> tuple[str, ...]:
        """How the history contradicts the files; a file that is only newer than the database does not."""
        head = self.history.head or ""
        return (
            *(f"migration {version} was edited after it was applied" for version in self.history.edited),
            *(f"migration {version} was applied, and its file is gone" for version in self.history.missing),
            *(
                f"migration {version} is not in the history"
                for version in self.history.pending
                if version < head
            ),
        )

    def departures(self, recorded: Mapping[str, str]) -> tuple[str, ...]:
        """How the live history departs from recorded files, SHA-256 by version; more may have run since."""
        missing = sorted(recorded.keys() - self.ran)
        other = [
            version
            for version in sorted(recorded)
            if self.hashes.get(version) not in {None, recorded[version]}
        ]
        return (
            *(f"migration {version} of the known-good record is not in the history" for version in missing),
            *(
                f"migration {version} ran with another content than the known-good record's"
                for version in other
            ),
        )

    def differences(self, expected: Catalog) -> tuple[str, ...]:
        """How the live catalog differs; what newer code added or changed is its own affair."""
        schemas = {schema for schema in self.live.schemas if schema in expected.schemas}
        schemas |= {schema for schema in expected.schemas if schema not in self.present}
        found = catalog.compare(expected.only(schemas), self.live.only(schemas))
        ahead = bool(self.history.newer or self.history.missing)
        return tuple(one.what for one in found if not ahead or one.change == "missing")


async def look_at_schema(url: SecretStr, directory: Path | None = None) -> SchemaLook:
    """Read history and catalog of the database at ``url``; changes nothing.

    Raises
    ------
    StoreUnavailableError
        It cannot be reached.
    """
    async with await migrations.connect_owner(url) as conn:
        try:
            history = await migrations.status(conn, directory)
        except psycopg.errors.InsufficientPrivilege:
            # The application's own role: it reads the history as the service does.
            await conn.execute("set role service_role")
            history = await migrations.status(conn, directory)
        ran, hashes = await migrations.read_history(conn)
        live = await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))
        rows = await (await conn.execute("select nspname from pg_catalog.pg_namespace")).fetchall()
    head = history.head or ""
    files = tuple(one for one in migrations.load_migrations(directory) if one.version <= head)
    present = frozenset(str(row["nspname"]) for row in rows)
    return SchemaLook(
        history, frozenset(ran), hashes, files, live, present, _digest_of(files, live.server_version)
    )


async def expected_of(url: SecretStr, look: SchemaLook) -> Catalog:
    """What the applied files give, on a scratch database beside the live one.

    Raises
    ------
    ScratchRefusedError
        The role may not create a database.
    MigrationError
        A file failed.
    """
    return await drift.expected_catalog(url, look.files)


def _digest_of(files: Sequence[Migration], server_version: int) -> str:
    told = "".join(f"{one.version}:{one.sha256};" for one in files)
    return hashlib.sha256(f"{server_version};{told}".encode()).hexdigest()
