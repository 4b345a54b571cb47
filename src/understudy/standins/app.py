"""The stand-ins in one process: both providers with the voicebox they share, and a Supabase project."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

from understudy.clock import Clock, SystemClock
from understudy.errors import ConfigurationError
from understudy.settings import LOOPBACK_HOSTS
from understudy.standins.configuration import StandInSettings
from understudy.standins.dashscope import DashScopeServer
from understudy.standins.management.server import ManagementServer
from understudy.standins.modal import ModalServer
from understudy.standins.voices import VoiceShelf
from understudy.voicebox.client import Voicebox

#: How long open connections may finish when the servers stop.
_SHUTDOWN_S = 2.0


@dataclass(frozen=True, slots=True)
class StandInAddresses:
    """Base URLs without a trailing slash."""

    dashscope: str
    modal: str
    supabase: str = ""

    def to_json(self) -> dict[str, str]:
        """Those that are served, by name."""
        return {name: url for name, url in asdict(self).items() if url}


@contextlib.asynccontextmanager
async def running_standins(
    state_dir: Path,
    settings: StandInSettings,
    *,
    host: str = "127.0.0.1",
    dashscope_port: int = 0,
    modal_port: int = 0,
    supabase_port: int | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[StandInAddresses]:
    """Serve the stand-ins inside the block.

    Parameters
    ----------
    state_dir
        Where voices and results are kept; the next start finds them there.
    dashscope_port, modal_port
        0 takes a free port.
    supabase_port
        The same for Supabase's Management API, which is served only where a port is given.

    Raises
    ------
    ConfigurationError
        A host beyond loopback (the fault panel has no password), a port in use, or no speech engine.
    """
    if host not in LOOPBACK_HOSTS:
        raise ConfigurationError(f"The stand-ins serve loopback only, not {host}.")
    clock = clock or SystemClock()
    voicebox = Voicebox()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(voicebox.stop)
        await voicebox.start()
        shelf = VoiceShelf(state_dir / "voices")
        dashscope = DashScopeServer(settings, shelf, voicebox, clock).application()
        modal = ModalServer(settings, state_dir / "jobs", voicebox, clock).application()
        supabase = ""
        if supabase_port is not None:
            management = ManagementServer(
                settings.supabase_token, [settings.supabase_ref], clock, fault_seed=settings.fault_seed
            )
            supabase = await _serve(stack, management.application(), host, supabase_port)
        yield StandInAddresses(
            dashscope=await _serve(stack, dashscope, host, dashscope_port),
            modal=await _serve(stack, modal, host, modal_port),
            supabase=supabase,
        )


async def serve_standins(
    host: str,
    dashscope_port: int,
    modal_port: int,
    state_dir: Path,
    *,
    settings: StandInSettings,
    supabase_port: int | None = None,
    ready: Callable[[StandInAddresses], None],
    stop: asyncio.Event,
) -> None:
    """Serve the stand-ins until ``stop`` is set; ``ready`` gets their addresses once they answer.

    Raises
    ------
    ConfigurationError
        As :func:`running_standins`.
    """
    serving = running_standins(
        state_dir,
        settings,
        host=host,
        dashscope_port=dashscope_port,
        modal_port=modal_port,
        supabase_port=supabase_port,
    )
    async with serving as addresses:
        ready(addresses)
        await stop.wait()


async def _serve(stack: contextlib.AsyncExitStack, app: web.Application, host: str, port: int) -> str:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    await web.SockSite(runner, listener).start()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
