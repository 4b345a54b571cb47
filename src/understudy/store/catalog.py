"""What a database's schemas hold, object by object, as text that two databases can be compared by.

Every table, column, constraint, index, policy, grant, row security flag, function, trigger, type and sequence
is one entry: its kind and name, and Postgres's own description of it. The sorted entries' SHA-256 is the
fingerprint. Deparsed with an empty search path, so that names are always qualified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from understudy.store.catalog_queries import ALL_SCHEMAS, OWNER, QUERIES, SCHEMAS_OF_OURS

Connection = AsyncConnection[DictRow]

#: Id of no role. Not 0: that is PUBLIC, among grantees.
_NOBODY = 4_294_967_295
#: Kept by the Supabase CLI too, which adds columns and tables of its own: what is more there is no drift.
SHARED_SCHEMAS = frozenset({"supabase_migrations"})


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One object of the catalog.

    Parameters
    ----------
    parent
        Name of the object it goes with when that is lost (a column's table), or empty.
    definition
        Postgres's description of it.
    remedy
        Statement that makes it, where one statement of ours is enough.
    removal
        Statement that removes it.
    """

    kind: str
    name: str
    parent: str
    definition: str
    remedy: str
    removal: str

    @property
    def label(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The entries of some schemas at one moment.

    Parameters
    ----------
    server_version
        Major version of the server; descriptions of one object may differ between two.
    """

    server_version: int
    entries: tuple[Entry, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over kind, name and description of every entry."""
        content = [[entry.kind, entry.name, entry.definition] for entry in sorted(self.entries)]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    @property
    def schemas(self) -> tuple[str, ...]:
        """Names of the schemas it holds."""
        return tuple(entry.name for entry in self.entries if entry.kind == "schema")

    def only(self, schemas: Iterable[str]) -> Catalog:
        """Return the part of it that lies in ``schemas``."""
        kept = set(schemas)
        return Catalog(self.server_version, tuple(e for e in self.entries if _schema_of(e) in kept))

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        fields = [[e.kind, e.name, e.parent, e.definition, e.remedy, e.removal] for e in sorted(self.entries)]
        return {
            "server_version": self.server_version,
            "fingerprint": self.fingerprint,
            "entries": fields,
        }

    @classmethod
    def from_json(cls, document: Any) -> Catalog:
        """Read a recorded catalog.

        Raises
        ------
        ValueError
            It is none, or it was changed after it was recorded.
        """
        try:
            entries = tuple(Entry(*map(str, fields)) for fields in document["entries"])
            found = cls(int(document["server_version"]), entries)
            recorded = document["fingerprint"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a recorded catalog ({error})") from None
        if found.fingerprint != recorded:
            raise ValueError("its fingerprint does not fit its entries: it was changed after it was recorded")
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the live catalog is not what it should be.

    Parameters
    ----------
    change
        ``missing``, ``changed`` or ``extra``, seen from the live database.
    """

    change: str
    entry: Entry
    live: str = ""

    @property
    def what(self) -> str:
        """What differs, in one line."""
        if self.change == "missing":
            return f"{self.entry.label} is missing"
        if self.change == "extra":
            return f"{self.entry.label} is not from the migrations"
        return f"{self.entry.label} is `{_short(self.live)}` and should be `{_short(self.entry.definition)}`"


def compare(expected: Catalog, live: Catalog) -> list[Difference]:
    """Return how ``live`` differs, in order of names.

    An object that is wholly missing or wholly extra is one difference: its columns, grants and policies are
    not listed again.
    """
    wanted = {entry.label: entry for entry in expected.entries}
    found = {entry.label: entry for entry in live.entries}
    lost = {wanted[label].name for label in wanted.keys() - found.keys()}
    added = {found[label].name for label in found.keys() - wanted.keys()}
    differences = []
    for label in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(label), found.get(label)
        if want is None and have is not None:
            if have.parent not in added and _schema_of(have) not in SHARED_SCHEMAS:
                differences.append(Difference("extra", have))
        elif want is not None and have is None:
            if want.parent not in lost:
                differences.append(Difference("missing", want))
        elif want is not None and have is not None and want.definition != have.definition:
            differences.append(Difference("changed", want, have.definition))
    return differences


async def schemas_of_ours(conn: Connection) -> list[str]:
    """Schemas whose content the migrations answer for.

    ``public`` and those that belong to the migrations' role. A platform's own (Supabase's ``auth``) is its
    business.
    """
    rows = await (await conn.execute(SCHEMAS_OF_OURS)).fetchall()
    return [row["schema"] for row in rows]


async def all_schemas(conn: Connection) -> list[str]:
    """Every schema but Postgres's own: on a scratch database all of them are the migrations'."""
    rows = await (await conn.execute(ALL_SCHEMAS)).fetchall()
    return [row["schema"] for row in rows]


async def snapshot(conn: Connection, schemas: Sequence[str], *, as_it_is: bool = False) -> Catalog:
    """Read the catalog of ``schemas`` in one read-only transaction.

    Parameters
    ----------
    as_it_is
        Name the migrations' role as every other and list its rights too: for one database, before and after.
    """
    entries: list[Entry] = []
    async with conn.transaction():
        await conn.execute("set transaction isolation level repeatable read, read only")
        await conn.execute("select set_config('search_path', '', true)")
        owner_row = await (await conn.execute(OWNER)).fetchone()
        owner = owner_row["owner"] if owner_row and not as_it_is else _NOBODY
        for query in QUERIES:
            cursor = await conn.execute(query, {"schemas": list(schemas), "owner": owner})
            entries += [Entry(**row) for row in await cursor.fetchall()]
    return Catalog(conn.info.server_version // 10000, tuple(sorted(entries)))


def _schema_of(entry: Entry) -> str:
    """Schema an entry lies in: the first part of its own name, or of what it is about."""
    return (entry.parent or entry.name).split(".", 1)[0]


def _short(definition: str, limit: int = 160) -> str:
    """One line of a description; a long one is told by its hash, for its start may be the same."""
    line = " ".join(definition.split())
    if len(line) <= limit:
        return line
    return f"{line[:60]}... (sha256 {hashlib.sha256(definition.encode()).hexdigest()[:12]})"
