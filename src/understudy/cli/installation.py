"""The installation a command works on: its settings, where `understudy up` keeps them, and its database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from understudy.errors import ConfigurationError
from understudy.settings import ENV_FILE_VARIABLE, Settings, load_settings
from understudy.store.database import Database

DEFAULT_HOME = Path(".understudy")
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of the installation.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def check_reason(reason: str) -> None:
    """Raise :class:`ConfigurationError` unless an operator says why."""
    if not reason.strip():
        raise ConfigurationError("--reason is empty; say why, it is kept in the history.")


def use_env_file(home: Path) -> None:
    """Let settings come from the file in ``home``, unless the caller names another."""
    env_file = home / "understudy.env"
    if ENV_FILE_VARIABLE not in os.environ and env_file.is_file():
        os.environ[ENV_FILE_VARIABLE] = str(env_file)


def installed_settings(home: Path) -> Settings:
    """Settings of the environment, or of the file in ``home`` when the caller names none.

    Raises
    ------
    ConfigurationError
        A value is not valid, or there is no database to work on.
    """
    use_env_file(home)
    settings = load_settings()
    settings.require("database_url")
    return settings


@asynccontextmanager
async def installed_database(settings: Settings, *, command: str) -> AsyncIterator[Database]:
    """Open the database for one command."""
    database = await Database.connect(
        settings.database_url, application_name=f"understudy-{command}", max_size=2
    )
    try:
        yield database
    finally:
        await database.close()
