"""``understudy environments``: what understudy.toml lists, checked, and what each entry means."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.installation import JsonOption
from understudy.cli.output import console, print_json, reports_errors
from understudy.environments import CONFIG_FILE, Environment, config_file, load_environments


@reports_errors
def environments(
    *,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 when a secret that is named holds nothing here.")
    ] = False,
) -> None:
    """List the environments of understudy.toml: target, address, home, owner, and secrets by name.

    The file is the one UNDERSTUDY_CONFIG names, else ./understudy.toml, else the home's. Without one there is
    local alone. Commands take [bold]--env NAME[/]; prod asks before a change.

    Example: [bold]understudy environments --check[/]
    """
    file = config_file()
    found = list(load_environments(file).values())
    lacking = {each.name.value: _lacking(each) for each in found}
    if as_json:
        print_json({"file": file, "environments": [_document(each) for each in found]})
    else:
        _show(found, lacking)
        console.print(Text(f"From {file}" if file else f"There is no {CONFIG_FILE}: local alone."))
    if check and any(lacking.values()):
        raise typer.Exit(code=1)


def _lacking(environment: Environment) -> list[str]:
    present = environment.present_secrets()
    return [name for name in environment.secrets if name not in present]


def _document(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "target": environment.target,
        "base_url": environment.base_url,
        "home": environment.home,
        "owner": environment.owner,
        "signal_source": environment.signal_source,
        "live_switch": environment.live_switch,
        "project_ref": environment.project_ref or None,
        "secrets": dict(environment.secrets),
        "lacking": _lacking(environment),
    }


def _show(found: list[Environment], lacking: dict[str, list[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("environment", "target", "address", "owner"):
        table.add_column(heading)
    table.add_column("home", overflow="fold")
    table.add_column("secrets", overflow="fold")
    for each in found:
        names = lacking[each.name]
        said = f"{len(each.secrets)} named" + (f", empty here: {', '.join(names)}" if names else "")
        table.add_row(
            *(
                Text(part)
                for part in (
                    each.name.value,
                    each.target.value,
                    each.base_url or "-",
                    each.owner or "-",
                    str(each.home),
                    said,
                )
            )
        )
    console.print(table)
