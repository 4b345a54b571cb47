"""What may stand in ``understudy.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from understudy.errors import ConfigurationError
from understudy.logs import Redactor
from understudy.settings import check_url

SUPABASE_API = "https://api.supabase.com"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
_PROJECT_REF = re.compile(r"[a-z]{20}\Z")
#: A word in braces, wherever it stands in an argument.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
#: Shapes beyond those of logs: tokens of Supabase, GitHub and AWS, and Modal's and Supabase's new keys.
_TOKEN_SHAPES = re.compile(
    r"\b(?:sbp_(?:oauth_)?[0-9a-f]{16,}|gh[pousr]_\w{16,}|AKIA[0-9A-Z]{12,}|[aw][ks]-\w{16,}|sb_secret_\w{8,})"
)
_shapes = Redactor()


class EnvironmentName(StrEnum):
    """The three environments of the incident template."""

    LOCAL = "local"
    STAGING = "staging"
    PROD = "prod"


class TargetKind(StrEnum):
    """What acts on an environment."""

    LOCAL = "local"
    SUPABASE = "supabase"
    COMMAND = "command"


def _without_secret(value: Any) -> Any:
    if isinstance(value, str) and (_shapes(value) != value or _TOKEN_SHAPES.search(value)):
        raise ValueError("this looks like a secret; keep it in a variable or a file, and name that")
    return value


def _is_reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if (kind == "env" and _VARIABLE.match(rest)) or (kind == "file" and rest):
        return value
    raise ValueError(
        'a secret is named, never written here: "env:NAME" for a variable, "file:PATH" for a file'
    )


def _is_variable(value: str) -> str:
    if not _VARIABLE.match(value):
        raise ValueError("this must be the name of an environment variable, in upper case")
    return value


Text = Annotated[str, BeforeValidator(_without_secret)]
#: ``env:NAME`` or ``file:PATH``.
SecretReference = Annotated[str, AfterValidator(_is_reference)]
_Argument = Annotated[str, BeforeValidator(_without_secret), Field(min_length=1)]
#: A program and its arguments; no shell reads them.
Argv = Annotated[tuple[_Argument, ...], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DatabaseCommands(_Table):
    """``[environments.NAME.commands.database]``: how backups are listed, taken, proven and restored."""

    backups: Argv
    """Print the backups as JSON, newest first: ``[{"id", "created_at", "size_bytes"?, "problem"?}]``."""
    take: Argv
    """Take one under the name ``{key}``; the same key twice is one backup. Print it as in the list."""
    verify: Argv
    """Prove ``{backup_id}`` by restoring it elsewhere; exit code 0 is proof."""
    restore: Argv
    """Restore ``{backup_id}`` in place; run once a ``{key}``."""

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        _check_placeholders(self.backups, "backups", ())
        _check_placeholders(self.take, "take", ("key",), required=("key",))
        _check_placeholders(self.verify, "verify", ("backup_id",), required=("backup_id",))
        _check_placeholders(self.restore, "restore", ("key", "backup_id"), required=("backup_id",))
        return self


class CommandSet(_Table):
    """``[environments.NAME.commands]``: a deployment as programs; JSON by standard streams."""

    read_env: Argv
    """Gets ``["NAME", ...]``, prints ``{"NAME": "value"}`` for those that are set."""
    write_env: Argv
    """Gets ``{"NAME": "value"}`` and makes it durable; in force with the next deployment."""
    redeploy: Argv
    """Starts everything anew; ``{deployment_id}`` is its idempotency key."""
    status: Argv | None = None
    """Prints ``{"state": "running" | "done" | "failed", "error"?}`` of ``{deployment_id}``."""
    deploy_revision: Argv | None = None
    """Deploys the code of ``{revision}``."""
    revision: Argv | None = None
    """Prints ``{"revision": "..."}``: what serves now."""
    migrations: Argv | None = None
    """Prints ``[{"version", "name", "sha256"?}]``, oldest first."""
    database: DatabaseCommands | None = None
    timeout_s: int = Field(default=600, ge=1, le=7200)
    """Seconds that a deployment or a restore may take."""
    query_timeout_s: int = Field(default=30, ge=1, le=600)
    """Seconds that every other command may take."""
    pass_env: tuple[Annotated[str, AfterValidator(_is_variable)], ...] = ()
    """Variables of this shell that the programs see besides PATH, HOME, locale and the named secrets."""

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        both = ("deployment_id", "revision")
        for name, allowed, required in (
            ("read_env", (), ()),
            ("write_env", (), ()),
            ("redeploy", both[:1], ()),
            ("status", both[:1], both[:1]),
            ("deploy_revision", both, both[1:]),
            ("revision", (), ()),
            ("migrations", (), ()),
        ):
            argv = getattr(self, name)
            if argv is not None:
                _check_placeholders(argv, name, allowed, required=required)
        return self


def _check_placeholders(
    argv: tuple[str, ...], name: str, allowed: tuple[str, ...], *, required: tuple[str, ...] = ()
) -> None:
    found = {word for part in argv for word in PLACEHOLDER.findall(part)}
    for word in found - set(allowed):
        known = ", ".join(f"{{{each}}}" for each in allowed) or "none"
        raise ValueError(f"{name} has no placeholder {{{word}}} (known here: {known})")
    for word in required:
        if word not in found:
            raise ValueError(f"{name} never says {{{word}}}")


#: What only one target understands.
_FIELDS_OF = {
    TargetKind.SUPABASE: ("project_ref", "function", "api_url", "cli"),
    TargetKind.COMMAND: ("commands", "kinds", "live_switch"),
}


class EnvironmentTable(_Table):
    """``[environments.NAME]`` of the file."""

    target: TargetKind
    base_url: Text = ""
    auth_url: Text = ""
    home: Text = ""
    owner: Text = ""
    signal_source: Literal["product", "supabase", "prometheus"] | None = None
    live_switch: bool | None = None
    kinds: tuple[Text, ...] = ()
    project_ref: Text = ""
    function: Text = "api"
    source: Text = "."
    revision: Text = ""
    api_url: Text = SUPABASE_API
    cli: Argv = ("supabase",)
    secrets: Mapping[Annotated[str, AfterValidator(_is_variable)], SecretReference] = Field(
        default_factory=dict
    )
    commands: CommandSet | None = None

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for name in ("base_url", "auth_url", "api_url"):
            url = getattr(self, name)
            try:
                if url:
                    check_url(name, url)
            except ConfigurationError as error:
                raise ValueError(error.message) from None
        return self

    @model_validator(mode="after")
    def _fits_its_target(self) -> Self:
        for kind, names in _FIELDS_OF.items():
            for name in names:
                if self.target is not kind and name in self.model_fields_set:
                    raise ValueError(f'{name} belongs to target "{kind}"')
        if self.target is TargetKind.SUPABASE and not _PROJECT_REF.match(self.project_ref):
            raise ValueError('target "supabase" needs project_ref: the 20 lower-case letters of the project')
        if self.target is TargetKind.COMMAND and (self.commands is None or not self.base_url):
            raise ValueError('target "command" needs base_url and a [commands] table')
        return self


class EnvironmentFile(_Table):
    """The whole file."""

    environments: Mapping[EnvironmentName, EnvironmentTable]

    @model_validator(mode="after")
    def _prod_has_an_owner(self) -> Self:
        prod = self.environments.get(EnvironmentName.PROD)
        if prod is not None and not prod.owner:
            raise ValueError("environments.prod needs an owner: the person who answers for it")
        return self
