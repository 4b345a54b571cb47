"""The machine itself: the durable environment file, and the processes that ``understudy up`` supervises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError, TargetError, UnderstudyError
from understudy.releases.release import find_release
from understudy.restoration.targets.base import (
    AppliedMigration,
    Deployment,
    RestorableDatabase,
    TargetCapabilities,
)
from understudy.restoration.targets.supervisor_client import SupervisorClient
from understudy.settings import settings_from
from understudy.store.migrations import connect_owner, read_applied

CONTROL_FILE = Path("run") / "control.json"
ENV_FILE = "understudy.env"


class LocalTarget:
    """A deployment that lives in one home directory.

    Parameters
    ----------
    home
        The directory of ``understudy up``.
    env_file
        The durable environment file; by default the home's.
    base_url
        Where the API answers from outside; by default what the supervisor says.
    database
        Its backups and restores.
    """

    def __init__(
        self,
        home: Path,
        *,
        env_file: Path | None = None,
        base_url: str = "",
        database: RestorableDatabase | None = None,
    ) -> None:
        self._home = home
        self._database = database
        self._env_file = env_file or home / ENV_FILE
        self._base_url = base_url.rstrip("/")
        self._supervisor = SupervisorClient(home / CONTROL_FILE)

    @property
    def name(self) -> str:
        """``local``."""
        return "local"

    @property
    def capabilities(self) -> TargetCapabilities:
        """The processes follow the mode row; a restored database takes the place of another by its name."""
        return TargetCapabilities(live_switch=True, restore_beside=True)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The two kinds of process that read the mode."""
        return ("api", "worker")

    async def base_url(self) -> str:
        """Where the API answers."""
        if self._base_url:
            return self._base_url
        addresses = (await self._supervisor.status()).get("addresses") or {}
        url = addresses.get("api")
        if not isinstance(url, str) or not url:
            raise TargetError("The supervisor knows no address of the API.")
        return url.rstrip("/")

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        """Durable values of ``names``."""
        try:
            values = await asyncio.to_thread(read_env_file, self._env_file)
        except ConfigurationError as error:
            raise TargetError(error.message) from error
        return {name: values[name] for name in names if name in values}

    async def write_env(self, changes: Mapping[str, str]) -> None:
        """Change the file atomically; comments and other lines stay."""
        try:
            await asyncio.to_thread(set_in_env_file, self._env_file, dict(changes))
        except ConfigurationError as error:
            raise TargetError(error.message) from error

    async def redeploy(self, deployment_id: str) -> Deployment:
        """Begin to replace api and worker."""
        return await self._supervisor.begin(deployment_id, self.kinds)

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment of that id."""
        return await self._supervisor.deployment(deployment_id)

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        """Begin to replace api and worker by those of the release that holds ``revision``."""
        try:
            release = await asyncio.to_thread(find_release, self._home, revision)
        except ConfigurationError as error:
            raise TargetError(error.message) from error
        return await self._supervisor.begin(deployment_id, self.kinds, release=release.name)

    async def revision(self) -> str | None:
        """Return what the processes say they run; None where they differ, or none is ready.

        Of code that cannot say it, the release that it was started from speaks.
        """
        rows = (await self._supervisor.status()).get("processes") or ()
        told = set()
        for row in rows:
            if row.get("name") not in self.kinds or row.get("state") != "ready":
                continue
            said = row.get("revision")
            told.add(said or await asyncio.to_thread(self._started_from, row.get("release")))
        return told.pop() if len(told) == 1 else None

    def _started_from(self, release: str | None) -> str | None:
        try:
            return find_release(self._home, release).revision if release else None
        except ConfigurationError:
            return None

    async def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """Return the migration history, as the schema's owner reads it."""
        try:
            settings = settings_from(await asyncio.to_thread(read_env_file, self._env_file))
            owner = settings.migration_database_url
            url = owner if owner.get_secret_value() else settings.database_url
            async with await connect_owner(url) as conn:
                applied = await read_applied(conn)
        except UnderstudyError as error:
            raise TargetError(f"The migration history cannot be read: {error.message}") from error
        return tuple(AppliedMigration(one.version, one.name, one.sha256) for one in applied)

    @property
    def database(self) -> RestorableDatabase | None:
        """Its backups and restores, where they were given."""
        return self._database
