"""``understudy serve``: the api process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from understudy.cli.output import reports_errors


@reports_errors
def serve(
    fd: Annotated[
        int | None,
        typer.Option(
            "--fd",
            min=0,
            help="A listening socket inherited from the parent, by its number: old and new process accept "
            "from it together while one replaces the other. Example: [bold]--fd 3[/]",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen on, without --fd. Example: [bold]--host 0.0.0.0[/]"),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65535, help="Port to listen on, without --fd. Example: [bold]--port 8000[/]"
        ),
    ] = 8000,
    instance: Annotated[
        UUID | None,
        typer.Option(
            "--instance",
            help="Identity of this process, told by /api/ready; a new one if not given. "
            "Example: [bold]--instance 7f3c2c1e-0d52-4c39-9f5e-3a1f6c3a9a10[/]",
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            help="Written once this process accepts requests; `understudy up` waits for it. "
            "Example: [bold]--ready-file run/api.ready[/]",
        ),
    ] = None,
) -> None:
    """Serve the API until SIGTERM, then finish what is in flight (at most DRAIN_DEADLINE_S) and leave.

    Settings come from the environment and the file that UNDERSTUDY_ENV_FILE names.

    Example: [bold]understudy serve --host 127.0.0.1 --port 8000[/]
    """
    from understudy.api.server import serve as run  # noqa: PLC0415  (`--help` need not load the service)
    from understudy.settings import load_settings  # noqa: PLC0415

    run(load_settings(), fd=fd, host=host, port=port, instance=instance, ready_file=ready_file)
