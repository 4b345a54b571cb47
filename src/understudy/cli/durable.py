"""The durable provider mode of an environment: a line of this machine's file, or what its target keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.environment import chosen
from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError, TargetError

if TYPE_CHECKING:
    from understudy.restoration.targets.base import Target

MODE_VARIABLE = "TTS_PROVIDER_MODE"


async def durable_mode(home: Path) -> str | None:
    """Return its value; None where there is none or it cannot be read."""
    try:
        if chosen().is_local:
            return read_env_file(home / "understudy.env").get(MODE_VARIABLE)
        return (await _target(home).read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
    except (ConfigurationError, TargetError):
        return None


async def write_durable_mode(home: Path, value: str) -> None:
    """Set it for the next start of a process.

    Raises
    ------
    ConfigurationError, TargetError
        It could not be written.
    """
    if chosen().is_local:
        set_in_env_file(home / "understudy.env", {MODE_VARIABLE: value})
    else:
        await _target(home).write_env({MODE_VARIABLE: value})


def _target(home: Path) -> Target:
    from understudy.clock import SystemClock  # noqa: PLC0415  (a local command needs no target)
    from understudy.restoration.targets.choosing import target_of  # noqa: PLC0415
    from understudy.settings import load_settings  # noqa: PLC0415

    return target_of(chosen(), home, load_settings(), SystemClock())
