"""From every earlier revision to the newest: rows stay, old code goes on, tenants stay apart.

``recorded/<version>_*.sql`` holds the statements that code of that revision ran, each under its role. When
code changes what it writes, add a file with the version of the newest migration it needs; never edit one.
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests.integration.conftest import DatabaseUrls
from understudy.store.drift import inspect
from understudy.store.migrations import load_migrations, migrate
from understudy.store.statements import split_statements

pytestmark = pytest.mark.integration

MIGRATIONS = load_migrations()
PREFIXES = [MIGRATIONS[:length] for length in range(1, len(MIGRATIONS))]
_epochs = itertools.count(1)
Row = dict[str, object]


RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.sql"))
_ROLE = re.compile(r"^-- role: (\w+)$", re.MULTILINE)


def revisions_of(version: str) -> list[list[tuple[str, str]]]:
    """The recorded code that could run on a schema of ``version``, as roles and statements."""
    return [
        [(_ROLE.findall(part.text)[-1], part.text) for part in split_statements(path.read_text())]
        for path in RECORDED
        if path.name[:14] <= version
    ]


class Tenant:
    """One tenant's account, and the old code that runs for it."""

    def __init__(self, urls: DatabaseUrls) -> None:
        self.user = uuid.uuid4()
        self._url = urls.app.get_secret_value()

    def run(self, revisions: list[list[tuple[str, str]]]) -> None:
        """Run each statement as the old code did: in a transaction of its role, with fresh ids."""
        with psycopg.connect(self._url, autocommit=True, cursor_factory=psycopg.ClientCursor) as conn:
            for revision in revisions:
                names = ("voice", "generation", "task")
                values: Row = {name: str(uuid.uuid4()) for name in names} | {"user": str(self.user)}
                values |= {"email": f"{self.user}@example.org", "epoch": next(_epochs)}
                for role, statement in revision:
                    claims = json.dumps({"sub": str(self.user), "role": role})
                    with conn.transaction():
                        conn.execute(
                            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                            (role, claims),
                        )
                        cursor = conn.execute(statement, values)
                        assert cursor.rowcount == 1 or "do nothing" in statement, statement

    def sees(self, table: str, column: str) -> set[object]:
        """Owners of the rows that an unfiltered read as this tenant gives."""
        claims = json.dumps({"sub": str(self.user), "role": "authenticated"})
        query = sql.SQL("select {} from public.{}").format(sql.Identifier(column), sql.Identifier(table))
        with psycopg.connect(self._url) as conn:
            conn.execute("set local role authenticated")
            conn.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
            return {row[0] for row in conn.execute(query)}


def contents(urls: DatabaseUrls) -> dict[str, list[Row]]:
    """Every row of every table that the code writes."""
    found: dict[str, list[Row]] = {}
    with psycopg.connect(urls.owner.get_secret_value(), row_factory=dict_row) as conn:
        tables = conn.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname in ('auth', 'public', 'understudy', 'queue') "
            "and tablename <> 'migration_files' order by 1, 2"
        ).fetchall()
        for table in tables:
            name = sql.Identifier(table["schemaname"], table["tablename"])
            query = sql.SQL("select * from {} t order by t::text").format(name)
            found[f"{table['schemaname']}.{table['tablename']}"] = conn.execute(query).fetchall()
    return found


def kept(before: list[Row], after: list[Row]) -> bool:
    """Whether each old row is there with its old values; columns may have been added."""
    if not before:
        return True
    narrowed = [{name: row.get(name) for name in before[0]} for row in after]
    return len(before) == len(after) and all(row in narrowed for row in before)


@pytest.mark.parametrize("prefix", PREFIXES, ids=[prefix[-1].file_name for prefix in PREFIXES])
async def test_upgrade_from(prefix: list, empty_database_urls: DatabaseUrls, tmp_path: Path) -> None:
    urls, version = empty_database_urls, prefix[-1].version
    for migration in prefix:
        (tmp_path / migration.file_name).write_text(migration.text)
    await migrate(urls.owner, tmp_path)
    one, other = Tenant(urls), Tenant(urls)
    for tenant in (one, other):
        tenant.run(revisions_of(version))
    before = contents(urls)
    assert len(before["auth.users"]) == 2
    if version >= "20260105090100":
        assert len(before["public.voices"]) >= 2
        assert len(before["public.tasks"]) >= 2

    applied = await migrate(urls.owner)

    assert [m.version for m in applied] == [m.version for m in MIGRATIONS[len(prefix) :]]
    after = contents(urls)
    for table, rows in before.items():
        assert kept(rows, after[table]), f"{table} lost or changed rows"
    drift = await inspect(urls.owner)
    assert not drift.exists, "\n".join(finding.what for finding in drift.findings)
    if version == "20260105090100":
        assert {row["tts_provider"] for row in after["public.voices"]} == {"modal"}
        assert {row["tts_provider"] for row in after["public.generations"]} == {"modal"}
        assert {row["provider"] for row in after["public.tasks"]} == {"modal"}
    # Old code on the new schema, as after a code rollback.
    for tenant in (one, other):
        tenant.run(revisions_of(version))
    if version >= "20260105090100":
        for table, column in (
            ("profiles", "id"),
            ("voices", "user_id"),
            ("generations", "user_id"),
            ("tasks", "user_id"),
        ):
            for tenant in (one, other):
                assert one.sees(table, column) == {one.user}
                assert tenant.sees(table, column) == {tenant.user}


def test_every_revision_is_recorded_for_a_migration_that_exists() -> None:
    versions = {migration.version for migration in MIGRATIONS}
    assert all(path.name[:14] in versions for path in RECORDED)
    assert len(RECORDED) >= 5
    assert len(PREFIXES) >= 4
