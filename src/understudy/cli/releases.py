"""``understudy releases``: revisions as folders that start without installing anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, errors, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, TargetError
from understudy.processes.home import Home, read_json
from understudy.processes.serving import OWN_CODE
from understudy.releases.building import build_release
from understudy.releases.checkout import Checkout
from understudy.releases.identity import running_checkout
from understudy.releases.pages import read_pages
from understudy.releases.release import Release, damages, find_release, list_releases, releases_dir
from understudy.restoration.targets.base import Deployment, DeploymentState

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_LOOK_EVERY_S = 0.5


@app.callback()
def group() -> None:
    """Build, list and deploy releases of this service on this machine."""


@app.command("list", epilog="Example: understudy releases list")
@reports_errors
def list_command(
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare every file with its recorded sum.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the releases of this home, the newest first, and which is served. Exit code 1: one is damaged."""
    place = Home.at(home)
    served = read_json(place.release_file)
    name = served.get("name") if isinstance(served, dict) else OWN_CODE
    found = [(release, damages(release) if check else []) for release in list_releases(place.root)]
    if as_json:
        rows = [
            {**release.document(), "built_at": release.built_at, "served": release.name == name}
            | ({"damages": wrong} if check else {})
            for release, wrong in found
        ]
        print_json({"served": name, "releases": rows})
    else:
        if name == OWN_CODE:
            console.print("Served: the code that `understudy up` itself was started from.")
        for release, wrong in found:
            told = (
                f"{release.name}  {release.tag or '-'}  built {release.built_at[:16].replace('T', ' ')} UTC"
            )
            state = "  served" if release.name == name else ""
            console.print(Text(f"{told}{state}"), soft_wrap=True)
            for line in wrong[:5]:
                console.print(Text(f"  {line}", style="bold red"), soft_wrap=True)
    if any(wrong for _, wrong in found):
        raise typer.Exit(code=1)


@app.command("build", epilog="Example: understudy releases build v1.4")
@reports_errors
def build(
    ref: Annotated[
        str, typer.Argument(help="Tag, branch or commit; by default what is checked out.")
    ] = "HEAD",
    *,
    checkout: Annotated[
        Path | None, typer.Option("--checkout", help="Repository; the one this command runs from by default.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Build a revision: wheel, and the installed dependencies beside it. No Python package is fetched.

    The studio and the operations console are copied from a build of the same sources (`make frontend`); where
    there is none they are built with npm, and where that is not possible the release has none and says so.
    """
    release = _built(ref, checkout, Home.at(home).root)
    if as_json:
        print_json(release.document())
        return
    console.print(Text(f"{release.name}: revision {release.revision} in {release.path}"), soft_wrap=True)
    pages = read_pages(release.path)
    if pages is not None and pages.why is not None:
        told = f"Without studio and operations console: {pages.why}"
        console.print(Text(told, style="yellow"), soft_wrap=True)


@app.command("deploy", epilog="Example: understudy releases deploy v1.4")
@reports_errors
def deploy(
    ref: Annotated[
        str,
        typer.Argument(
            help="A release by its name or revision; or a tag, branch or commit, which is built first; "
            "or [bold]checkout[/]: the code that `understudy up` was started from."
        ),
    ],
    *,
    checkout: Annotated[
        Path | None, typer.Option("--checkout", help="Repository to build from, where it must be.")
    ] = None,
    within_s: Annotated[float, typer.Option("--within-s", min=1, help="Seconds to wait for it.")] = 300.0,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Replace api and worker by those of a revision, without cutting a stream, and keep it over restarts.

    When the new ones do not become ready, the old ones go on and nothing changed. Migrations and settings
    stay as they are: a revision that needs a migration first refuses to start and names it.
    """
    place = Home.at(home)
    name = OWN_CODE
    if ref != OWN_CODE:
        name = _whole(ref, checkout, place.root).name
    ended = asyncio.run(_deploy(place.root, name, within_s))
    if as_json:
        print_json({"id": ended.id, "release": name, "state": ended.state, "error": ended.error})
    elif ended.state is DeploymentState.DONE:
        console.print(Text(f"{name} is served."), soft_wrap=True)
    if ended.state is not DeploymentState.DONE:
        if not as_json:
            said = f"Not deployed: {ended.error or 'it still runs'}"
            errors.print(Text(said), style="bold red", soft_wrap=True)
        raise typer.Exit(code=1)


def _whole(ref: str, checkout: Path | None, home: Path) -> Release:
    """Return the release that ``ref`` names, or build it."""
    try:
        release = find_release(home, ref)
    except ConfigurationError:
        return _built(ref, checkout, home)
    wrong = damages(release)
    if wrong:
        raise ConfigurationError(
            f"The release {release.name} is not as it was built: {wrong[0]}. Build it again: understudy "
            f"releases build {release.revision[:12]}"
        )
    return release


def _built(ref: str, place: Path | None, home: Path) -> Release:
    found = Checkout.at(place) if place is not None else running_checkout()
    if found is None:
        where = (
            f"{place} is no checkout" if place is not None else "This command does not run from a checkout"
        )
        raise ConfigurationError(f"{where} of this service. Name one: --checkout PATH")
    revision = found.revision() if ref == "HEAD" else found.commit(ref)
    if revision is None:
        raise ConfigurationError(
            f"{ref} names no release here, and no tag, branch or commit of {found.root}. Is it fetched? "
            f"git fetch --all --tags"
        )
    return build_release(found, revision, releases_dir(home), SystemClock(), with_npm=True)


async def _deploy(home: Path, name: str, within_s: float) -> Deployment:
    from understudy.restoration.targets.local import CONTROL_FILE, LocalTarget  # noqa: PLC0415
    from understudy.restoration.targets.supervisor_client import SupervisorClient  # noqa: PLC0415

    client, key = SupervisorClient(home / CONTROL_FILE), f"deploy:{uuid4()}"
    deployment = await client.begin(key, LocalTarget(home).kinds, release=name)
    try:
        async with asyncio.timeout(within_s):
            while deployment.state is DeploymentState.RUNNING:
                await asyncio.sleep(_LOOK_EVERY_S)
                found: Any = await client.deployment(key)
                if found is None:
                    raise TargetError("The supervisor forgot the deployment.")
                deployment = found
    except TimeoutError:
        pass
    return deployment
