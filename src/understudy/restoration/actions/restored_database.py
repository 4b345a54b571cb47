"""The later steps of a database restore: what the restored database needs before anybody writes to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.errors import ConfigurationError, ProviderError, UnderstudyError
from understudy.providers.base import MadeVoice, Provider
from understudy.providers.catalog import build_providers
from understudy.providers.prices import PRICES
from understudy.restoration.actions.held_writes import freeze_reason, hold_late, takes_writes, valves_to_close
from understudy.restoration.actions.restore_facts import (
    ACTOR,
    broken_database,
    chosen_backup,
    code_lacks,
    database_of_target,
    evidence_of,
    restore_key,
    restored_database,
    restored_owner,
    restored_url,
    swapped,
)
from understudy.restoration.actions.step import Progress, Restoration, Sighting, StepError
from understudy.restoration.signals.processes import mode_document, process_document
from understudy.restoration.targets.base import MODE_VARIABLE, DeploymentState
from understudy.rollout.freeze import set_freeze
from understudy.rollout.mode import set_mode
from understudy.store import rescue, tombstones
from understudy.store.addresses import database_of
from understudy.store.creates import held_voices
from understudy.store.freeze import read_freeze
from understudy.store.migrations import Connection
from understudy.store.mode import list_processes, read_mode
from understudy.store.object_choice import open_objects
from understudy.store.objects import ObjectStore
from understudy.store.tenant_walls import check_walls
from understudy.store.tombstones import Tombstone
from understudy.store.valves import read_valves, set_valve

_IN_PLACE = "the restore is in place: our tables are not beside, so this is for a person to look at"
_LISTED = 50


async def _nothing_beside(run: Restoration) -> Sighting | None:
    """Say that there is nothing to prepare: the restore is in place, or processes run on it already."""
    if chosen_backup(run) is None:
        return Sighting(Progress.ABSENT, "no backup has been chosen yet")
    if await restored_url(run) is None:
        return Sighting(Progress.DONE, evidence={"not_possible": _IN_PLACE})
    if await swapped(run):
        return Sighting(
            Progress.DONE, evidence={"skipped": "processes start from the restored database already"}
        )
    return None


class Replay:
    """Delete and revoke again what the backup brought back."""

    name = "replay"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say from where."""
        return {
            "replay": "tombstones",
            "from": ["the broken database", "their copies beside the stored audio"],
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Whether every tombstone is in the restored database: each is its own key."""
        settled = await _nothing_beside(run)
        if settled is not None:
            return settled
        if await takes_writes(run):
            return Sighting(Progress.ABSENT, "the broken database came back and takes writes")
        found, sources = await self._found(run)
        async with restored_owner(run) as conn:
            left = await tombstones.unreplayed(conn, found)
            old = await self._old_passwords(run, conn, dry=True)
        if left or old:
            return Sighting(Progress.ABSENT, f"{len(left)} deletions and {old} passwords are not replayed")
        return Sighting(Progress.DONE, evidence={"replayed": {}, "sources": sources})

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Replay them, all or none, once nothing more can be deleted where they come from."""
        await hold_late(run)
        found, sources = await self._found(run)
        async with restored_owner(run) as conn:
            left = await tombstones.unreplayed(conn, found)
            changed = await tombstones.replay(conn, left)
            renewed = await self._old_passwords(run, conn, dry=False)
        told = sum(1 for one in left if one.kind == "password")
        unknown = max(0, told - renewed) if sources["broken_database"] is None else 0
        return {
            "tombstones": len(left),
            "rows_changed": changed,
            "passwords_renewed": renewed,
            "passwords_old_again": unknown,
            "sources": sources,
        }

    async def _found(self, run: Restoration) -> tuple[list[Tombstone], dict[str, Any]]:
        chosen = chosen_backup(run)
        assert chosen is not None  # noqa: S101  (looked at before)
        sources: dict[str, Any] = {"broken_database": None, "copies": None}
        found: set[Tombstone] = set()
        async with broken_database(run) as broken:
            rows = await rescue.tombstones_of(broken) if broken is not None else None
        if rows is not None:
            found |= set(rows)
            sources["broken_database"] = len(rows)
        objects = _objects(run)
        if objects is not None:
            copies = await tombstones.copied_tombstones(objects, chosen[1])
            found |= set(copies)
            sources["copies"] = len(copies)
        if sources["broken_database"] is None and objects is None:
            raise StepError(
                "Neither the broken database nor the stored audio can be read: what was deleted since the "
                "backup would come back. Make one of them readable."
            )
        return sorted(found, key=lambda one: (one.at, one.kind, one.subject)), sources

    async def _old_passwords(self, run: Restoration, conn: Connection, *, dry: bool) -> int:
        chosen = chosen_backup(run)
        async with broken_database(run) as broken:
            if broken is None or chosen is None:
                return 0
            return await rescue.renew_passwords(conn, broken, chosen[1], dry=dry)


class Reconcile:
    """Decide the tasks in flight, adopt or list what providers made since, and count what is lost."""

    name = "reconcile"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what is compared."""
        return {"tasks": "by job id", "providers": "adopt or list", "loss": "rows per table, micro-dollars"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Never done by itself until the database is in service: all of it may be done again."""
        return await _nothing_beside(run) or Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Compare both databases; without the broken one, unknown tasks fail and the loss stays unknown."""
        chosen = chosen_backup(run)
        assert chosen is not None  # noqa: S101  (looked at before)
        async with broken_database(run) as broken, restored_owner(run) as conn:
            tasks = await rescue.hold_tasks(conn, broken)
            providers = await self._providers(run, conn, broken)
            jobs = await rescue.jobs_without_rows(conn, broken) if broken is not None else []
            loss = await rescue.measure_loss(conn, broken, chosen[1]) if broken is not None else None
        lost = loss.document() if loss is not None else None
        return {
            "backup": chosen[0],
            "backup_at": chosen[1].isoformat(),
            "tasks": tasks,
            "providers": providers,
            "jobs_without_rows": jobs[:_LISTED],
            "rpo": {"since": chosen[1].isoformat(), "measured": lost is not None, **(lost or {})},
            "followups": _followups(providers, jobs, lost),
        }

    async def _providers(
        self, run: Restoration, conn: Connection, broken: Connection | None
    ) -> list[dict[str, Any]]:
        if run.settings is None:
            return []
        try:
            providers = build_providers(run.settings(), run.clock)
        except ConfigurationError as error:
            return [{"provider": "all", "not_possible": error.message}]
        try:
            return [
                await adopt_or_list(conn, broken, provider, _objects(run))
                for provider in providers.values()
                if provider.capabilities.bills_creates
            ]
        finally:
            for provider in providers.values():
                await provider.close()


class Wake:
    """Write what no process may start without: mode and epoch, the freeze, valves, closed reads."""

    name = "wake"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which mode, above which epoch."""
        return {"mode": run.known_good, "epoch": "above every epoch seen", "writes": "frozen"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Read mode, freeze and the durable environment: they are their own key."""
        settled = await _nothing_beside(run)
        if settled is not None:
            return settled
        durable = (await run.target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
        async with restored_database(run) as database, database.service() as conn:
            row, freeze = await read_mode(conn), await read_freeze(conn)
            processes = await list_processes(conn, 10 * 365 * 86_400)
        ours = row is not None and row.incident == run.incident and row.value == run.known_good
        if not ours or row is None or row.epoch < run.store.highest_mode_epoch() or processes:
            return Sighting(Progress.ABSENT, "the restored mode row is the backup's")
        if freeze is None or not freeze.frozen or durable != run.known_good:
            return Sighting(Progress.ABSENT, "the restored database would take writes, or another mode")
        run.store.saw_mode_epoch(row.epoch)
        return Sighting(Progress.DONE, evidence={"mode": mode_document(row), "frozen": True})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Write them, above the highest epoch that anybody has seen.

        A freeze that a person set before stays that person's; one that the backup brings along is history.
        """
        reason, frozen_by, because = freeze_reason(run), ACTOR, freeze_reason(run)
        async with broken_database(run) as broken, restored_owner(run) as conn:
            await rescue.forget_processes(conn)
            if broken is not None:
                await rescue.keep_protections(conn, broken)
                # Nobody may have watched: a person restores without a guard too.
                run.store.saw_mode_epoch(await rescue.highest_epoch(broken))
                held = await rescue.freeze_in_force(broken)
                frozen_by, because = (held.actor, held.reason) if held is not None else (frozen_by, because)
        await run.target.write_env({MODE_VARIABLE: run.known_good})
        async with restored_database(run) as database:
            async with database.service() as conn:
                brought = await read_freeze(conn)
            if brought is not None and brought.frozen and brought.reason != because:
                await set_freeze(database, frozen=False, actor=ACTOR, reason=f"{reason}: of the backup")
            await set_freeze(database, frozen=True, actor=frozen_by, reason=because)
            async with database.service() as conn:
                for valve in valves_to_close():
                    await set_valve(conn, valve, closed=True, actor=ACTOR, reason=reason)
            row = await set_mode(
                database,
                run.known_good,
                actor=ACTOR,
                reason=run.reason,
                incident=run.incident,
                minimum_epoch=run.store.highest_mode_epoch(),
            )
        run.store.saw_mode_epoch(row.epoch)


class Swap:
    """Name the restored database in the durable environment and start every process anew."""

    name = "swap"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what is replaced, and by which code."""
        return {"replace": list(run.target.kinds), "code": self._revision(run) or "as it is"}

    async def look(self, run: Restoration, key: str) -> Sighting:
        """Nothing counts until every process reports from the restored database."""
        if chosen_backup(run) is None:
            return Sighting(Progress.ABSENT, "no backup has been chosen yet")
        url = await restored_url(run)
        if url is None:
            return Sighting(
                Progress.DONE, evidence={"skipped": "the restore is in place: there is nothing to swap"}
            )
        deployment = await run.target.deployment(key) if await swapped(run) else None
        if deployment is None:
            return Sighting(Progress.ABSENT, "processes run on the broken database")
        evidence: dict[str, Any] = {
            "database": database_of(url),
            "deployment": deployment.id,
            "steps": [dict(step) for step in deployment.steps],
            **json.loads(run.store.meta(_again_name(run)) or "{}"),
        }
        if deployment.state is DeploymentState.FAILED:
            raise StepError(f"The redeploy failed: {deployment.error}", final=True, evidence=evidence)
        async with restored_database(run) as database, database.service() as conn:
            processes = await list_processes(conn, run.stale_after_s)
        evidence["processes"] = [process_document(process) for process in processes]
        missing = [kind for kind in run.target.kinds if all(one.kind != kind for one in processes)]
        if deployment.state is not DeploymentState.DONE or missing:
            who = " or ".join(missing) or "redeploy"
            return Sighting(Progress.PENDING, f"no {who} has reported from the restored database", evidence)
        return Sighting(Progress.DONE, evidence=evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """See that tenants are apart and writes are held, then swap and redeploy, once for the key."""
        restore = await restore_key(run)
        if restore is None:
            raise StepError("No backup was chosen: the precheck has no outcome in this attempt.", final=True)
        if not await swapped(run):
            async with restored_database(run) as database:
                _refuse_open(await check_walls(database))
            await self._catch_up(run)
        await database_of_target(run).swap(restore)
        revision = self._revision(run)
        if revision is not None and await run.target.revision() != revision:
            await run.target.deploy_revision(key, revision)
        else:
            await run.target.redeploy(key)

    async def _catch_up(self, run: Restoration) -> None:
        """Do again what was done without the broken database, or while it took writes, if it is back."""
        name = _again_name(run)
        if await takes_writes(run):
            # Remembered first: what a killed process froze here would pass as frozen all along.
            run.store.remember(name, "{}")
            await hold_late(run)
        measured = ((evidence_of(run, "reconcile") or {}).get("rpo") or {}).get("measured")
        known = run.store.meta(name)
        if known != "{}" and (known is not None or measured is not False):
            return
        async with broken_database(run) as broken:
            if broken is None:
                return
        replayed = await Replay().act(run, "replay")
        found = dict(await Reconcile().act(run, "reconcile"))
        await Wake().act(run, "wake")  # the protections of now, above the epochs of now
        told = {"followups": found.pop("followups"), "replay": dict(replayed), "reconcile": found}
        run.store.remember(name, json.dumps(told))

    def _revision(self, run: Restoration) -> str | None:
        """The known-good revision, where the present code would refuse the restored database."""
        record = run.known_good_record or run.store.known_good()
        release = record.document.get("release") if record is not None else None
        return str(release["revision"]) if release and code_lacks(run) else None


class Isolation:
    """The cross-tenant suite, asked of the restored database itself; the API's own is the checklist's."""

    name = "isolation"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what is tried."""
        return {"tenants": 2, "tries": ["read", "change", "delete", "anonymous read"]}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Never done by itself: an old answer proves nothing."""
        if not run.target.capabilities.live_switch:
            return Sighting(Progress.DONE, evidence={"not_possible": _IN_PLACE})
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Try; one row seen fails the step."""
        _refuse_open(await check_walls(await run.connect()))
        return {"problems": [], "tenants": 2}


class Unfreeze:
    """Let writes go again, and open the valves that this restore closed."""

    name = "unfreeze"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what is let go."""
        return {"thaw": "writes", "open": list(valves_to_close())}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the row is its own key
        """Read freeze and valves; a freeze that a person set stays that person's."""
        if not run.target.capabilities.live_switch:
            return Sighting(Progress.DONE, evidence={"not_possible": "let writes go where they were stopped"})
        async with (await run.connect()).service() as conn:
            freeze, ours = await read_freeze(conn), await self._ours(run, conn)
        frozen = freeze is not None and freeze.frozen
        if freeze is not None and frozen and freeze.reason != freeze_reason(run):
            return Sighting(Progress.DONE, evidence={"skipped": f"frozen by {freeze.actor}: {freeze.reason}"})
        if frozen or ours:
            return Sighting(Progress.ABSENT, "writes are frozen")
        return Sighting(Progress.DONE, evidence={"frozen": False})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Open and thaw."""
        database = await run.connect()
        async with database.service() as conn:
            for valve in await self._ours(run, conn):
                await set_valve(conn, valve, closed=False, actor=ACTOR, reason=f"{freeze_reason(run)}: done")
        await set_freeze(database, frozen=False, actor=ACTOR, reason=f"{freeze_reason(run)}: done")

    async def _ours(self, run: Restoration, conn: Connection) -> list[str]:
        rows = await read_valves(conn)
        return [row.name for row in rows.values() if row.closed and row.reason == freeze_reason(run)]


def _again_name(run: Restoration) -> str:
    """Where the guard's store keeps what was done again before the swap."""
    return f"restore:again:{run.incident}:{run.attempt}"


def _objects(run: Restoration) -> ObjectStore | None:
    if run.settings is None:
        return None
    try:
        return open_objects(run.settings(), run.clock)
    except ConfigurationError:
        return None


async def adopt_or_list(
    conn: Connection, broken: Connection | None, provider: Provider, objects: ObjectStore | None
) -> dict[str, Any]:
    """Adopt a provider's voices whose row tells enough; list the others with what they cost.

    Parameters
    ----------
    conn
        The restored database; an adopted voice's row is written there.
    """
    try:
        made = await provider.made_voices()
    except ProviderError as error:
        return {"provider": provider.name, "not_possible": f"{error.code}: {error.message}"}
    names = [voice.voice_id for voice in made]
    held = await held_voices(conn, provider.name, names)
    loose = {voice.voice_id: voice for voice in made if voice.voice_id not in held}
    rows = await rescue.rows_of_provider_voices(broken, provider.name, list(loose)) if broken else {}
    adopted = []
    for name, row in rows.items():
        if await _can_speak(objects, row) and await rescue.adopt_voice(conn, row):
            adopted.append(name)
            del loose[name]
    orphans = [{"voice": name, "kind": one.kind, "microusd": _cost(one)} for name, one in loose.items()]
    return {
        "provider": provider.name,
        "made": len(made),
        "adopted": sorted(adopted)[:_LISTED],
        "orphans": orphans[:_LISTED],
        "orphans_total": len(orphans),
        "orphans_microusd": sum(_cost(one) for one in loose.values()),
    }


async def _can_speak(objects: ObjectStore | None, row: Mapping[str, Any]) -> bool:
    """Whether the row's recording is there: without it the voice would be lost at the other provider."""
    reference = row.get("reference_object_key")
    if objects is None or not reference:
        return False
    try:
        return await objects.stat("references", str(reference)) is not None
    except UnderstudyError:
        return False


def _cost(voice: MadeVoice) -> int:
    return PRICES.design_create if voice.kind == "vd" else PRICES.clone_create


def _refuse_open(problems: Sequence[str]) -> None:
    if problems:
        raise StepError(
            f"Tenants are not apart in the restored database: {'; '.join(problems[:5])}.",
            final=True,
            evidence={"problems": list(problems)},
        )


def _followups(
    providers: Sequence[Mapping[str, Any]], jobs: Sequence[Mapping[str, Any]], lost: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """What a person has to do afterwards, with money where it is about money."""
    said: list[dict[str, Any]] = []
    for told in providers:
        name = told["provider"]
        if told.get("not_possible"):
            text = (
                f"Compare {name}'s voices with ours (`understudy reconcile creates`): {told['not_possible']}"
            )
            said.append({"id": f"provider-unread-{name}", "text": text, "blocking": True})
        elif told["orphans_total"]:
            dollars = told["orphans_microusd"] / 1_000_000
            count = told["orphans_total"]
            text = f"{count} voices at {name} have no row (made for ${dollars:.2f}): adopt or delete them."
            said.append({"id": f"provider-orphans-{name}", "text": text, "blocking": False})
    if jobs:
        text = f"{len(jobs)} jobs run at a provider without a task of ours: cancel them there."
        said.append({"id": "jobs-without-rows", "text": text, "blocking": False})
    if lost is None:
        text = "What was lost since the backup could not be measured: the broken database does not answer."
        said.append({"id": "loss-unknown", "text": text, "blocking": True})
    elif lost["ledger_gaps"]:
        dollars = (lost["ledger_microusd"] or 0) / 1_000_000
        count = lost["ledger_gaps"]
        text = f"The ledger lacks {count} entries of ${dollars:.2f}: book them, or refund the tenants."
        said.append({"id": "ledger-gaps", "text": text, "blocking": False})
    return said
