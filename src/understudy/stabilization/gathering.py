"""What the gates are judged by: product, guard's store, drills, backups. What cannot be read is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from understudy.clock import Clock
from understudy.errors import BackupError, StoreUnavailableError
from understudy.restoration.drills.history import last_passed
from understudy.settings import Settings
from understudy.stabilization.gates import CANDIDATE, DRILL_AGE, PERIOD, Found, PastIncident
from understudy.stabilization.severity import severity_of
from understudy.stabilization.signing import sign_offs
from understudy.store.backups.manifest import EVIDENCE
from understudy.store.backups.shelf import Shelf
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.guard.rows import TERMINAL_STATES
from understudy.store.stabilization import Day, Service, read_days, read_service

#: The provider call behind generate, whose success the SLO is about.
OPERATION = "speak"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose stabilization is asked.

    Parameters
    ----------
    store
        The guard's; None when it cannot be opened, and ``no_store`` says why.
    drilled_in
        Home and name of the environment whose drills count; None: this one's own.
    """

    environment: str
    home: Path
    settings: Settings
    store: GuardStore | None
    slo_percent: float
    no_store: str = ""
    drilled_in: tuple[Path, str] | None = None


async def gather(place: Place, clock: Clock) -> Found:
    """Look everywhere once; raises nothing for what is away."""
    now = clock.now()
    problems: dict[str, str] = {}
    service, days = await _product(place, now, problems)
    incidents: Sequence[PastIncident] = ()
    if place.store is None:
        problems["guard"] = place.no_store
    else:
        incidents = past_incidents(place.store, place.environment, now)
    drills, drilled_as = place.drilled_in or (place.home, place.environment)
    drill = last_passed(drills, environment=drilled_as, within=DRILL_AGE, now=now)
    return Found(
        service=service,
        incidents=incidents,
        days=days,
        drill_at=datetime.fromisoformat(drill.at) if drill is not None else None,
        backup_at=await asyncio.to_thread(_backup, place, clock, problems),
        backup_max_age_s=place.settings.backup_max_age_s,
        sign_offs=sign_offs(place.store, place.environment) if place.store is not None else (),
        slo_percent=place.slo_percent,
        problems=problems,
    )


async def _product(
    place: Place, now: datetime, problems: dict[str, str]
) -> tuple[Service | None, Sequence[Day]]:
    if not place.settings.database_url.get_secret_value():
        problems["product"] = "no DATABASE_URL is set, so who serves cannot be read"
        return None, ()
    try:
        database = await Database.connect(
            place.settings.database_url, application_name="understudy-stabilization", max_size=1
        )
        try:
            async with database.service() as conn:
                service = await read_service(conn)
                days = await read_days(conn, CANDIDATE, OPERATION, since=now - PERIOD, until=now)
        finally:
            await database.close()
    except StoreUnavailableError as error:
        problems["product"] = error.message
        return None, ()
    except psycopg.Error as error:
        problems["product"] = f"the database cannot be asked: {error.diag.message_primary or error}"
        return None, ()
    return service, days


def past_incidents(store: GuardStore, environment: str, now: datetime) -> list[PastIncident]:
    """Incidents that were open at some time in the final window, newest first."""
    start = now - PERIOD
    return [
        PastIncident(row.id, severity_of(store.entries(row.id)), row.state, row.opened_at)
        for row in store.incidents(environment)
        if row.state not in TERMINAL_STATES or row.updated_at >= start
    ]


def _backup(place: Place, clock: Clock, problems: dict[str, str]) -> datetime | None:
    shelf = Shelf(place.settings.backup_dir or place.home / "backups", clock)
    try:
        found = [
            one.manifest.created_at
            for one in shelf.all()
            if one.manifest is not None and one.manifest.purpose != EVIDENCE and one.proof is not None
        ]
    except BackupError as error:
        problems["backup"] = error.message
        return None
    return max(found, default=None)
