"""Which target acts on an environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.environments import Environment, TargetKind
from understudy.restoration.targets.base import Target
from understudy.restoration.targets.command import CommandTarget
from understudy.restoration.targets.local import LocalTarget
from understudy.restoration.targets.local_database import LocalDatabase
from understudy.restoration.targets.supabase import SupabaseProject, SupabaseTarget
from understudy.settings import Settings

TOKEN_VARIABLE = "SUPABASE_ACCESS_TOKEN"  # noqa: S105  # the name of one


def target_of(environment: Environment, home: Path, settings: Settings, clock: Clock) -> Target:
    """Return the target of ``environment``; nothing is contacted yet.

    Parameters
    ----------
    home
        Where the target remembers what it began; on ``local`` the installation itself.
    settings
        As the guard or a command of that environment reads them.

    Raises
    ------
    ConfigurationError
        A secret that the target needs is not named or holds nothing.
    """
    match environment.target:
        case TargetKind.COMMAND:
            return CommandTarget(environment, home, clock)
        case TargetKind.SUPABASE:
            return SupabaseTarget(_project(environment), home, clock, database_url=_owner_url(settings))
        case TargetKind.LOCAL:
            database = LocalDatabase(home, settings, clock)
            return LocalTarget(home, base_url=environment.base_url, database=database)


def _project(environment: Environment) -> SupabaseProject:
    return SupabaseProject(
        ref=environment.project_ref,
        token=environment.secret(TOKEN_VARIABLE),
        token_variable=environment.secrets[TOKEN_VARIABLE].removeprefix("env:"),
        base_url=environment.base_url,
        source=environment.source,
        revision=environment.revision,
        function=environment.function,
        command=environment.cli,
        api_url=environment.api_url,
    )


def _owner_url(settings: Settings) -> SecretStr | None:
    url = settings.migration_database_url
    return url if url.get_secret_value() else None
