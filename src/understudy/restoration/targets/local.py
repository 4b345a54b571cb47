"""The machine itself: the durable environment file, and the processes that ``understudy up`` supervises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError, TargetError
from understudy.restoration.targets.base import Deployment, TargetCapabilities
from understudy.restoration.targets.supervisor_client import SupervisorClient

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
    """

    def __init__(self, home: Path, *, env_file: Path | None = None, base_url: str = "") -> None:
        self._env_file = env_file or home / ENV_FILE
        self._base_url = base_url.rstrip("/")
        self._supervisor = SupervisorClient(home / CONTROL_FILE)

    @property
    def name(self) -> str:
        """``local``."""
        return "local"

    @property
    def capabilities(self) -> TargetCapabilities:
        """The processes follow the mode row."""
        return TargetCapabilities(live_switch=True)

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
