"""``understudy standins``: DashScope, Modal and, where asked for, a Supabase project, on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.output import print_json, reports_errors
from understudy.logs import configure_logging
from understudy.settings import load_settings
from understudy.standins.app import StandInAddresses, serve_standins
from understudy.standins.configuration import load_standin_settings
from understudy.standins.durable import write_atomically


@reports_errors
def standins(
    *,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    dashscope_port: Annotated[int, typer.Option(help="Port of DashScope; 0 takes a free one.")] = 0,
    modal_port: Annotated[int, typer.Option(help="Port of Modal; 0 takes a free one.")] = 0,
    supabase_port: Annotated[
        int | None,
        typer.Option(help="Port of Supabase's Management API, 0 a free one; without it there is none."),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="File that gets the addresses as JSON once both answer.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Where voices and results are kept; default: UNDERSTUDY_HOME/standins."),
    ] = None,
) -> None:
    """Serve stand-ins of DashScope and Modal with real speech, and faults on demand under /_faults."""
    settings, standin_settings = load_settings(), load_standin_settings()
    configure_logging(
        "standins",
        level=settings.log_level,
        secrets=[
            standin_settings.dashscope_key,
            standin_settings.dashscope_cn_key,
            standin_settings.modal_key,
            standin_settings.modal_secret,
            standin_settings.supabase_token,
        ],
    )

    def announce(addresses: StandInAddresses) -> None:
        if ready_file is not None:
            write_atomically(ready_file, json.dumps(addresses.to_json()).encode())
        print_json(addresses.to_json())

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve_standins(
            host,
            dashscope_port,
            modal_port,
            state_dir or settings.understudy_home / "standins",
            settings=standin_settings,
            supabase_port=supabase_port,
            ready=announce,
            stop=stop,
        )

    asyncio.run(serve())
