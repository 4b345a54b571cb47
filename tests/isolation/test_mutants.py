"""The gate is a gate: each of these holes turns it red, and what is no hole does not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.processes import environment
from tests.integration.conftest import DatabaseUrls
from tests.isolation.gate import Gate
from understudy.api.server import open_listener
from understudy.settings import Settings
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent.parent / "programs" / "mutated_api.py"

HOLES = {
    "a policy dropped": "drop policy select_own on public.voices",
    "the tasks' policy dropped": "drop policy select_own on public.tasks",
    "a policy widened": "alter policy select_own on public.generations using (true)",
    "a second, permissive policy": "create policy more on public.tasks for select to authenticated"
    " using (true)",
    "row level security off": "alter table public.profiles disable row level security",
    "a definer view": "create view public.all_voices as select * from public.voices;"
    " grant select on public.all_voices to authenticated",
    "a definer view for everybody": "create view public.all_texts as select text from public.generations;"
    " grant select on public.all_texts to anon",
    "a materialized view": "create materialized view public.copies as select * from public.tasks;"
    " grant select on public.copies to authenticated",
    "inserting for others": "alter policy insert_own on public.voices with check (true)",
    "deleting of others": "alter policy delete_own on public.voices using (true);"
    " alter policy select_own on public.voices using (true)",
    "keys readable": "grant usage on schema understudy to authenticated;"
    " grant select on understudy.api_keys to authenticated;"
    " create policy look on understudy.api_keys to authenticated using (true)",
}

STATEMENTS = {
    "deleting voices": "UPDATE public.voices SET deleted_at",
    "cancelling tasks": "UPDATE public.tasks SET cancellation_requested = true",
    "finding tasks": "AND metadata -> 'delete_requested' IS NULL",
    "finding generations": "FROM public.generations g WHERE g.id = %s",
}


async def execute(url: str, statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(statements.encode())


@pytest.mark.parametrize("name", HOLES)
async def test_a_hole_in_the_database_is_found(name: str, api: Api, database_urls: DatabaseUrls) -> None:
    await execute(database_urls.owner.get_secret_value(), HOLES[name])
    # A view of before has no rows to show: refresh what is a copy.
    gate = Gate(api.base, api.ctx.settings, first_only=True, prepare=lambda: refreshed(database_urls))
    assert await gate.run() != []


async def refreshed(urls: DatabaseUrls) -> None:
    """Bring materialized views up to date."""
    async with await psycopg.AsyncConnection.connect(urls.owner.get_secret_value(), autocommit=True) as conn:
        cursor = await conn.execute("select matviewname from pg_matviews where schemaname = 'public'")
        for (view,) in await cursor.fetchall():
            await conn.execute(f"refresh materialized view public.{view}".encode())


async def test_a_role_that_passes_row_level_security_is_found(
    api: Api, postgres_server: EmbeddedPostgres
) -> None:
    superuser = postgres_server.superuser_url.get_secret_value()
    await execute(superuser, "alter role authenticated bypassrls")
    try:
        assert await Gate(api.base, api.ctx.settings, first_only=True).run() != []
    finally:
        await execute(superuser, "alter role authenticated nobypassrls")


async def test_a_view_that_asks_as_its_reader_is_no_hole(api: Api, database_urls: DatabaseUrls) -> None:
    await execute(
        database_urls.owner.get_secret_value(),
        "create view public.my_voices with (security_invoker = true) as select * from public.voices;"
        " grant select on public.my_voices to authenticated",
    )
    assert await Gate(api.base, api.ctx.settings).run() == []


@asynccontextmanager
async def mutated_api(settings: Settings, statement: str, log: Path) -> AsyncIterator[str]:
    """A served api whose one statement forgot its tenant, in a process of its own."""
    listener = open_listener(None, "127.0.0.1", 0)
    host, port = listener.getsockname()[:2]
    ready = log.with_suffix(".ready")
    arguments = ["serve", "--fd", str(listener.fileno()), "--ready-file", str(ready)]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            *arguments,
            env={**environment(settings), "MUTATED_STATEMENT": statement},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(listener.fileno(),),
        )
    listener.close()
    try:
        yield f"http://{host}:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_that_forgot_its_tenant_is_found(
    name: str, settings: Settings, tmp_path: Path, eventually: Callable[..., Awaitable[None]]
) -> None:
    log = tmp_path / "api.log"
    async with mutated_api(settings, STATEMENTS[name], log) as base:
        await eventually(log.with_suffix(".ready").exists, what="the mutated api serves", within_s=30)
        found = await Gate(base, settings, first_only=True).run()
    assert found != []
    assert "MUTANT RAN" in log.read_text(), found
