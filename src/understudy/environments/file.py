"""``understudy.toml``: found, read, and refused with the line of its mistake."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from understudy.environments.environment import DEFAULT_HOME, HOME_VARIABLE, Environment, builtin_local
from understudy.environments.tables import EnvironmentFile, EnvironmentName, EnvironmentTable, TargetKind
from understudy.errors import ConfigurationError

CONFIG_FILE = "understudy.toml"
CONFIG_VARIABLE = "UNDERSTUDY_CONFIG"


def config_file(directory: Path | None = None) -> Path | None:
    """Return the file in force: the one that UNDERSTUDY_CONFIG names, this folder's, or the home's.

    Raises
    ------
    ConfigurationError
        UNDERSTUDY_CONFIG names no file.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise ConfigurationError(f"{CONFIG_VARIABLE}={named}: there is no such file.")
        return path
    home = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser()
    for folder in ((directory or Path.cwd()).resolve(), home.resolve()):
        if (folder / CONFIG_FILE).is_file():
            return folder / CONFIG_FILE
    return None


def load_environments(file: Path | None) -> dict[EnvironmentName, Environment]:
    """Return every environment of ``file``; without one, and beside one that has none, this machine's.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or names its first mistake with its line.
    """
    if file is None:
        return {EnvironmentName.LOCAL: builtin_local()}
    try:
        text = file.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not UTF-8 text; write it again as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}.") from None
    try:
        parsed = EnvironmentFile.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_told(file, text, item) for item in error.errors())) from None
    found = {name: _environment(file, name, table) for name, table in parsed.environments.items()}
    homes: dict[Path, EnvironmentName] = {}
    for name, environment in found.items():
        other = homes.setdefault(environment.home, name)
        if other is not name:
            raise ConfigurationError(
                f"{file}: {other} and {name} share the home {environment.home}; their guards would write "
                f"into one store. Give each its own."
            )
    found.setdefault(EnvironmentName.LOCAL, builtin_local())
    return found


def find_environment(name: str) -> Environment:
    """Return the environment of that name from the file in force.

    Raises
    ------
    ConfigurationError
        There is none; says where one would be written.
    """
    file = config_file()
    found = load_environments(file)
    try:
        return found[EnvironmentName(name)]
    except (ValueError, KeyError):
        known = ", ".join(found)
        where = f"{file} has {known}" if file else f"there is no {CONFIG_FILE} here or in the home"
        raise ConfigurationError(
            f"No environment is called {name!r}: {where}. Write [environments.{name}]; there may be local, "
            f"staging and prod."
        ) from None


def _environment(file: Path, name: EnvironmentName, table: EnvironmentTable) -> Environment:
    supabase = table.target is TargetKind.SUPABASE
    host = f"https://{table.project_ref}.supabase.co"
    default = DEFAULT_HOME if name is EnvironmentName.LOCAL else DEFAULT_HOME / name.value
    return Environment(
        name=name,
        target=table.target,
        home=(file.parent / Path(table.home or default).expanduser()).resolve(),
        base_url=(table.base_url or (f"{host}/functions/v1" if supabase else "")).rstrip("/"),
        auth_url=(table.auth_url or (f"{host}/auth/v1" if supabase else "")).rstrip("/"),
        owner=table.owner,
        signal_source=table.signal_source or ("supabase" if supabase else None),
        live_switch=table.live_switch if table.live_switch is not None else table.target is TargetKind.LOCAL,
        kinds=table.kinds or (("api",) if supabase else ("api", "worker")),
        project_ref=table.project_ref,
        function=table.function,
        source=(file.parent / Path(table.source).expanduser()).resolve(),
        revision=table.revision,
        api_url=table.api_url.rstrip("/"),
        cli=table.cli,
        secrets=dict(table.secrets),
        commands=table.commands,
        file=file,
    )


def _told(file: Path, text: str, item: Mapping[str, Any]) -> str:
    """One mistake: where it is, and what is wrong; the value itself may be a secret and is not quoted."""
    location = tuple(str(part) for part in item["loc"])
    where = ".".join(part for part in location if part != "[key]")
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such field"
    line = _line_of(text, location)
    return f"{file}, line {line}: {where}: {message}" if line else f"{file}: {where or 'file'}: {message}"


def _line_of(text: str, location: tuple[str, ...]) -> int | None:
    """Return the line (from 1) of the deepest part of ``location`` that stands in the text, if any does."""
    table: tuple[str, ...] = ()
    best: tuple[int, int] = (0, 0)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        key = re.match(r"""\s*(['"]?[\w.-]+['"]?)\s*=""", line)
        if header:
            table = tuple(part.strip(" \t'\"") for part in header[1].split("."))
            path = table
        elif key:
            path = (*table, *(part.strip("'\"") for part in key[1].split(".")))
        else:
            continue
        if path == location[: len(path)] and len(path) > best[0]:
            best = (len(path), number)
    return best[1] or None
