"""Rung 3: the database restored from a backup, beside the broken one, and swapped in when it is proven.

A restore brings back what was deleted and loses what came since: the steps of
:mod:`understudy.restoration.actions.restored_database` undo the first and count the second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from understudy.errors import StoreUnavailableError, TargetError
from understudy.restoration.actions.env_switch import Verification
from understudy.restoration.actions.held_writes import DAMAGE, first_line, hold_writes, valves_to_close
from understudy.restoration.actions.restore_facts import (
    UNNAMED,
    chosen_backup,
    database_of_target,
    known_good_files,
    planned_backup,
    restore_key,
    restored_url,
)
from understudy.restoration.actions.restored_database import (
    Isolation,
    Reconcile,
    Replay,
    Swap,
    Unfreeze,
    Wake,
)
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.restoration.targets.base import Backup, DeploymentState
from understudy.restoration.targets.local_database import BROKEN_STATE
from understudy.store import catalog, drift, migrations
from understudy.store.backups.restoring import listed
from understudy.store.backups.verifying import history_departures
from understudy.store.drift import ScratchRefusedError
from understudy.store.freeze import read_freeze
from understudy.store.journal import digest
from understudy.store.migrations import Connection, Migration
from understudy.store.rescue import running_tasks

#: Running tasks may end before the dump; one that takes longer is reconciled by its job id.
LET_FINISH_S = 30.0
#: A database that does not answer for so long is frozen later, should it come back before the swap.
UNREACHABLE_S = 15.0
#: What the swap changes in the durable environment; in a process's own environment it hides that.
DATABASE_VARIABLE = "DATABASE_URL"


class Precheck:
    """Choose the backup and prove that it restores; without one nothing is begun."""

    name = "precheck"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the backup and the sequence of migrations; in place nobody agrees to an unnamed one."""
        sequence = known_good_files(run)
        unnamed, age = _unnamed(run), run.parameters.get("backup_age")
        return {
            "backup": planned_backup(run) or UNNAMED,
            **({"age": age} if age else {}),
            **({"problem": unnamed} if unnamed else {}),
            "migrations": {"head": max(sequence, default=None), "sequence_sha256": digest(dict(sequence))},
            "beside": run.target.capabilities.restore_beside,
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Never done by itself: an old proof proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Prove the backup that the plan names, or the newest that can be proven."""
        database = database_of_target(run)
        unsafe = self._unsafe(run)
        if unsafe is not None:
            raise StepError(f"{unsafe} Nothing was begun.", hopeless=True)
        wanted = planned_backup(run)
        found = [one for one in await database.backups() if wanted is None or one.id == wanted]
        refused: list[dict[str, str]] = []
        if wanted is not None and not found:
            # A point in time need not be on the list, which moves on while persons decide.
            try:
                found = [await database.verify_backup(wanted)]
            except TargetError as error:
                refused.append({"backup": wanted, "problem": error.message})
        for backup in found:
            try:
                problem = _objection(run, backup)
                proven = await database.verify_backup(backup.id) if problem is None else backup
                problem = problem or _objection(run, proven)
            except TargetError as error:
                problem = error.message
            if problem is None:
                return {
                    "backup": proven.id,
                    "created_at": proven.created_at.isoformat(),
                    "age_s": int((run.clock.now() - proven.created_at).total_seconds()),
                    "size_bytes": proven.size_bytes,
                    "verified_at": proven.verified_at.isoformat() if proven.verified_at else None,
                    "refused": refused,
                }
            refused.append({"backup": backup.id, "problem": problem})
        what = f"Backup {wanted}" if wanted is not None else "Every backup"
        reasons = " ".join(f"{one['backup']}: {one['problem']}" for one in refused[:3])
        raise StepError(
            f"{what} is refused, so nothing was begun. {reasons or 'There is none.'} See "
            "`understudy backup list`; `understudy restore --live --action database_restore --backup ID` "
            "names another.",
            final=True,
            evidence={"refused": refused},
        )

    def _unsafe(self, run: Restoration) -> str | None:
        """Say why whatever is restored would be in force unprepared, or out of sight."""
        able = run.target.capabilities
        if able.live_switch and not able.restore_beside:
            return (
                f"The target {run.target.name} restores in place under processes of ours: the backup's mode, "
                "deleted rows and old tasks would be in force at once. Stop them and restore by hand "
                "(docs/backups.md)."
            )
        if able.restore_beside and os.environ.get(DATABASE_VARIABLE):
            return (
                f"This process has {DATABASE_VARIABLE} in its own environment, so it would go on looking at "
                f"the broken database after the swap. Start it without."
            )
        return _unnamed(run)


class FreezeWrites:
    """Halt the rollout: writes and creates wait, a cutover ends, running tasks get a moment to finish."""

    name = "freeze_writes"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what is held."""
        return {
            "freeze": "writes",
            "close": list(valves_to_close()),
            "cutover": "returned",
            "target": run.target.name,
        }

    async def look(self, run: Restoration, key: str) -> Sighting:
        """Read the freeze, and wait a bounded time for what runs."""
        if not run.target.capabilities.live_switch:
            why = f"target {run.target.name} does not follow our freeze; stop writes where its clients are"
            return Sighting(Progress.DONE, evidence={"not_possible": why})
        try:
            async with (await run.connect()).service() as conn:
                row = await read_freeze(conn)
        except (StoreUnavailableError, *DAMAGE) as error:
            if isinstance(error, StoreUnavailableError) and self._waited_s(run, key) < UNREACHABLE_S:
                raise StoreUnavailableError(str(error)) from error
            return Sighting(Progress.DONE, evidence={"not_possible": first_line(error)})
        if row is None or not row.frozen:
            return Sighting(Progress.ABSENT, "writes are not frozen")
        running = await self._running(run)
        evidence = {"frozen_at": row.changed_at.isoformat(), "actor": row.actor, "still_running": running}
        if running and self._waited_s(run, key) < LET_FINISH_S:
            return Sighting(Progress.PENDING, f"{running} tasks still run", evidence)
        return Sighting(Progress.DONE, evidence=evidence)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any] | None:  # noqa: ARG002
        """Freeze, close the valves, bring everybody back from a cutover."""
        return await hold_writes(run)

    async def _running(self, run: Restoration) -> int | None:
        """How many tasks run; None where the damage has taken what says so."""
        try:
            async with (await run.connect()).service() as conn:
                return await running_tasks(conn)
        except DAMAGE:
            return None

    def _waited_s(self, run: Restoration, key: str) -> float:
        """Seconds since the intent of this step."""
        for entry in run.store.entries(run.incident):
            if entry.kind == "intent" and entry.step == self.name and entry.body.get("key") == key:
                return (run.clock.now() - entry.at).total_seconds()
        return 0.0


