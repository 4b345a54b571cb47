"""The guard: watches from outside, opens incidents, runs the playbook, and outlives what it restores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.restoration.guard.loop import Guard
    from understudy.restoration.guard.process import GuardOptions, run_guard

__all__ = ["Guard", "GuardOptions", "run_guard"]

_HOMES = {"Guard": "loop", "GuardOptions": "process", "run_guard": "process"}


def __getattr__(name: str) -> Any:
    """Load the loop when it is first asked for: commands that only read the guard's records need not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
