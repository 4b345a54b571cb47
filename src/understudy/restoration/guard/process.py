"""The guard as a process: assembled from settings, announced, stopped by SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from understudy.clock import Clock
from understudy.environments import Environment, builtin_local
from understudy.errors import ConfigurationError
from understudy.logs import Leaks, Redactor, get_logger
from understudy.metrics import guard_registry
from understudy.resources import playbook_file
from understudy.restoration.guard.alerts import AlertInbox, checks_of
from understudy.restoration.guard.backing_up import BackupKeeper
from understudy.restoration.guard.closure_watch import ClosureWatch
from understudy.restoration.guard.connecting import Connector, product_url
from understudy.restoration.guard.console import Console
from understudy.restoration.guard.console_building import parts_of
from understudy.restoration.guard.console_parts import ConsoleContext
from understudy.restoration.guard.cutover import CutoverGuard
from understudy.restoration.guard.heartbeat import Heartbeat
from understudy.restoration.guard.leaking import LeakReport
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.metering import Metering
from understudy.restoration.guard.notifying import Notifier, notifier_from
from understudy.restoration.guard.preparing import preparation, settings_now
from understudy.restoration.guard.sources import sight_of
from understudy.restoration.guard.telling_tenants import TenantNotices
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.policy import Playbook, PolicyFile, load_policy
from understudy.restoration.probes import ProbeRunner
from understudy.restoration.targets.choosing import target_of
from understudy.restoration.verification.board import SmokeBoard
from understudy.settings import Settings
from understudy.store.guard import GUARD_FILE, MACHINE_KEY, GuardStore, open_guard_store

__all__ = ["GUARD_FILE", "Connector", "GuardOptions", "operator_token", "run_guard"]

HOST = "127.0.0.1"
OPERATOR_TOKEN_FILE = Path("run") / "operator.token"
#: What runs beside the guard may take so many seconds to end by itself.
STOP_S = 3.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What a user may choose.

    Parameters
    ----------
    port
        0 takes a free one.
    policy
        Another playbook than the one that ships.
    ready_file
        Written once the guard listens and has looked once: ``{"guard": url, "pid": ...}``.
    environment
        What it guards, and by which target it acts.
    """

    home: Path
    port: int = 0
    policy: Path | None = None
    window_s: int | None = None
    ready_file: Path | None = None
    environment: Environment = field(default_factory=builtin_local)


async def run_guard(
    options: GuardOptions,
    settings: Settings,
    clock: Clock,
    *,
    announce: Callable[[dict[str, Any]], None],
    leaks: Leaks | None = None,
) -> None:
    """Guard until SIGTERM or SIGINT.

    Parameters
    ----------
    leaks
        Who counts the secrets that stood in this process's log lines.

    Raises
    ------
    ConfigurationError
        The playbook, the home, a setting or the port is not usable; nothing was started.
    """
    settings.require("database_url")
    chosen = options.policy or settings.playbook_file or playbook_file()
    playbook, policy_file = load_policy(
        chosen, window_s=options.window_s or settings.understudy_guard_window_s
    )
    if options.environment.owner:
        playbook = playbook.model_copy(update={"owner": options.environment.owner})
    token = operator_token(options.home)
    redactor = Redactor([*settings.secrets(), token, *options.environment.present_secrets().values()])
    store = open_guard_store(options.home, settings, clock)
    try:
        await _run(
            options,
            settings,
            clock,
            playbook=playbook,
            policy_file=policy_file,
            token=token,
            redactor=redactor,
            store=store,
            announce=announce,
            leaks=leaks or Leaks(),
        )
    finally:
        store.close()


