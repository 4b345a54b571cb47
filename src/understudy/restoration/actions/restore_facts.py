"""What the steps of a database restore tell each other: the backup chosen, the restore's key, both databases.

Everything is read from the journal and from the target, so that a resumed run knows what the killed one did.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr

from understudy.errors import StoreUnavailableError, TargetError
from understudy.restoration.actions.step import Restoration, StepError
from understudy.restoration.approvals import plans_of
from understudy.restoration.targets.base import DeploymentState, RestorableDatabase
from understudy.store.addresses import database_of, with_database
from understudy.store.database import Database
from understudy.store.migrations import Connection, connect_owner, load_migrations

ACTION: Final = "database_restore"
ACTOR = "guard"
#: In the guard's store: the newest proven backup, as JSON ``{id, created_at}``; a plan names it.
NEWEST_PROVEN = "backup:newest_proven"
#: What a plan says that names no backup.
UNNAMED = "the newest that can be proven"
_APPLICATION = "understudy-restore"


def database_of_target(run: Restoration) -> RestorableDatabase:
    """Return the target's database.

    Raises
    ------
    StepError
        It offers no way to its backups: no later attempt can help.
    """
    database = run.target.database
    if database is None:
        raise StepError(
            f"The target {run.target.name} has no way to the database's backups: restore it by hand.",
            hopeless=True,
        )
    return database


def planned_backup(run: Restoration) -> str | None:
    """Return the backup that a person named, else the proposed plan's, else the newest proven one known.

    None where the newest that can be proven is chosen when it begins. A backup that the guard comes to know
    while persons decide changes no plan: it would void their agreement, and may hold the damage already.
    """
    named = run.parameters.get("backup")
    if named:
        return str(named)
    proposed = _proposed_backup(run)
    if proposed is not None:
        return None if proposed == UNNAMED else proposed
    known = run.store.meta(NEWEST_PROVEN)
    return str(json.loads(known)["id"]) if known else None


def _proposed_backup(run: Restoration) -> str | None:
    """Return what the newest plan names, where it is this attempt's and was begun or can be agreed to."""
    entries = run.store.entries(run.incident)
    plan = plans_of(entries).get(ACTION)
    if plan is None or not (plan.begun or run.clock.now() < plan.expires_at):
        return None
    [body] = [entry.body for entry in entries if entry.seq == plan.seq]
    if body["attempt"] != run.attempt:
        return None
    return next((step["plan"]["backup"] for step in body["plan"] if step["step"] == "precheck"), None)


def evidence_of(run: Restoration, step: str) -> Mapping[str, Any] | None:
    """Return what a step of this attempt ended with, where it ended well."""
    for entry in reversed(run.store.entries(run.incident)):
        body = entry.body
        if entry.kind == "outcome" and entry.step == step and body.get("action") == ACTION and body.get("ok"):
            evidence: Mapping[str, Any] = body["evidence"]
            return evidence if body.get("attempt") == run.attempt else None
    return None


def chosen_backup(run: Restoration) -> tuple[str, datetime] | None:
    """Return the backup that the precheck chose, and its moment; None before that."""
    evidence = evidence_of(run, "precheck")
    if evidence is None:
        return None
    return str(evidence["backup"]), datetime.fromisoformat(evidence["created_at"])


async def restore_key(run: Restoration) -> str | None:
    """Return the key of this incident's restore; a failed one is begun under a new key by a later attempt."""
    chosen = chosen_backup(run)
    if chosen is None:
        return None
    database = database_of_target(run)
    base = f"{run.incident}:restore:{chosen[0]}"
    for attempt in range(1, run.attempt + 1):
        key = base if attempt == 1 else f"{base}:{attempt}"
        found = await database.restoration(key)
        if found is None or found.state is not DeploymentState.FAILED or attempt == run.attempt:
            return key
    return base


async def restored_url(run: Restoration) -> SecretStr | None:
    """Return the owner's URL of the database beside; None where the restore is in place.

    Raises
    ------
    TargetError
        The restore is not done yet.
    """
    key = await restore_key(run)
    if key is None:
        raise TargetError("No backup has been chosen yet.")
    return await database_of_target(run).restored(key)


async def swapped(run: Restoration) -> bool:
    """Whether processes start from the restored database already."""
    url = await restored_url(run)
    if url is None or run.settings is None:
        return False
    return database_of(run.settings().database_url) == database_of(url)


@asynccontextmanager
async def restored_owner(run: Restoration) -> AsyncIterator[Connection]:
    """Connect to the restored database as its owner, in one transaction."""
    url = await restored_url(run)
    if url is None:
        raise TargetError("The restore is in place: there is no database beside.")
    async with await connect_owner(url) as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def restored_database(run: Restoration) -> AsyncIterator[Database]:
    """Open the restored database as the service does, under its own role."""
    url = await restored_url(run)
    if url is None or run.settings is None:
        raise TargetError("The restore is in place: there is no database beside.")
    own = with_database(run.settings().database_url, database_of(url))
    database = await Database.connect(own, application_name=_APPLICATION, max_size=2)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def broken_database(run: Restoration) -> AsyncIterator[Connection | None]:
    """Ask the broken database in one transaction; None where it cannot be reached."""
    async with AsyncExitStack() as stack:
        try:
            conn = await stack.enter_async_context((await run.connect()).service())
        except StoreUnavailableError:
            conn = None
        yield conn


def known_good_files(run: Restoration) -> Mapping[str, str]:
    """Return the known-good migrations, SHA-256 by version; without a record, this version's own."""
    record = run.known_good_record or run.store.known_good()
    files = (record.document.get("migrations") or {}).get("files") if record is not None else None
    return dict(files) if files else {one.version: one.sha256 for one in load_migrations()}


def code_lacks(run: Restoration) -> list[str]:
    """Return migrations of the present code beyond the known-good ones: it would not start without them."""
    wanted = known_good_files(run)
    return [one.version for one in load_migrations() if one.version not in wanted]
