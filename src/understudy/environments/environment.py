"""One environment, and what it means to a process."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from understudy.environments.tables import SUPABASE_API, CommandSet, EnvironmentName, TargetKind
from understudy.errors import ConfigurationError
from understudy.settings import ENV_FILE_VARIABLE, Settings

HOME_VARIABLE = "UNDERSTUDY_HOME"
BASE_URL_VARIABLE = "UNDERSTUDY_BASE_URL"
AUTH_URL_VARIABLE = "UNDERSTUDY_AUTH_URL"
SIGNAL_SOURCE_VARIABLE = "GUARD_SIGNAL_SOURCE"
DEFAULT_HOME = Path(".understudy")


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, its paths absolute.

    Parameters
    ----------
    home
        The guard's folder of it: store, reports, keys. On target ``local`` the whole installation's.
    base_url
        Where the API answers from outside; empty on a local one means what its supervisor says.
    auth_url
        The token endpoints, where they are not ``/auth/v1`` on the same host.
    live_switch
        Its processes are ours and follow the mode row of its database.
    source
        The repository that is deployed from.
    secrets
        Reference by the name under which a process gets it.
    file
        Where it is written; None for the local one that needs no file.
    """

    name: EnvironmentName
    target: TargetKind
    home: Path
    base_url: str = ""
    auth_url: str = ""
    owner: str = ""
    signal_source: str | None = None
    live_switch: bool = True
    kinds: tuple[str, ...] = ("api", "worker")
    project_ref: str = ""
    function: str = "api"
    source: Path = Path()
    revision: str = ""
    api_url: str = SUPABASE_API
    cli: tuple[str, ...] = ("supabase",)
    secrets: Mapping[str, str] = field(default_factory=dict)
    commands: CommandSet | None = None
    file: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether this machine's own processes are meant."""
        return self.target is TargetKind.LOCAL

    @property
    def is_production(self) -> bool:
        """Whether a change wants a person's typed word."""
        return self.name is EnvironmentName.PROD

    @property
    def folder(self) -> Path:
        """The folder of the file: what its relative paths and its commands start from."""
        return self.file.parent if self.file is not None else Path.cwd()

    def secret(self, name: str) -> SecretStr:
        """Return one of its secrets, read now.

        Raises
        ------
        ConfigurationError
            It is not named in the file, or what is named there holds nothing.
        """
        reference = self.secrets.get(name)
        if reference is None:
            raise ConfigurationError(
                f"Environment {self.name} needs {name}. Name it under [environments.{self.name}.secrets] in "
                f'{self.file or "understudy.toml"}, such as {name} = "env:{name}".'
            )
        value = self._resolved(reference)
        if not value:
            raise ConfigurationError(
                f"{name} of environment {self.name} is {reference}, and that holds nothing. Set it, or "
                f"correct {self.file}."
            )
        return SecretStr(value)

    def present_secrets(self) -> dict[str, SecretStr]:
        """Return those of its secrets that hold something now."""
        found = {name: self._resolved(reference) for name, reference in self.secrets.items()}
        return {name: SecretStr(value) for name, value in found.items() if value}

    def _resolved(self, reference: str) -> str:
        kind, _, rest = reference.partition(":")
        if kind == "env":
            return os.environ.get(rest, "")
        try:
            return (self.folder / Path(rest).expanduser()).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""


def builtin_local(home: Path | None = None) -> Environment:
    """Return the environment of this machine, as it is without any file."""
    return Environment(
        name=EnvironmentName.LOCAL,
        target=TargetKind.LOCAL,
        home=(home or Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)).expanduser().resolve(),
    )


def apply(environment: Environment, environ: MutableMapping[str, str], *, named: bool) -> None:
    """Make ``environ`` say what the environment means to a process.

    Parameters
    ----------
    named
        A person or a variable named it. Then nothing of the shell's own settings is taken over: an address
        of another environment that happens to be exported must not be the one that is acted on. The local
        environment, where nobody named one, only fills what the shell leaves open.
    """
    if environment.file is None:
        return
    values = {
        HOME_VARIABLE: str(environment.home),
        BASE_URL_VARIABLE: environment.base_url,
        AUTH_URL_VARIABLE: environment.auth_url,
        SIGNAL_SOURCE_VARIABLE: environment.signal_source or "",
        **{name: value.get_secret_value() for name, value in environment.present_secrets().items()},
    }
    if named:
        for name in [*(each.upper() for each in Settings.model_fields), ENV_FILE_VARIABLE, BASE_URL_VARIABLE]:
            environ.pop(name, None)
    for name, value in values.items():
        if value and (named or name not in environ):
            environ[name] = value
    env_file = environment.home / "understudy.env"
    if named and ENV_FILE_VARIABLE not in environ and env_file.is_file():
        environ[ENV_FILE_VARIABLE] = str(env_file)
