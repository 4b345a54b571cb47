"""``understudy worker``: drives tasks to their end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from understudy.cli.output import reports_errors

if TYPE_CHECKING:
    from understudy.logs import Leaks
    from understudy.settings import Settings


@reports_errors
def worker(
    name: Annotated[
        str,
        typer.Option("--name", help="Shown where a task is held. Example: [bold]--name gpu-box-1[/]"),
    ] = "worker",
    instance: Annotated[
        UUID | None,
        typer.Option(
            "--instance",
            help="Identity of this process, listed by `understudy status`; a new one if not given. "
            "Example: [bold]--instance 7f3c2c1e-0d52-4c39-9f5e-3a1f6c3a9a10[/]",
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            help="Written once this process claims tasks; `understudy up` waits for it. "
            "Example: [bold]--ready-file run/worker.ready[/]",
        ),
    ] = None,
) -> None:
    """Drive tasks until SIGTERM, then finish what is in hand (at most DRAIN_DEADLINE_S) and leave.

    Any number of workers may run, on any machine that reaches the database and the stored audio.
    Settings come from the environment and the file that UNDERSTUDY_ENV_FILE names.

    Example: [bold]understudy worker --name worker-1[/]
    """
    import uvloop  # noqa: PLC0415  (`--help` need not load the service)

    from understudy.allocator import bound_allocator  # noqa: PLC0415
    from understudy.logs import Leaks, configure_logging  # noqa: PLC0415
    from understudy.settings import load_settings  # noqa: PLC0415

    bound_allocator()
    settings = load_settings()
    leaks = Leaks()
    configure_logging(
        "worker",
        level=settings.log_level,
        secrets=settings.secrets(),
        named=settings.watched(),
        leaks=leaks,
    )
    uvloop.run(_work(settings, name, instance or uuid4(), ready_file, leaks))


async def _work(settings: Settings, name: str, instance: UUID, ready_file: Path | None, leaks: Leaks) -> None:
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from understudy.allocator import return_memory  # noqa: PLC0415
    from understudy.api.context import open_context  # noqa: PLC0415
    from understudy.clock import SystemClock  # noqa: PLC0415
    from understudy.releases.identity import ready_text, running_revision  # noqa: PLC0415
    from understudy.speech.worker import Worker, WorkerTimes  # noqa: PLC0415
    from understudy.speech.worker_metrics import serving_metrics  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    clock, token = SystemClock(), settings.metrics_token.get_secret_value()
    async with (
        open_context(settings, kind="worker", clock=clock, instance=instance, leaks=leaks) as ctx,
        serving_metrics(ctx.metrics, settings.worker_metrics_port, token, clock, stop),
    ):
        return_memory()
        if ready_file is not None:
            ready = ready_text(instance, running_revision())
            await asyncio.to_thread(ready_file.write_text, ready, encoding="utf-8")
        await Worker(ctx, name, WorkerTimes(lease_s=settings.worker_lease_s)).run(stop)
