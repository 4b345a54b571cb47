"""Keeps one machine's deployment running: Postgres first, every other process after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.processes.service import Event, Notify, Service, backoff_s

#: A restarted Postgres that lived this long is healthy again: its next death restarts it at once.
POSTGRES_SETTLED_AFTER_S = 30.0


class DatabaseServer(Protocol):
    """What the supervisor needs of an embedded Postgres; it keeps its port over restarts."""

    @property
    def pid(self) -> int | None:
        """Process id, or ``None`` while it does not run."""
        ...

    @property
    def port(self) -> int:
        """Loopback port."""
        ...

    async def start(self) -> None:
        """Start and wait until it answers."""
        ...

    async def stop(self) -> None:
        """End it; safe to repeat."""
        ...

    async def wait(self) -> int:
        """Exit status, once it has ended."""
        ...


class Supervisor:
    """The processes of one machine, by name.

    Parameters
    ----------
    stop_order
        Names in the order in which they end; Postgres ends after all of them.
    """

    def __init__(
        self, postgres: DatabaseServer | None, *, stop_order: Sequence[str], clock: Clock, notify: Notify
    ) -> None:
        self.postgres = postgres
        self.postgres_restarts = 0
        self.services: dict[str, Service] = {}
        self.addresses: dict[str, Any] = {}
        self._stop_order = tuple(stop_order)
        self._clock = clock
        self._notify = notify
        self._postgres_watch: asyncio.Task[None] | None = None
        self._postgres_started_at = clock.now()
        self._stopping = False

    def add(self, service: Service) -> Service:
        """Put ``service`` under this supervisor; it is started by its own ``start``."""
        self.services[service.name] = service
        return service

    async def start_postgres(self) -> None:
        """Start Postgres and keep it running, always on the same port.

        Raises
        ------
        ConfigurationError
            What stands in the way of its first start.
        """
        if self.postgres is None:
            return
        await self.postgres.start()
        self._postgres_started_at = self._clock.now()
        self._tell("started", f"postgres is ready (process {self.postgres.pid}, port {self.postgres.port}).")
        self._postgres_watch = asyncio.create_task(self._keep_postgres(self.postgres), name="postgres-keep")

    async def stop(self) -> None:
        """End everything in order; what does not end in time is killed."""
        self._stopping = True
        named = [self.services[name] for name in self._stop_order if name in self.services]
        for service in [*named, *(item for item in self.services.values() if item not in named)]:
            await service.stop()
        if self._postgres_watch is not None:
            self._postgres_watch.cancel()
            await asyncio.gather(self._postgres_watch, return_exceptions=True)
        if self.postgres is not None:
            await self.postgres.stop()

    def kill(self) -> None:
        """Kill every process but Postgres, whose data wants a shutdown; a running :meth:`stop` ends soon."""
        for service in self.services.values():
            service.kill()

    def status(self) -> dict[str, Any]:
        """The answer of ``GET /v1/status``."""
        processes: list[dict[str, Any]] = []
        if self.postgres is not None:
            pid = self.postgres.pid
            processes.append(
                {
                    "name": "postgres",
                    "pid": pid,
                    "instance": None,
                    "state": "ready" if pid is not None else "starting",
                    "started_at": self._postgres_started_at.isoformat(),
                    "restarts": self.postgres_restarts,
                }
            )
        for service in self.services.values():
            processes.extend(service.rows())
        return {"processes": processes, "addresses": self.addresses}

    async def _keep_postgres(self, postgres: DatabaseServer) -> None:
        failures = 0
        while True:
            code = await postgres.wait()
            if self._stopping:
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            self._tell("crashed", f"postgres {how} by itself; starting it again on port {postgres.port}.")
            lived_s = (self._clock.now() - self._postgres_started_at).total_seconds()
            failures = 0 if lived_s >= POSTGRES_SETTLED_AFTER_S else failures
            while not await self._restarted(postgres, failures):
                failures += 1
            failures += 1

    async def _restarted(self, postgres: DatabaseServer, failures: int) -> bool:
        await self._clock.sleep(backoff_s(failures))
        begun = self._clock.monotonic_s()
        try:
            await postgres.start()
        except (UnderstudyError, OSError) as error:
            self._tell("restart_failed", f"postgres did not start again: {error}")
            return False
        self._postgres_started_at = self._clock.now()
        self.postgres_restarts += 1
        took_s = self._clock.monotonic_s() - begun
        self._tell("restarted", f"postgres runs again on port {postgres.port} after {took_s:.1f} s.")
        return True

    def _tell(self, name: str, message: str) -> None:
        self._notify(Event(self._clock.now(), name, "postgres", message))
