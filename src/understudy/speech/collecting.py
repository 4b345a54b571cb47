"""The collection: what has outlived its time goes, and what does not match is listed before it goes.

Audio goes before its row, so a killed run leaves rows that the next run finds again. An object without a row
is deleted only when it was seen twice, an hour apart; a row without its object is only ever listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from understudy.clock import Clock
from understudy.errors import ConflictError, NotFoundError
from understudy.logs import get_logger
from understudy.settings import Settings
from understudy.speech.erasing import erase_account
from understudy.store import erasures, retention, rollups, sightings
from understudy.store.buckets import BUCKETS, GENERATIONS, REFERENCES, ListedObject
from understudy.store.database import Database
from understudy.store.idempotency import KEPT_FOR
from understudy.store.objects import ObjectStore
from understudy.store.quarantine import objects_in_quarantine
from understudy.store.retention import Expired
from understudy.store.sightings import MISSING, ORPHAN, Sighting

INTERVAL = timedelta(hours=1)
#: Between the two sightings after which an object without a row goes.
APART = timedelta(hours=1)
ROWS_A_STEP = 200
PLAIN_A_STEP = 5000
#: A day's counter is of use until the day is over everywhere.
COUNTERS_KEPT_DAYS = 2
#: Days of call buckets that are made ahead; without a run for longer, all go to one table, and work.
BUCKET_DAYS_AHEAD = 7
KEYS_A_STEP = 500
LISTED = 100
STATS_AT_ONCE = 8
#: One run walks for at most this long; the next goes on where it stopped.
WALK_S = 60.0
#: An erasure that began this long ago has no process any more.
ERASURE_DEAD_AFTER = timedelta(minutes=10)

log = get_logger(__name__)


@dataclass(slots=True)
class Report:
    """What a run removed (a dry run: would remove), and what does not match.

    Parameters
    ----------
    removed
        ``generations``, ``tasks``, ``calls``, ``ledger``, ``budget_counters``, ``idempotency_keys``,
        ``playback_events``, ``call_buckets``, ``tenant_minutes``, ``tenant_hours``, ``refusals``,
        ``secret_hits``, ``signal_drops``, ``voice_recordings``, ``orphans``, ``unfinished_files``,
        ``erasures`` (taken up again).
    complete
        False when a walk ran out of time; the next run goes on there.
    """

    dry_run: bool
    removed: dict[str, int] = field(default_factory=dict)
    orphans: int = 0
    missing: int = 0
    complete: bool = True
    sightings: list[Sighting] = field(default_factory=list)

    def count(self, name: str, number: int) -> None:
        """Add to what was removed."""
        self.removed[name] = self.removed.get(name, 0) + number

    def facts(self) -> dict[str, object]:
        """Return it without the list."""
        return {name: value for name, value in asdict(self).items() if name != "sightings"}


class Collector:
    """Runs collections, one at a time in the whole deployment."""

    def __init__(self, database: Database, objects: ObjectStore, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._objects = objects
        self._settings = settings
        self._clock = clock
        self._cursors: dict[str, str] = {}

    async def run_if_due(self) -> Report | None:
        """Run unless another process runs, or one ran within the hour."""
        async with sightings.collection_lock(self._database) as held:
            if not held:
                return None
            async with self._database.service() as conn:
                if not await sightings.due(conn, self._clock.now(), INTERVAL):
                    return None
            return await self._run(dry_run=False)

    async def run(self, *, dry_run: bool) -> Report:
        """Run now; ``dry_run`` writes nothing at all.

        Raises
        ------
        ConflictError
            Another process collects right now.
        """
        async with sightings.collection_lock(self._database) as held:
            if not held:
                raise ConflictError("A collection is running already; try again in a minute.")
            return await self._run(dry_run=dry_run)

    async def _run(self, *, dry_run: bool) -> Report:
        report = Report(dry_run)
        self._cursors = {}
        if not dry_run:
            async with self._database.service() as conn:
                self._cursors = await sightings.begin_run(conn, self._clock.now())
            await self._resume_erasures(report)
            async with self._database.service() as conn:
                await rollups.make_partitions(conn, BUCKET_DAYS_AHEAD)
        await self._expire(report)
        for bucket in BUCKETS:
            await self._match_objects(bucket, report)
            await self._match_rows(bucket, report)
        if not dry_run:
            report.count("unfinished_files", await self._objects.sweep(thorough=True))
            async with self._database.service() as conn:
                await sightings.forget_rowless(conn)
                report.sightings = await sightings.list_sightings(conn, LISTED)
                await sightings.end_run(conn, self._clock.now(), self._cursors, report.facts())
            log.info("collected", **report.facts())
        return report

    async def _resume_erasures(self, report: Report) -> None:
        async with self._database.service() as conn:
            dead = await erasures.unfinished_erasures(
                conn, self._clock.now() - ERASURE_DEAD_AFTER, ROWS_A_STEP
            )
        for user_id in dead:
            await erase_account(self._database, self._objects, self._clock, user_id, actor="collection")
        report.count("erasures", len(dead))

    async def _expire(self, report: Report) -> None:
        kept_days = {
            "generations": self._settings.retention_generations_days,
            "tasks": self._settings.retention_signals_days,
            "calls": self._settings.retention_signals_days,
            "ledger": self._settings.retention_signals_days,
            "budget_counters": COUNTERS_KEPT_DAYS,
            "idempotency_keys": KEPT_FOR.days,
            "playback_events": self._settings.retention_signals_days,
            "call_buckets": self._settings.retention_signals_days,
            "tenant_minutes": self._settings.retention_signals_days,
            "tenant_hours": self._settings.retention_signals_days,
            "refusals": self._settings.retention_signals_days,
            "secret_hits": self._settings.retention_signals_days,
            "signal_drops": self._settings.retention_signals_days,
            "voice_recordings": self._settings.retention_deleted_voices_days,
        }
        for rule, days in kept_days.items():
            if not days:
                continue
            cutoff = self._clock.now() - timedelta(days=days)
            if report.dry_run:
                async with self._database.service() as conn:
                    report.count(rule, await retention.count_expired(conn, rule, cutoff))
                continue
            if rule == "call_buckets":
                async with self._database.service() as conn:
                    report.count(rule, await retention.drop_buckets(conn, cutoff))
                continue
            while True:
                if rule in retention.PLAIN:
                    async with self._database.service() as conn:
                        dropped = await retention.drop_plain(conn, rule, cutoff, PLAIN_A_STEP)
                    report.count(rule, dropped)
                    if dropped < PLAIN_A_STEP:
                        break
                    continue
                async with self._database.service() as conn:
                    step = await retention.take_expired(conn, rule, cutoff, ROWS_A_STEP)
                if not step:
                    break
                await self._drop(rule, step)
                report.count(rule, len(step))

    async def _drop(self, rule: str, step: Sequence[Expired]) -> None:
        bucket = GENERATIONS if rule == "generations" else REFERENCES
        for row in step:
            if row.object_key:
                await self._objects.delete(bucket, row.object_key)
            if rule == "voice_recordings":
                await self._objects.delete(bucket, f"{row.user_id}/{row.id}/reference.original")
        async with self._database.service() as conn:
            await retention.drop_expired(conn, rule, [row.id for row in step])

    async def _match_objects(self, bucket: str, report: Report) -> None:
        """Walk the objects of a bucket from where the last run stopped."""
        cursor_name = f"objects:{bucket}"
        started_s = self._clock.monotonic_s()
        after = self._cursors.pop(cursor_name, "")
        page: list[ListedObject] = []
        async for item in self._objects.list(bucket, after=after):
            page.append(item)
            if len(page) < KEYS_A_STEP:
                continue
            await self._match_page(bucket, page, after, page[-1].key, report)
            after, page = page[-1].key, []
            if self._clock.monotonic_s() - started_s > WALK_S:
                self._cursors[cursor_name] = after
                report.complete = False
                return
        await self._match_page(bucket, page, after, None, report)

    async def _match_page(
        self, bucket: str, page: Sequence[ListedObject], after: str, upto: str | None, report: Report
    ) -> None:
        now = self._clock.now()
        async with self._database.service() as conn:
            owned = await sightings.owned_keys(conn, bucket, [item.key for item in page])
            orphans = [item for item in page if item.key not in owned]
            owners = {owner for item in orphans if (owner := sightings.owner_of(item.key)) is not None}
            erased = await erasures.erased_among(conn, list(owners))
            report.orphans += len(orphans)
            if report.dry_run:
                report.sightings += [Sighting(ORPHAN, bucket, o.key, o.size, now, now) for o in orphans]
                del report.sightings[LISTED:]
                return
            seen = await sightings.see(conn, ORPHAN, bucket, orphans, now)
            quarantined = await objects_in_quarantine(conn, bucket, [item.key for item in orphans])
            await sightings.forget(
                conn, ORPHAN, bucket, after=after, upto=upto, but=[item.key for item in orphans]
            )
        stored_at = {item.key: item.modified_at for item in orphans}
        # An upload waits this long for its voice.
        wait = timedelta(hours=self._settings.upload_abandoned_hours) if bucket == REFERENCES else APART
        # What is in quarantine waits for a person; an erased account's audio goes wherever it is.
        gone = [
            sighting.key
            for sighting in seen
            if sightings.owner_of(sighting.key) in erased
            or (
                sighting.key not in quarantined
                and now - sighting.first_seen_at >= APART
                and now - stored_at[sighting.key] >= wait
            )
        ]
        if not gone:
            return
        for key in gone:
            await self._objects.delete(bucket, key)
        async with self._database.service() as conn:
            await sightings.forget_keys(conn, ORPHAN, bucket, gone)
        report.orphans -= len(gone)
        report.count("orphans", len(gone))

    async def _match_rows(self, bucket: str, report: Report) -> None:
        """Ask for the object of each row, from where the last run stopped."""
        cursor_name = f"rows:{bucket}"
        started_s = self._clock.monotonic_s()
        after = self._cursors.pop(cursor_name, "")
        slots = asyncio.Semaphore(STATS_AT_ONCE)

        async def is_there(key: str) -> bool:
            async with slots:
                try:
                    return await self._objects.stat(bucket, key) is not None
                except NotFoundError:
                    # A key that no store takes.
                    return False

        while True:
            async with self._database.service() as conn:
                keys = await sightings.keys_of_rows(conn, bucket, after=after, limit=KEYS_A_STEP)
            if not keys:
                return
            there = await asyncio.gather(*(is_there(key) for key in keys))
            now = self._clock.now()
            lacking = [ListedObject(key, 0, now) for key, found in zip(keys, there, strict=True) if not found]
            report.missing += len(lacking)
            if report.dry_run:
                report.sightings += [Sighting(MISSING, bucket, row.key, 0, now, now) for row in lacking]
                del report.sightings[LISTED:]
            else:
                async with self._database.service() as conn:
                    await sightings.see(conn, MISSING, bucket, lacking, now)
                    found_again = [key for key, found in zip(keys, there, strict=True) if found]
                    await sightings.forget_keys(conn, MISSING, bucket, found_again)
            after = keys[-1]
            if self._clock.monotonic_s() - started_s > WALK_S:
                self._cursors[cursor_name] = after
                report.complete = False
                return
