"""Which Supabase project, where its code lies, and how patient its target is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.settings import LOOPBACK_HOSTS

DEFAULT_API_URL = "https://api.supabase.com"
TOKEN_VARIABLE = "SUPABASE_ACCESS_TOKEN"  # noqa: S105  # the name of a variable
_REF = re.compile(r"[a-z]{20}\Z")
_FUNCTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
#: Later forms may differ: only what no header and no environment could carry is refused.
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the target waits, in seconds.

    Parameters
    ----------
    command_s
        For one command of the CLI; past it the outcome is unknown and is read back.
    settle_s
        For a change of unknown outcome to show, before it counts as not happened.
    throttled_s
        For the rate limit to let a request through (it counts by the minute).
    request_s
        For one answer of the Management API.
    look_every_s
        Between two looks.
    pace_s
        Between two reads of one endpoint, whoever asks: the engine looks more often than the limit allows.
    """

    command_s: float = 180.0
    settle_s: float = 20.0
    throttled_s: float = 90.0
    request_s: float = 15.0
    look_every_s: float = 2.0
    pace_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SupabaseProject:
    """One project, one function in it, and the repository that the function is deployed from.

    Parameters
    ----------
    ref
        The project's reference: 20 lower-case letters.
    token
        An access token that may write secrets and functions, and restore backups where that is wanted.
    base_url
        Where the API answers; by default the address of the project's functions.
    source
        Git repository with ``supabase/config.toml`` and ``supabase/functions/<function>/index.ts``.
    revision
        What to deploy while it is not known what is in force; empty means that a redeploy is refused then.
    token_variable
        Name of the variable that holds the token; for texts.
    command
        How the CLI is started.
    api_url
        Base of the Management API.
    """

    ref: str
    token: SecretStr
    base_url: str = ""
    source: Path = Path()
    revision: str = ""
    function: str = "api"
    token_variable: str = TOKEN_VARIABLE
    command: tuple[str, ...] = ("supabase",)
    api_url: str = DEFAULT_API_URL
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not _REF.match(self.ref):
            raise ConfigurationError(
                f"{self.ref!r} is no reference of a Supabase project: it must be 20 lower-case letters "
                f"(project settings, General)."
            )
        if not _TOKEN.match(self.token.get_secret_value()):
            raise ConfigurationError(
                f"{self.token_variable} holds no access token: make one in the Supabase dashboard under "
                f"Account, Access Tokens."
            )
        if not _FUNCTION.match(self.function):
            raise ConfigurationError(f"{self.function!r} is no name of an edge function.")
        if not self.command:
            raise ConfigurationError("The command of the Supabase CLI is empty.")
        host = re.match(r"(https?)://(\[[^\]]+\]|[^:/]+)", self.api_url)
        if host is None or (host[1] == "http" and host[2].strip("[]") not in LOOPBACK_HOSTS):
            raise ConfigurationError(f"{self.api_url!r}: the Management API is reached by https.")

    @property
    def address(self) -> str:
        """Base URL of the API, without a trailing slash; ``/api/health`` hangs below it."""
        return (self.base_url or f"https://{self.ref}.supabase.co/functions/v1").rstrip("/")

    @property
    def entrypoint(self) -> Path:
        """The function's file below the repository."""
        return Path("supabase") / "functions" / self.function / "index.ts"
