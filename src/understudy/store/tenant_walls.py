"""Tenant isolation asked of the database itself: made-up tenants try each other's rows, and nothing stays.

It needs no API and no process, so it runs on a restored database before anything serves from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from understudy.store.database import Database

Connection = AsyncConnection[DictRow]

#: Tables of tenants' rows, and the column that says whose a row is.
TENANT_TABLES: Mapping[str, str] = {
    "profiles": "id",
    "voices": "user_id",
    "generations": "user_id",
    "tasks": "user_id",
}

_UNWALLED = """
select format('%I.%I', n.nspname, c.relname) as name
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname in ('public', 'understudy') and not c.relrowsecurity
  and c.relname <> 'migration_files'
order by 1
"""
_DEFINER_VIEWS = """
select format('%I.%I', n.nspname, c.relname) as name
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'v' and n.nspname = 'public'
  and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on'], false)
order by 1
"""
_TOO_STRONG = """
select rolname as name from pg_catalog.pg_roles
where rolname in ('anon', 'authenticated') and (rolsuper or rolbypassrls)
"""
#: Beyond the tenants' own tables nothing is theirs to read.
_READABLE = """
select format('%I.%I by %s', n.nspname, c.relname, r.rolname) as name
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join pg_catalog.pg_roles r
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname in ('public', 'understudy', 'queue')
  and r.rolname in ('anon', 'authenticated') and has_schema_privilege(r.oid, n.oid, 'USAGE')
  and (has_table_privilege(r.oid, c.oid, 'SELECT') or has_table_privilege(r.oid, c.oid, 'TRUNCATE'))
  and not (r.rolname = 'authenticated' and n.nspname = 'public'
           and c.relname in ('profiles', 'voices', 'generations', 'tasks'))
order by 1
"""
_OPEN_POLICIES = """
select format('%I on %I', policyname, tablename) as name from pg_catalog.pg_policies
where schemaname = 'public' and roles && array['public', 'anon', 'authenticated']::name[]
  and (qual = 'true' or with_check = 'true')
order by 1
"""


async def check_walls(database: Database) -> tuple[str, ...]:
    """Return one sentence for each way past the walls; empty where there is none.

    Everything happens in one transaction that is rolled back.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached.
    """
    problems: list[str] = []
    async with database.service() as conn, conn.transaction(force_rollback=True):
        for query, sentence in (
            (_UNWALLED, "row level security is off on {}"),
            (_DEFINER_VIEWS, "the view {} runs as its owner"),
            (_TOO_STRONG, "the role {} passes row level security"),
            (_READABLE, "{} may be read or emptied"),
            (_OPEN_POLICIES, "the policy {} lets everybody in"),
        ):
            rows = await (await conn.execute(query.encode())).fetchall()
            problems += [sentence.format(row["name"]) for row in rows]
        first, second = uuid4(), uuid4()
        await _settle_in(conn, first)
        await _settle_in(conn, second)
        problems += await _seen(conn, "authenticated", second, whose=first, expected=0)
        problems += await _seen(conn, "authenticated", first, whose=first, expected=1)
        problems += await _seen(conn, "anon", None, whose=first, expected=0)
        problems += await _changed(conn, second, whose=first)
    return tuple(problems)


async def _settle_in(conn: Connection, user: UUID) -> None:
    """Give a tenant one row of each kind, as the service does."""
    voice, generation = uuid4(), uuid4()
    await conn.execute("insert into auth.users (id) values (%s)", (user,))
    await conn.execute("insert into public.profiles (id) values (%s) on conflict do nothing", (user,))
    await conn.execute("insert into public.voices (id, user_id, name) values (%s, %s, 'wall')", (voice, user))
    await conn.execute(
        "insert into public.generations (id, user_id, voice_id, text) values (%s, %s, %s, 'wall')",
        (generation, user, voice),
    )
    await conn.execute(
        "insert into public.tasks (user_id, type, generation_id) values (%s, 'generate', %s)",
        (user, generation),
    )


async def _become(conn: Connection, role: str, user: UUID | None) -> None:
    claims: dict[str, Any] = {"role": role} | ({"sub": str(user)} if user else {})
    await conn.execute(
        "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
        (role, json.dumps(claims)),
    )


async def _seen(conn: Connection, role: str, user: UUID | None, *, whose: UUID, expected: int) -> list[str]:
    said = []
    for table, column in TENANT_TABLES.items():
        query = SQL("select count(*) as rows from public.{} where {} = %s").format(
            Identifier(table), Identifier(column)
        )
        try:
            async with conn.transaction(force_rollback=True):
                await _become(conn, role, user)
                row = await (await conn.execute(query, (whose,))).fetchone()
            found = int(row["rows"]) if row else 0
        except psycopg.errors.InsufficientPrivilege:
            found = 0
        if found != expected:
            who = f"{role} {'itself' if user == whose else 'another tenant'}" if user else role
            said.append(f"{who} sees {found} rows of a tenant in public.{table} instead of {expected}")
    return said


async def _changed(conn: Connection, user: UUID, *, whose: UUID) -> list[str]:
    """Another tenant's writes must change nothing; being refused is as good."""
    attempts = {
        "deletes": "delete from public.{} where {} = %(whose)s",
        "changes": "update public.{0} set {1} = %(user)s where {1} = %(whose)s",
    }
    said = []
    for table, column in TENANT_TABLES.items():
        for verb, text in attempts.items():
            query = SQL(text).format(Identifier(table), Identifier(column))
            try:
                async with conn.transaction(force_rollback=True):
                    await _become(conn, "authenticated", user)
                    changed = (await conn.execute(query, {"user": user, "whose": whose})).rowcount
            except psycopg.Error as error:
                if conn.broken:
                    raise
                changed = 0 if isinstance(error, psycopg.errors.InsufficientPrivilege) else -1
            if changed:
                said.append(f"another tenant {verb} a tenant's rows in public.{table}")
    return said
