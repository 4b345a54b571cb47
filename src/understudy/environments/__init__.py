"""The environments of one service, as ``understudy.toml`` lists them: where each is, and what acts on it.

The file names secrets and never holds one: a value is ``env:NAME`` (a variable) or ``file:PATH``.
"""

from __future__ import annotations

from understudy.environments.environment import Environment, apply, builtin_local
from understudy.environments.file import CONFIG_FILE, config_file, find_environment, load_environments
from understudy.environments.tables import CommandSet, DatabaseCommands, EnvironmentName, TargetKind

__all__ = [
    "CONFIG_FILE",
    "CommandSet",
    "DatabaseCommands",
    "Environment",
    "EnvironmentName",
    "TargetKind",
    "apply",
    "builtin_local",
    "config_file",
    "find_environment",
    "load_environments",
]
