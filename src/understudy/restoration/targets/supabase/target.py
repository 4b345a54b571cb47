"""A Supabase project: its function's secrets, the deployment of that function, and its database in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.restoration.targets.base import (
    AppliedMigration,
    Deployment,
    RestorableDatabase,
    TargetCapabilities,
)
from understudy.restoration.targets.supabase.cli import SupabaseCli
from understudy.restoration.targets.supabase.commands import commands_for
from understudy.restoration.targets.supabase.database import ProjectDatabase
from understudy.restoration.targets.supabase.functions import FunctionDeployments
from understudy.restoration.targets.supabase.management import ManagementApi
from understudy.restoration.targets.supabase.project import SupabaseProject
from understudy.restoration.targets.supabase.secret_values import ProjectSecrets
from understudy.restoration.targets.supabase.state import ProjectState
from understudy.store.migrations import HISTORY_QUERY


class SupabaseTarget:
    """One project, changed by the CLI and read back through the Management API.

    Parameters
    ----------
    home
        What this machine remembers about the project lies in ``home/supabase/<ref>``.
    database_url
        The owner's address of its database, for the dump before a restore; None where nobody gave it.
    """

    def __init__(
        self, project: SupabaseProject, home: Path, clock: Clock, *, database_url: SecretStr | None = None
    ) -> None:
        folder = home / "supabase" / project.ref
        state, cli, api = ProjectState(folder), SupabaseCli(project), ManagementApi(project, clock)
        self._project = project
        self._api = api
        self._secrets = ProjectSecrets(project, cli, api, state, clock)
        self._functions = FunctionDeployments(project, cli, api, state, clock)
        self._database = ProjectDatabase(
            project, cli, api, state, clock, url=database_url, folder=folder / "dumps"
        )

    @property
    def name(self) -> str:
        """``supabase``."""
        return "supabase"

    @property
    def capabilities(self) -> TargetCapabilities:
        """Neither: it is the customer's own function, and a restore replaces the one database."""
        return TargetCapabilities(live_switch=False, restore_beside=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The one function."""
        return (self._project.function,)

    async def base_url(self) -> str:
        """Where the function answers."""
        return self._project.address

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        """Values as far as the digests prove them; the values of secrets cannot be read by anybody."""
        return await self._secrets.read(names)

    async def secret_names(self) -> frozenset[str]:
        """Names of every secret of the project."""
        return await self._secrets.names()

    async def write_env(self, changes: Mapping[str, str]) -> None:
        """Set secrets; exactly these digests must move."""
        await self._secrets.write(changes)

    async def redeploy(self, deployment_id: str) -> Deployment:
        """Deploy the code in force once more, and see it in force; this waits for the end."""
        await self._secrets.check_stopped()
        return await self._functions.again(deployment_id)

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment of that id."""
        return await self._functions.find(deployment_id)

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        """Deploy the function of ``revision`` from a worktree of its own; this waits for the end."""
        await self._secrets.check_stopped()
        return await self._functions.revision_of(deployment_id, revision)

    async def revision(self) -> str | None:
        """Return the commit in force; None where somebody else deployed last."""
        return await self._functions.commit_in_force()

    async def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """Return the migration history, through the project's read-only queries; it records no digests."""
        rows = await self._api.query(HISTORY_QUERY)
        return tuple(AppliedMigration(str(row["version"]), str(row.get("name") or "")) for row in rows)

    @property
    def database(self) -> RestorableDatabase:
        """Point-in-time recovery in place."""
        return self._database

    def commands_for(self, action: str, *, known_good: str, revision: str | None) -> tuple[str, ...]:
        """Return what a person types who does ``action`` by hand."""
        return commands_for(self._project, action, known_good=known_good, revision=revision)
