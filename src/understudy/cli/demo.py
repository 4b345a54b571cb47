"""``understudy demo``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from understudy.cli.output import console, print_json, reports_errors
from understudy.demo.service import running_service
from understudy.demo.stage import Stage
from understudy.demo.story import Ending, Story

WINDOW_S = 5
NOT_BUILT_HERE = "`make frontend` builds the studio and the operations console; it needs Node 20.19 or newer"


@reports_errors
def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", help="Folder for the two recordings and the incident report.")
    ] = Path("demo-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print only one line of JSON, at the end.")] = False,
) -> None:
    """Tell the whole story once: speak, break, step back, prove it, write it down.

    Starts the service on this machine with stand-ins for both providers, lets a cloned voice speak through
    Qwen realtime, breaks Qwen under traffic and watches the guard return to Modal. Stops everything at the
    end.

    Example: [bold]understudy demo --output demo-output[/]
    """
    console.quiet = as_json
    stage = Stage(console)
    output.mkdir(parents=True, exist_ok=True)
    ending = asyncio.run(_perform(stage, output))
    if as_json:
        print_json(
            {
                "incident": ending.incident,
                "report": str(ending.report),
                "audio": [str(path) for path in ending.audio],
                "heard": ending.heard,
                "times": ending.times,
                "spoken": ending.spoken,
                "failed": ending.failed,
                "checklist_green": ending.checklist_green,
                "seconds": round(stage.elapsed_s, 1),
            }
        )
    stage.say("Everything is stopped. Keep it running with: [bold]make up[/]", mark="✓", style="green")
    stage.plain("          look     it prints the addresses of the studio and of the operations console")
    stage.plain(f"          listen   {ending.audio[0]}  and  {ending.audio[1]}")
    stage.plain(f"          read     {ending.report}")
    if not ending.checklist_green:
        raise typer.Exit(code=1)


async def _perform(stage: Stage, output: Path) -> Ending:
    folder = Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    finished = False
    stage.say("starting Postgres, both stand-ins, api, worker and guard, each a process of its own")
    try:
        async with running_service(folder / "home", mode="qwen", window_s=WINDOW_S) as service:
            stage.say(f"ready: api {service.api}, guard {service.guard}", mark="✓", style="green")
            if service.studio and service.operations:
                stage.plain(f"          studio {service.studio}, operations console {service.operations}")
            else:
                stage.plain(f"          without pages: {NOT_BUILT_HERE}")
            timeout = aiohttp.ClientTimeout(total=60)
            async with aiohttp.ClientSession(timeout=timeout) as http:
                ending = await Story(service, http, stage, output).tell()
        finished = True
        return ending
    finally:
        if finished:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            stage.say(f"the logs are kept in {folder}", mark="!", style="yellow")
