"""``understudy smoke``: the smoke suite against any deployment, from outside."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.output import console, print_json, reports_errors
from understudy.errors import ConfigurationError
from understudy.restoration.verification.access import access_from
from understudy.restoration.verification.checklist import derive_checklist
from understudy.restoration.verification.evidence import Outcome, SmokeResult
from understudy.restoration.verification.junit import to_junit
from understudy.restoration.verification.smoke import run_smoke

TICKS = {
    Outcome.PASSED: ("✓", "bold green"),
    Outcome.FAILED: ("✗", "bold red"),
    Outcome.BLOCKED: ("–", "yellow"),
}


class ExpectedProvider(StrEnum):
    """Who may be expected to serve."""

    MODAL = "modal"
    QWEN = "qwen"


@reports_errors
def smoke(
    *,
    base_url: Annotated[
        str,
        typer.Option("--base-url", envvar="UNDERSTUDY_BASE_URL", help="Where the deployment's /api lives."),
    ],
    expect_provider: Annotated[
        ExpectedProvider | None,
        typer.Option("--expect-provider", help="Who must serve; without it, whoever does."),
    ] = None,
    language: Annotated[str, typer.Option("--language", help="Language the canaries speak.")] = "English",
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the result as JUnit XML as well.")
    ] = None,
    auth_url: Annotated[
        str | None, typer.Option("--auth-url", help="Token endpoints, when not /auth/v1 on the same host.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a deployment from outside, as two tenants, and take away what they made.

    Eight checks: health, languages, generate, task polling, clone, design
    preview, tenant isolation, error shape. Exit code 0 when all pass, else 1.

    Example:
    [bold]understudy smoke --base-url http://127.0.0.1:8000 --expect-provider modal[/]

    The two tenants are accounts kept in $UNDERSTUDY_HOME/run/canaries.json,
    made on the first run. Where accounts cannot be made, set
    UNDERSTUDY_CANARY_TOKEN_A and UNDERSTUDY_CANARY_TOKEN_B; a Supabase project
    wants UNDERSTUDY_PUBLISHABLE_KEY as well.
    """
    if junit is not None and not junit.absolute().parent.is_dir():
        raise ConfigurationError(f"{junit}: there is no such folder. Create it, or give another file.")
    home = Path(os.environ.get("UNDERSTUDY_HOME", ".understudy"))
    access = access_from(os.environ, home / "run" / "canaries.json", base_url)
    result = asyncio.run(
        run_smoke(
            base_url,
            identities=access.identities,
            expect_provider=expect_provider.value if expect_provider else None,
            language=language,
            auth_url=auth_url or access.auth_url,
            publishable_key=access.publishable_key,
        )
    )
    if junit is not None:
        _write(junit, to_junit(result))
    if as_json:
        print_json({**result.to_json(), "checklist": derive_checklist(result).to_json()})
    else:
        _print(result)
    if not result.ok:
        raise typer.Exit(code=1)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written ({error.strerror}).") from error


def _print(result: SmokeResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (("", "left"), ("check", "left"), ("what was seen", "left"), ("ms", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]  # two of rich's words
    for check in result.checks:
        mark, style = TICKS[check.outcome]
        # Text, not markup: a detail may quote the deployment.
        table.add_row(Text(mark, style=style), Text(check.name), Text(check.detail), str(check.duration_ms))
    console.print(table)
    passed = sum(check.ok for check in result.checks)
    colour = "green" if result.ok else "red"
    console.print(
        f"[bold {colour}]{passed} of {len(result.checks)} checks passed[/] "
        f"in {result.duration_ms / 1000:.1f} s; provider: {result.provider or 'unknown'}",
        highlight=False,
    )
    for item in result.left_behind:
        console.print(Text(f"Left behind: {item}", style="yellow"))
