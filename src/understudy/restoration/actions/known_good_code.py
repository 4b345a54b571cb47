"""The known-good revision before it is deployed: recorded, present, whole, able to serve on this schema."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import ConfigurationError, ProcessError, TargetError
from understudy.releases.building import build_release
from understudy.releases.checkout import CHANGED_MARK, Checkout
from understudy.releases.release import Release, damages, read_release
from understudy.releases.trial import try_schema
from understudy.restoration.actions.step import Restoration, StepError
from understudy.store.guard import KnownGood

#: Fetching is a courtesy: what was recorded is on this disk. A remote that is away costs no more than this.
FETCH_WITHIN_S = 8.0
_DATABASE_VARIABLES = ("MIGRATION_DATABASE_URL", "DATABASE_URL")
_LISTED = 3


@dataclass(frozen=True, slots=True)
class KnownGoodCode:
    """What a known-good record says of its code.

    Parameters
    ----------
    path
        Folder of its release; None where the target fetches a revision by itself.
    checkout
        Repository that the revision came from.
    migrations
        SHA-256 by version of the files it needs.
    dependencies
        Versions by name that the release was recorded with.
    """

    seq: int
    revision: str
    tag: str | None
    release_name: str | None
    wheel_sha256: str | None
    path: Path | None
    checkout: Path | None
    migrations: Mapping[str, str]
    dependencies: Mapping[str, str]

    @property
    def label(self) -> str:
        """Revision and tag for a sentence."""
        return f"{self.revision[:12]} ({self.tag})" if self.tag else self.revision[:12]

    @property
    def tells_revision(self) -> bool:
        """Whether its processes say which revision they are; where nobody knows, they must."""
        try:
            return self.path is None or read_release(self.path).tells_revision
        except ConfigurationError:
            return True


@dataclass(slots=True)
class Readiness:
    """Whether the revision can be deployed; if not why, and whether waiting could help."""

    problem: str | None = None
    hopeless: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)

    def refuse(self, problem: str, *, hopeless: bool = True) -> None:
        """Keep the first problem."""
        if self.problem is None:
            self.problem, self.hopeless = problem, hopeless


def code_of(record: KnownGood | None) -> KnownGoodCode:
    """Return the code of a record; raises a hopeless :class:`StepError` where it names none."""
    if record is None:
        raise StepError(
            "Nothing is recorded as known-good, so there is no revision to go back to. While things are "
            "well: understudy known-good record",
            hopeless=True,
        )
    document = record.document
    git, release = document.get("git") or {}, document.get("release") or {}
    revision = release.get("revision") or git.get("revision")
    if not revision:
        raise StepError(
            f"Known-good record #{record.seq} names no revision: it was not recorded from a checkout or a "
            f"wheel. Record one: understudy known-good record",
            hopeless=True,
        )
    return KnownGoodCode(
        seq=record.seq,
        revision=revision,
        tag=git.get("tag") or release.get("tag"),
        release_name=release.get("name"),
        wheel_sha256=release.get("wheel_sha256"),
        path=Path(release["path"]) if release.get("path") else None,
        checkout=Path(git["checkout"]) if git.get("checkout") else None,
        migrations=(document.get("migrations") or {}).get("files") or {},
        dependencies=release.get("dependencies") or {},
    )


async def check_ready(run: Restoration, code: KnownGoodCode) -> Readiness:
    """Look at everything that the deployment needs; a release that is not whole is built again."""
    ready = Readiness()
    checkout = Checkout.containing(code.checkout) if code.checkout is not None else None
    if checkout is not None:
        problem = await asyncio.to_thread(checkout.fetch, FETCH_WITHIN_S)
        ready.evidence["fetch"] = problem or "done, or no remote to fetch from"
        ready.evidence["tag_problem"] = await asyncio.to_thread(_tag_problem, code, checkout)
    release = None
    if code.path is not None:
        release = await asyncio.to_thread(_whole_release, code, code.path, checkout, run.clock, ready)
        if release is None:
            return ready
    elif checkout is not None and await asyncio.to_thread(checkout.commit, code.revision) is None:
        ready.refuse(
            f"Revision {code.label} is not in the repository at {checkout.root}. Fetch it there: "
            f"git fetch --all --tags"
        )
        return ready
    await _check_schema(run, code, release, ready)
    return ready


def _tag_problem(code: KnownGoodCode, checkout: Checkout) -> str | None:
    """Say how the recorded tag no longer names the recorded revision; the revision is what is deployed."""
    if code.tag is None:
        return None
    named = checkout.commit(f"refs/tags/{code.tag}")
    if named is None:
        return f"tag {code.tag} is gone; the revision it named is deployed"
    wanted = code.revision.partition(CHANGED_MARK)[0]
    if named != wanted:
        return f"tag {code.tag} was moved to {named[:12]} since; the recorded {wanted[:12]} is deployed"
    return None


def _whole_release(
    code: KnownGoodCode, path: Path, checkout: Checkout | None, clock: Clock, ready: Readiness
) -> Release | None:
    """Return the recorded release, built again where it is not what was recorded."""
    wrong = _departures(code, path)
    if not wrong:
        ready.evidence["rebuilt"] = False
        return read_release(path)
    ready.evidence["damage"] = wrong[:_LISTED]
    said = f"The release of {code.label} in {path} is not what was recorded ({'; '.join(wrong[:_LISTED])})"
    if checkout is None or (CHANGED_MARK not in code.revision and checkout.commit(code.revision) is None):
        ready.refuse(
            f"{said}, and its revision is in no repository here, so it cannot be built again. Fetch the "
            f"revision, or record a known-good state that is there."
        )
        return None
    try:
        release = build_release(checkout, code.revision, path.parent, clock)
    except (ConfigurationError, ProcessError) as error:
        ready.refuse(f"{said}, and building it again failed: {error.message}")
        return None
    other = [
        f"{name} {release.dependencies.get(name) or 'none'} instead of {version}"
        for name, version in sorted(code.dependencies.items())
        if release.dependencies.get(name) != version
    ]
    if other:
        ready.refuse(
            f"{said}. It was built again, but with other dependencies than were known to be good: "
            f"{', '.join(other[:_LISTED])}. Install those, then try again."
        )
        return None
    ready.evidence["rebuilt"] = True
    return release


def _departures(code: KnownGoodCode, path: Path) -> list[str]:
    try:
        release = read_release(path)
    except ConfigurationError as error:
        return [error.message]
    if release.wheel_sha256 != code.wheel_sha256 or release.revision != code.revision:
        return ["its manifest names another wheel"]
    if dict(release.dependencies) != dict(code.dependencies):
        return ["it was made anew with other dependencies"]
    return damages(release)


async def _check_schema(
    run: Restoration, code: KnownGoodCode, release: Release | None, ready: Readiness
) -> None:
    """Newer migrations are no hindrance; one that the code needs and that is gone or edited is."""
    try:
        applied = await run.target.applied_migrations()
    except TargetError as error:
        said = f"Whether {code.label} can serve on the present schema cannot be seen: {error.message}"
        ready.refuse(said, hopeless=False)
        return
    head = max(code.migrations, default="")
    ran = {one.version: one.sha256 for one in applied}
    newer = [version for version in ran if version > head]
    missing = [version for version in code.migrations if version not in ran]
    edited = [
        version
        for version, recorded in code.migrations.items()
        if ran.get(version) is not None and ran[version] != recorded
    ]
    ready.evidence["schema"] = {"newer": newer, "missing": missing, "edited": edited}
    if missing or edited:
        what = [f"{version} is missing" for version in missing]
        what += [f"{version} ran with another content" for version in edited]
        ready.refuse(
            f"{code.label} cannot serve on the present schema: migration {', '.join(what[:_LISTED])}. That "
            f"is the database's trouble: see database restore."
        )
        return
    if release is None:
        return
    values = await run.target.read_env(_DATABASE_VARIABLES)
    url = next((values[name] for name in _DATABASE_VARIABLES if values.get(name)), "")
    try:
        trial = await asyncio.to_thread(try_schema, release, SecretStr(url))
    except ProcessError as error:
        ready.refuse(error.message, hopeless=False)
        return
    ready.evidence["schema"]["asked"] = "the release's own check, on the live database"
    ready.evidence["schema"]["newer"] = list(trial.newer)
    if trial.problem is not None:
        ready.refuse(f"{code.label} refuses the present schema: {trial.problem}")