async def _run(
    options: GuardOptions,
    settings: Settings,
    clock: Clock,
    *,
    playbook: Playbook,
    policy_file: PolicyFile,
    token: str,
    redactor: Redactor,
    store: GuardStore,
    announce: Callable[[dict[str, Any]], None],
    leaks: Leaks,
) -> None:
    connector = Connector(product_url(options.home, settings))
    environment = options.environment.name.value
    target = target_of(options.environment, options.home, settings, clock)
    store.add_operator(token, MACHINE_KEY)
    book = IncidentBook(store, environment, clock)

    def leads() -> bool:
        return book.lease is not None

    sight = sight_of(
        home=options.home,
        settings=settings,
        playbook=playbook,
        store=store,
        target=target,
        connect=connector,
        clock=clock,
        leads=leads,
        durable_mode=lambda: guard.view.env_value,
    )
    inbox = AlertInbox(store, clock, checks_of(playbook), redactor=redactor)
    notifier = notifier_from(settings, store, clock, environment=environment, redactor=redactor, leads=leads)
    heartbeat = Heartbeat(
        options.home,
        clock,
        deadman_url=settings.guard_deadman_url,
        deadman_interval_s=settings.guard_deadman_interval_s,
    )
    leak_report = LeakReport(
        leaks, connector, clock, instance=uuid4(), every_s=settings.guard_poll_interval_s
    )
    first_look = asyncio.Event()

    def on_cycle(completed: bool) -> None:
        first_look.set()
        if completed:
            metering.cycle(guard.view.cycle_ms)
            incident = book.current()
            heartbeat.beat(
                leads=leads(),
                verdicts={family: verdict.value for family, verdict in guard.view.verdicts.items()},
                incident=incident.id if incident else None,
                cycle_ms=guard.view.cycle_ms,
            )

    cutover = CutoverGuard(
        playbook=playbook,
        store=store,
        target=target,
        connect=connector,
        clock=clock,
        known_good=settings.known_good_provider,
        environment=environment,
    )
    board = SmokeBoard()
    guard = Guard(
        book=book,
        playbook=playbook,
        target=target,
        watcher=sight.watcher,
        prepare=preparation(
            home=options.home,
            settings=settings,
            store=store,
            target=target,
            connect=connector,
            clock=clock,
            stale_after_s=playbook.limits.source_stale_after_s,
            board=board,
        ),
        clock=clock,
        holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        known_good=settings.known_good_provider,
        reports=options.home / "reports",
        poll_interval_s=settings.guard_poll_interval_s,
        redactor=redactor,
        outside=inbox,
        more_alarms=lambda: (
            alarms_beside(inbox, notifier, sight.probes, heartbeat) | cutover.alarms() | backups.alarms()
        ),
        on_cycle=on_cycle,
        policy_file=policy_file,
        cutover=cutover,
    )
    backups = BackupKeeper(
        target,
        store,
        clock,
        settings=lambda: settings_now(settings),
        leads=leads,
        busy=lambda: book.current() is not None,
    )
    metering = Metering(guard_registry(), guard, notifier, backups)
    console = Console(
        guard,
        clock,
        redactor,
        inbox=inbox,
        notifier=notifier,
        heartbeat=heartbeat,
        metering=metering,
        reports=options.home / "reports",
        metrics_token=settings.metrics_token.get_secret_value(),
        parts=parts_of(
            ConsoleContext(
                guard=guard,
                store=store,
                clock=clock,
                redactor=redactor,
                connect=connector,
                home=options.home,
                settings=settings,
                target=target,
                board=board,
                environment=options.environment,
            )
        ),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    beside: list[asyncio.Task[None]] = []
    try:
        url = heartbeat.url = await _listen(console, options.port)
        running = asyncio.create_task(guard.run(stop), name="guard")
        # None of these may end the guard: each catches its own failures, and is only waited for at the end.
        beside += [
            asyncio.create_task(task.run(stop), name=name)
            for name, task in (
                ("probes", sight.probes),
                ("notifier", notifier),
                ("heartbeat", heartbeat),
                ("leaks", leak_report),
                ("backups", backups),
                ("notices", TenantNotices(book, connector, clock, leads=leads)),
                ("closures", ClosureWatch(guard.view.keep_closures, connector, clock)),
            )
        ]
        looked = asyncio.create_task(first_look.wait())
        await asyncio.wait({running, looked}, return_when=asyncio.FIRST_COMPLETED)
        looked.cancel()
        if not running.done():
            ready = {"guard": url, "pid": os.getpid()}
            if options.ready_file is not None:
                _write_ready(options.ready_file, ready)
            announce(ready)
        await running
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        stop.set()
        await _finish(beside)
        await console.stop()
        await sight.watcher.source.close()
        await connector.close()


def alarms_beside(
    inbox: AlertInbox, notifier: Notifier, probes: ProbeRunner, heartbeat: Heartbeat
) -> dict[str, str | None]:
    """What stands wrong beside the signals, by name; None where all is well."""
    return {
        **inbox.alarms(),
        **notifier.alarms(),
        "probes": probes.alarm(),
        **heartbeat.alarms(),
    }


async def _finish(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let what runs beside the guard end by itself for a moment, then end it."""
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_S)
    for task in tasks:
        task.cancel()
    for failed in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(failed, Exception):
            log.error("task_beside_the_guard_broke", error=repr(failed))


def operator_token(home: Path) -> str:
    """Return the home's operator token, making one (0600) where there is none yet.

    Raises
    ------
    ConfigurationError
        The file cannot be read or written.
    """
    path = home / OPERATOR_TOKEN_FILE
    try:
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(secrets.token_urlsafe(32) + "\n")
        token = path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be used: {error.strerror}.") from error
    if len(token) < 20:
        raise ConfigurationError(f"{path} holds no operator token; delete it and start again.")
    return token


async def _listen(console: Console, port: int) -> str:
    try:
        return await console.start(HOST, port)
    except OSError as error:
        raise ConfigurationError(
            f"The guard cannot listen on {HOST}:{port}: {error.strerror}. Stop what uses that port, or give "
            f"another with --port (0 takes a free one)."
        ) from error


def _write_ready(path: Path, ready: Mapping[str, Any]) -> None:
    """Write the file whole or not at all: whoever waits for it reads it at once."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(ready), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