class DumpBroken:
    """Keep a dump of the broken state: it is evidence, and the only copy of what came since the backup."""

    name = "dump_broken"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what is kept."""
        return {"dump": "the present database", "restored_from": "never"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """The target knows by its key whether there is one: acting again is answered with it."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:
        """Dump it; where the restore is beside, the broken database stays too, and no dump is not the end."""
        database = database_of_target(run)
        # In place users go on writing between two attempts: each has a dump of its own.
        once = f"{run.incident}:{self.name}" if run.target.capabilities.restore_beside else key
        try:
            made = await database.take_backup(once, reason=BROKEN_STATE)
        except TargetError as error:
            if not run.target.capabilities.restore_beside:
                raise StepError(
                    f"There is no dump of the present state, and the restore is in place: {error.message}"
                ) from error
            return {"not_possible": error.message, "kept": "the broken database itself"}
        return {"dump": made.id, "created_at": made.created_at.isoformat(), "size_bytes": made.size_bytes}


class RestoreBeside:
    """Restore the backup: in one transaction, into a database of its own where the target can."""

    name = "restore_beside"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say from what, and where."""
        beside = run.target.capabilities.restore_beside
        return {
            "restore": planned_backup(run) or "the backup chosen",
            "place": "beside" if beside else "in place",
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Ask the target how far it is."""
        restore = await restore_key(run)
        found = await database_of_target(run).restoration(restore) if restore else None
        if found is None:
            return Sighting(Progress.ABSENT, "the restore has not begun")
        evidence = {
            "restore": found.id,
            **{name: value for step in found.steps for name, value in step.items()},
        }
        if found.state is DeploymentState.FAILED:
            # In place it may have happened all the same: never asked for twice without a person.
            hopeless = not run.target.capabilities.restore_beside
            said = f"The restore failed: {found.error}"
            raise StepError(said, final=True, hopeless=hopeless, evidence=evidence)
        done = found.state is DeploymentState.DONE
        return Sighting(Progress.DONE if done else Progress.PENDING, "the restore still runs", evidence)

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Begin it, once for its key."""
        chosen, restore = chosen_backup(run), await restore_key(run)
        if chosen is None or restore is None:
            raise StepError("No backup was chosen: the precheck has no outcome in this attempt.", final=True)
        await database_of_target(run).begin_restore(restore, chosen[0])


class ReapplyMigrations:
    """Bring the restored database to the known-good sequence: it may be behind it, never ahead or edited."""

    name = "reapply_migrations"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the sequence."""
        sequence = known_good_files(run)
        return {"up_to": max(sequence, default=None), "sequence_sha256": digest(dict(sequence))}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Compare history and catalog with what the sequence gives."""
        sequence = known_good_files(run)
        url = await restored_url(run)
        if url is None:
            return await self._look_in_place(run, sequence)
        async with await migrations.connect_owner(url) as conn:
            ran, hashes = await migrations.read_history(conn)
            history = {version: hashes.get(version, "") for version in ran}
            self._refuse(history, sequence)
            missing = sorted(sequence.keys() - ran)
            if missing:
                return Sighting(
                    Progress.ABSENT, f"{len(missing)} migrations are not applied: {listed(missing)}"
                )
            evidence = {"head": max(ran, default=None), "applied": len(ran)}
            return Sighting(Progress.DONE, evidence={**evidence, **await self._compare(run, conn)})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Apply the missing suffix, each file only when its hash is the recorded one."""
        sequence, url = known_good_files(run), await restored_url(run)
        if url is None:
            return
        files = {one.version: one for one in migrations.load_migrations()}
        other = [version for version in sorted(sequence) if _sha(files.get(version)) != sequence[version]]
        async with await migrations.connect_owner(url) as conn:
            ran, _ = await migrations.read_history(conn)
        unusable = [version for version in other if version not in ran]
        if unusable:
            raise StepError(
                f"The known-good file of migration {listed(unusable)} is not here, or has another content: "
                "check out the known-good revision and try again.",
                final=True,
            )
        await drift.apply_files(url, [files[version] for version in sorted(sequence) if version not in other])

    def _refuse(self, history: Mapping[str, str], sequence: Mapping[str, str]) -> None:
        departures = history_departures(history, sequence)
        if departures:
            raise StepError(
                f"The backup's history does not begin the known-good sequence: {listed(departures)}. "
                "Choose an older backup, or record known-good as it is now.",
                final=True,
                evidence={"departures": departures},
            )

    async def _compare(self, run: Restoration, conn: Connection) -> Mapping[str, Any]:
        """The catalog must be what the known-good files give; they are tried on a scratch database."""
        url = await restored_url(run)
        assert url is not None  # noqa: S101  (the caller has a connection to it)
        sequence = known_good_files(run)
        files = [one for one in migrations.load_migrations() if _sha(one) == sequence.get(one.version)]
        live = await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))
        if len(files) != len(sequence):
            return {
                "fingerprint": live.fingerprint,
                "catalog": "not compared: this code lacks known-good files",
            }
        try:
            expected = await drift.expected_catalog(url, files)
        except ScratchRefusedError as error:
            return {"fingerprint": live.fingerprint, "catalog": f"not compared: {error}"}
        kept = [schema for schema in live.schemas if schema in expected.schemas]
        problems = [one.what for one in catalog.compare(expected.only(kept), live.only(kept))]
        if problems:
            raise StepError(
                f"The restored catalog is not what the known-good migrations give: {listed(problems)}.",
                final=True,
                evidence={"differences": problems[:20]},
            )
        return {"fingerprint": live.fingerprint, "catalog": "as the known-good migrations give it"}

    async def _look_in_place(self, run: Restoration, sequence: Mapping[str, str]) -> Sighting:
        applied = await run.target.applied_migrations()
        self._refuse({one.version: one.sha256 or "" for one in applied}, sequence)
        missing = sorted(sequence.keys() - {one.version for one in applied})
        told = {"in_place": True, "applied": len(applied), "missing": missing}
        if missing:
            told["not_possible"] = "in place, migrations are applied by a person: `supabase db push`"
        return Sighting(Progress.DONE, evidence=told)


def _unnamed(run: Restoration) -> str | None:
    """Say that a person must name the backup: a restore in place can neither be tried nor taken back."""
    if run.target.capabilities.restore_beside or run.target.database is None or run.parameters.get("backup"):
        return None
    return (
        f"The target {run.target.name} restores in place, so a person must name the backup: "
        "`understudy backup list` has them, and `understudy restore --live --action database_restore "
        "--backup ID` asks for one."
    )


def _objection(run: Restoration, backup: Backup) -> str | None:
    """Say what speaks against a backup; its age alone does not, once a person has named it."""
    named = run.parameters.get("backup") == backup.id
    return None if named and backup.only_old else backup.problem


def _sha(migration: Migration | None) -> str | None:
    return migration.sha256 if migration is not None else None


#: The rung, in order; the evidence step comes before it.
STEPS: tuple[Step, ...] = (
    Precheck(),
    FreezeWrites(),
    DumpBroken(),
    RestoreBeside(),
    ReapplyMigrations(),
    Replay(),
    Reconcile(),
    Wake(),
    Swap(),
    Isolation(),
    Verification(),
    Unfreeze(),
)
#: An abort lets writes go again, on whichever database serves then.
ENDING = ("unfreeze",)
