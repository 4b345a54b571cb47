"""What a database holds, table by table, as numbers that two databases can be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

Connection = AsyncConnection[DictRow]

#: Partitions are counted, what they are parts of is not; extensions' own tables are the platform's.
_TABLES = """
select n.nspname as schema, c.relname as name
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_catalog.pg_depend d
                  where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""
# The sum of the rows' hashes does not depend on their order, so no table is sorted for it.
_TALLY = (
    "select count(*) as rows,"
    " coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text as digest from {} t"
)
#: A row's text must not depend on the session that reads it.
_SPELLING = (
    "set local timezone = 'UTC'",
    "set local datestyle = 'ISO, YMD'",
    "set local intervalstyle = 'postgres'",
    "set local extra_float_digits = 1",
    "set local bytea_output = 'hex'",
    "set local search_path = ''",
    # A role that row level security binds would count its own rows and call them all.
    "set local row_security = off",
)


@dataclass(frozen=True, slots=True)
class Tally:
    """One table: its rows, and a digest over all of them."""

    rows: int
    digest: str


async def tally(conn: Connection) -> dict[str, Tally]:
    """Count and digest every table, in the transaction that is open."""
    for statement in _SPELLING:
        await conn.execute(statement.encode())
    tables = await (await conn.execute(_TABLES.encode())).fetchall()
    found: dict[str, Tally] = {}
    for table in tables:
        place = Identifier(table["schema"], table["name"])
        row = await (await conn.execute(SQL(_TALLY).format(place))).fetchone()
        assert row is not None  # noqa: S101  (an aggregate gives one row)
        found[f"{table['schema']}.{table['name']}"] = Tally(row["rows"], row["digest"])
    return found


def differences(expected: Mapping[str, Tally], found: Mapping[str, Tally]) -> list[str]:
    """Say how the second differs from the first, a sentence a table."""
    said = []
    for name in sorted(expected.keys() | found.keys()):
        want, have = expected.get(name), found.get(name)
        if have is None:
            said.append(f"{name} is missing")
        elif want is None:
            said.append(f"{name} is not in the backup")
        elif want.rows != have.rows:
            said.append(f"{name} has {have.rows} rows instead of {want.rows}")
        elif want.digest != have.digest:
            said.append(f"{name} has other rows than the backup recorded")
    return said
