"""A throw-away Postgres 15 from the distribution's programs, unprivileged, below a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from pydantic import SecretStr

#: Where Debian's and Ubuntu's packages put it; another place is named by the environment.
BIN_DIR = Path(os.environ.get("UNDERSTUDY_TEST_PG15_BIN", "/usr/lib/postgresql/15/bin"))
SUPERUSER = "supabase_admin"
PASSWORD = "throw-away"
OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class Postgres15:
    """One server. As root it runs as ``nobody``, for Postgres refuses root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="understudy-pg15-"))
        self._user = 65534 if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def url(self, role: str, database: str = "postgres") -> SecretStr:
        """URL of a role."""
        return SecretStr(f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}")

    @property
    def superuser_url(self) -> SecretStr:
        """As the embedded server has it."""
        return self.url(SUPERUSER)

    @property
    def database_url(self) -> SecretStr:
        """The application's role on the migrated template."""
        return self.url("understudy_app", "understudy")

    @property
    def migration_database_url(self) -> SecretStr:
        """The schema's owner on the migrated template."""
        return self.url("understudy_owner", "understudy")

    def start(self) -> None:
        """Initialise, start, wait until it answers."""
        data, secret = self.folder / "data", self.folder / "password"
        secret.write_text(PASSWORD)
        data.mkdir(mode=0o700)
        if self._user is not None:
            for path in (self.folder, data, secret):
                os.chown(path, self._user, self._user)
        command = [BIN_DIR / "initdb", "-D", data, "-U", SUPERUSER, "--auth=scram-sha-256"]
        command += [f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, **self._account(), capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        serve: list[str | Path] = [BIN_DIR / "postgres", "-D", data, "-p", str(self.port), "-k", ""]
        serve += [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(serve, **self._account(), stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.superuser_url.get_secret_value()).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from None
            else:
                return

    def stop(self) -> None:
        """End it and remove its data."""
        if self._process is not None:
            self._process.send_signal(3)
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, database: str, *statements: str) -> None:
        """Run statements as the superuser."""
        with psycopg.connect(self.url(SUPERUSER, database).get_secret_value(), autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement.encode())

    def _account(self) -> dict[str, object]:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
        groups = None if self._user is None else []
        ids = {"user": self._user, "group": self._user, "extra_groups": groups}
        return {"env": environment, "cwd": "/", **ids}
