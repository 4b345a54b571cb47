"""What a restoration acts on: a deployment whose environment can be changed and which can be started anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

#: The variable of the playbook's first response.
MODE_VARIABLE = "TTS_PROVIDER_MODE"


@dataclass(frozen=True, slots=True)
class TargetCapabilities:
    """What a target can do beyond the least.

    Parameters
    ----------
    live_switch
        Its processes follow the mode row in the database, so a switch is in force before any redeploy.
    """

    live_switch: bool


class DeploymentState(StrEnum):
    """Where a deployment stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, known by the id that whoever ordered it gave (its idempotency key)."""

    id: str
    state: DeploymentState
    error: str | None = None
    steps: tuple[Mapping[str, Any], ...] = ()


class Target(Protocol):
    """A deployment target; each method raises :class:`understudy.errors.TargetError` when it cannot do it."""

    @property
    def name(self) -> str:
        """``local``, ...; for records."""
        ...

    @property
    def capabilities(self) -> TargetCapabilities:
        """What this target can do."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of process that a redeploy replaces and that must be read back."""
        ...

    async def base_url(self) -> str:
        """Where the API answers."""
        ...

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        """Durable values of ``names``; a name without a value is left out. Nothing else is read out."""
        ...

    async def write_env(self, changes: Mapping[str, str]) -> None:
        """Change durable values; in force with the next deployment."""
        ...

    async def redeploy(self, deployment_id: str) -> Deployment:
        """Begin to start everything anew from the durable environment; one id never starts twice."""
        ...

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment of that id, or None when it was never begun."""
        ...
