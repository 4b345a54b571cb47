"""The table of docs/migration-gate.md: what each reader says of each case. Run it to write it again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from tests.integration.migration_gate.cases import CASES, Case
from understudy.logs import configure_logging
from understudy.migration_gate import locks
from understudy.migration_gate.parser import ParserProcess
from understudy.migration_gate.proof import Difference, differences
from understudy.migration_gate.reading import read
from understudy.migration_gate.throwaway import server_for_scratch
from understudy.store import catalog
from understudy.store.catalog import Catalog
from understudy.store.drift import drop_database
from understudy.store.migrations import connect_owner, migrate

PAGE = Path(__file__).parents[3] / "docs" / "migration-gate.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
COPY = "understudy_scratch_0_case"
HEAD = "| # | file | gate | rules | squawk | catalog |\n|---|---|---|---|---|---|"


def said_by_gate(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Verdict and rules of each case."""
    with ParserProcess() as parser:
        readings = [read(case.sql, parser) for case in cases]
    return [
        (reading.verdict, ", ".join(reason.rule for one in reading.statements for reason in one.reasons))
        for reading in readings
    ]


def said_by_squawk(cases: Sequence[Case]) -> list[str]:
    """Rules of squawk that each case breaks, without those that it is not asked about."""
    found = locks.examine({f"{number:03}.sql": case.sql for number, case in enumerate(cases)})
    return [", ".join(dict.fromkeys(one.rule for one in found[name])) for name in sorted(found)]


async def _catalog_of(url: SecretStr) -> Catalog:
    async with await connect_owner(url) as conn:
        return await catalog.snapshot(conn, await catalog.all_schemas(conn), as_it_is=True)


async def shown_by_catalog(case: Case, url: SecretStr, before: Catalog) -> list[Difference]:
    """Apply a case as one transaction on the migrated database at ``url``; return what its catalog lost."""
    async with await connect_owner(url) as conn, conn.transaction():
        await conn.execute(case.sql.encode())
    return differences(before, await _catalog_of(url))


def told(found: Sequence[Difference]) -> str:
    """One cell: what is lost, or what is new on something old."""
    if not found:
        return "nothing lost"
    first = next((one for one in found if one.lost), found[0])
    what = first.what.split(" was `")[0].split(": `")[0].split(": old code")[0]
    if " was `" in first.what:
        what += " changed"
    return f"**{what}**" if first.lost else what


async def all_shown() -> list[str]:
    """The catalog's cell of each case, on a server of its own."""
    async with server_for_scratch() as (url, why):
        if url is None:
            sys.exit(why)
        await migrate(url, scratch=True)
        before, cells = await _catalog_of(url), []
        template = psycopg.conninfo.conninfo_to_dict(url.get_secret_value())["dbname"]
        copy = SecretStr(make_conninfo(url.get_secret_value(), dbname=COPY))
        administration = SecretStr(make_conninfo(url.get_secret_value(), dbname="postgres"))
        for case in CASES:
            if not case.applies:
                cells.append("does not apply")
                continue
            async with await connect_owner(administration) as conn:
                await drop_database(conn, COPY)
                made, of = sql.Identifier(COPY), sql.Identifier(str(template))
                await conn.execute(sql.SQL("create database {} template {}").format(made, of))
            cells.append(told(await shown_by_catalog(case, copy, before)))
        return cells


def cell(text: str) -> str:
    """Text that a table may hold."""
    return " ".join(text.split()).replace("|", "\\|")


def table(catalog_cells: Sequence[str]) -> str:
    """The whole table."""
    lines = [
        f"| {number} | `{cell(case.sql)}` | {verdict} | {rules} | {cell(squawk) or '-'} | {cell(shown)} |"
        for number, (case, (verdict, rules), squawk, shown) in enumerate(
            zip(CASES, said_by_gate(CASES), said_by_squawk(CASES), catalog_cells, strict=True), start=1
        )
    ]
    return "\n".join([HEAD, *lines])


def page_with(page: str, table_text: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table_text}\n{END}{after}"


def catalog_cells_of(page: str) -> list[str]:
    """The catalog's column as the page has it."""
    lines = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return [line.rsplit(" | ", 1)[1].removesuffix(" |").replace("\\|", "|") for line in lines]


if __name__ == "__main__":
    configure_logging("table", level="error")
    PAGE.write_text(page_with(PAGE.read_text(), table(asyncio.run(all_shown()))))
