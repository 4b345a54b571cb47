"""What is in force in an environment now, as a known-good record keeps it: of secrets only digests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.envfile import read_env_file
from understudy.environments import Environment
from understudy.errors import ConfigurationError, MigrationError, StoreUnavailableError, TargetError
from understudy.lanes import fingerprint
from understudy.processes.home import Home, read_json
from understudy.releases.building import build_release, release_of_installation
from understudy.releases.checkout import CHANGED_MARK, Checkout
from understudy.releases.identity import running_checkout
from understudy.releases.kept_environment import ENVIRONMENT_FILE, environment_digest
from understudy.releases.release import Release, damages, find_release, release_name, releases_dir
from understudy.restoration.targets.base import Target
from understudy.settings import Settings, settings_from
from understudy.store.migrations import load_migrations
from understudy.store.schema_watch import look_at_schema

#: Differ at each start of `understudy up`, or name a database that a restore may have replaced.
_OF_ONE_RUN = frozenset({"DATABASE_URL", "MIGRATION_DATABASE_URL", "UNDERSTUDY_HOME", "PUBLIC_BASE_URL"})


@dataclass(frozen=True, slots=True)
class Code:
    """The revision in force, and the release that holds it.

    Parameters
    ----------
    checkout
        Where its repository lies; None for an installed wheel.
    release
        None where the target deploys from the repository by itself.
    """

    revision: str | None
    tag: str | None
    checkout: Checkout | None
    release: Release | None

    def git(self) -> dict[str, Any] | None:
        """Return commit, tag, whether files differed, and the repository; None without a commit."""
        commit, _, changed = (self.revision or "").partition(CHANGED_MARK)
        if len(commit) != 40:
            return None
        place = str(self.checkout.root) if self.checkout else None
        return {"revision": commit, "tag": self.tag, "changed": bool(changed), "checkout": place}


def code_in_force(home: Path, *, allow_changes: bool, build: bool, clock: Clock) -> Code:
    """Return the code that this machine's api and worker are started from, as a release.

    Parameters
    ----------
    allow_changes
        Take a checkout whose files differ from its commit, as they are.
    build
        Make the release where there is none yet.

    Raises
    ------
    ConfigurationError
        The checkout was changed, the code is of no known revision, or the release cannot be made.
    ProcessError
        The release cannot be built, or does not start.
    """
    checkout = running_checkout()
    release: Release | None = None
    served = read_json(Home.at(home).release_file)
    if isinstance(served, dict):
        running = find_release(Home.at(home).root, str(served.get("name")))
        found = damages(running)
        if found:
            raise ConfigurationError(
                f"The release {running.name}, which is served, is not as it was built: {found[0]}. Build it "
                f"again before it is recorded: understudy releases build {running.revision[:12]}"
            )
        return Code(running.revision, running.tag, checkout, running)
    if checkout is None:
        if build:
            release = release_of_installation(releases_dir(Home.at(home).root), clock)
        return Code(release.revision if release else None, None, None, release)
    changes = checkout.changes()
    if changes and not allow_changes:
        listed = ", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")
        raise ConfigurationError(
            f"{checkout.root} differs from its commit ({listed}), so no revision names this state. Commit "
            f"and tag it, or give --allow-dirty: it is then recorded as changed."
        )
    revision = checkout.revision()
    if revision is None:
        raise ConfigurationError(f"git names no commit of {checkout.root}. Is git installed?")
    tag = checkout.tag_of(revision.partition(CHANGED_MARK)[0])
    if build:
        release = build_release(checkout, revision, releases_dir(Home.at(home).root), clock)
    return Code(revision, tag, checkout, release)


def code_of_source(environment: Environment) -> Code:
    """Return the revision that an environment is deployed from, where its target does that by itself."""
    checkout = Checkout.containing(environment.source)
    revision = checkout.commit(environment.revision or "HEAD") if checkout else None
    tag = checkout.tag_of(revision) if checkout and revision else None
    return Code(revision, tag, checkout, None)


async def check_served(target: Target, code: Code) -> None:
    """Raise :class:`ConfigurationError` where the processes that run now say they are another revision."""
    try:
        served = await target.revision()
    except TargetError:  # nothing runs: nothing contradicts
        return
    if served is not None and code.revision is not None and served != code.revision:
        here = release_name(code.revision)
        cure = f"Deploy it first: understudy releases deploy {here}"
        if CHANGED_MARK in here:  # no commit to build it from
            cure = "Start the processes anew from it first: understudy up"
        raise ConfigurationError(
            f"The processes run revision {release_name(served)}, and the code here is {here}, which has "
            f"proven nothing. {cure}"
        )


async def describe(target: Target, environment: Environment, home: Path, code: Code) -> dict[str, Any]:
    """Return everything that is recorded of the present state; digests only where it is secret.

    Raises
    ------
    ConfigurationError
        The environment file or a setting in it cannot be read.
    """
    values = environment_values(environment, home)
    settings = settings_from(values)
    key = settings.dashscope_api_key.get_secret_value()
    return {
        "git": code.git(),
        "release": code.release.document() if code.release else None,
        "migrations": await _migrations(target, environment, code),
        "catalog": await _catalog(settings),
        "environment_sha256": environment_digest(values),
        "settings": plain_settings(values),
        "secret_digests": settings.secret_digests(),
        "provider": {
            "mode": settings.tts_provider_mode,
            "known_good": settings.known_good_provider,
            "region": settings.dashscope_region,
            "address": settings.dashscope_base_url,
        },
        "qwen_key_fingerprint": fingerprint(key) if key else None,
    }


def environment_values(environment: Environment, home: Path) -> dict[str, str]:
    """Return names and values in force: of the environment file, or of this command's environment.

    Raises
    ------
    ConfigurationError
        The file of this machine cannot be read.
    """
    if environment.is_local:
        return read_env_file(home / ENVIRONMENT_FILE)
    return {name: value for name, value in os.environ.items() if name.lower() in Settings.model_fields}


def plain_settings(values: Mapping[str, str]) -> dict[str, str]:
    """Return the settings among ``values`` that are no secret and outlive a start of the processes."""
    fields = Settings.model_fields
    return {
        name: value
        for name, value in sorted(values.items())
        if name.lower() in fields
        and fields[name.lower()].annotation is not SecretStr
        and name not in _OF_ONE_RUN
    }


async def _migrations(target: Target, environment: Environment, code: Code) -> dict[str, Any]:
    """Return the files that the code needs; where a target deploys by itself, what its database says ran."""
    if environment.is_local:
        folder = code.release.migrations_dir if code.release else None
        files = {migration.version: migration.sha256 for migration in load_migrations(folder)}
        return {"head": max(files, default=None), "files": files}
    try:
        applied = await target.applied_migrations()
    except TargetError as error:
        return {"head": None, "files": {}, "problem": error.message}
    known = {one.version: one.sha256 for one in applied if one.sha256 is not None}
    return {"head": applied[-1].version if applied else None, "files": known}


async def _catalog(settings: Settings) -> dict[str, Any] | None:
    """Return the live catalog; None where the database does not answer."""
    owner = settings.migration_database_url
    url = owner if owner.get_secret_value() else settings.database_url
    if not url.get_secret_value():
        return None
    try:
        return (await look_at_schema(url)).live.as_json()
    except (StoreUnavailableError, MigrationError):
        return None
