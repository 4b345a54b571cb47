"""``understudy openapi``: what the servers answer, as documents that programs and people read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from understudy.cli.output import reports_errors

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Print the OpenAPI documents of the api and of the guard; no server needs to run.",
    rich_markup_mode="rich",
)


@app.command("api", epilog="Example: understudy openapi api > frontend/openapi/studio.json")
@reports_errors
def api(
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/api.md instead.")] = False,
) -> None:
    """Print the api's document, sorted and indented: what the studio's types are made of."""
    from understudy.api.app import openapi_document  # noqa: PLC0415  # it loads every route
    from understudy.api.reference import api_markdown  # noqa: PLC0415

    document = openapi_document()
    typer.echo(api_markdown(document) if as_markdown else printed(document), nl=False)


@app.command("guard", epilog="Example: understudy openapi guard > frontend/openapi/operations.json")
@reports_errors
def guard() -> None:
    """Print the guard's document: what the operations console's types are made of."""
    from understudy.restoration.guard.contract import openapi_document  # noqa: PLC0415  # it loads the guard

    typer.echo(printed(openapi_document()), nl=False)


def printed(document: dict[str, object]) -> str:
    """Return a document as it is committed: sorted, so that a change of it reads as one."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
