"""A policy over the calls of an installation's database, beside the incidents its guard recorded."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from understudy.cli.installation import installed_database, installed_settings
from understudy.cli.usage import instant
from understudy.clock import SystemClock
from understudy.errors import UnderstudyError
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.playbook.replay import Firing, read_recording, replay
from understudy.settings import Settings, load_settings
from understudy.store.guard import open_guard_store


async def replayed(
    home: Path, playbook: Playbook, *, since: str, until: str | None, database: str | None, now: datetime
) -> dict[str, Any]:
    """Read and replay; raises :class:`UnderstudyError` when the database or an instant cannot be read."""
    start, end = instant(since, now), now if until is None else instant(until, now)
    settings = installed_settings(home) if database is None else load_settings()
    if database is not None:
        settings = settings.model_copy(update={"database_url": SecretStr(database)})
    async with installed_database(settings, command="replay") as opened, opened.service() as conn:
        recording = await read_recording(conn, playbook, since=start, until=end)
    fired = replay(playbook, recording, since=start, until=end, known_good=str(settings.known_good_provider))
    return {
        "since": start.isoformat(),
        "until": end.isoformat(),
        "calls": recording.total,
        "not_replayed": ["playback", "cost", "data_integrity", "security"],
        "fired": [_plain(firing) for firing in fired],
        "incidents": _incidents(home, settings, start, end),
    }


def _plain(firing: Firing) -> dict[str, Any]:
    finding = firing.finding
    return {
        "since": firing.since.isoformat(),
        "until": firing.until.isoformat(),
        "key": finding.key,
        "mode": finding.mode,
        "detail": finding.detail,
        "n": finding.n,
        "failures": finding.failures,
    }


def _incidents(home: Path, settings: Settings, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Incidents on record that opened in between; none where there is no guard's store."""
    try:
        store = open_guard_store(home, settings, SystemClock(), must_exist=True)
    except (UnderstudyError, OSError):
        return []
    try:
        return [
            {
                "id": row.id,
                "title": row.title,
                "state": row.state,
                "opened_at": row.opened_at.isoformat(),
            }
            for row in store.incidents()
            if start <= row.opened_at <= end
        ]
    finally:
        store.close()
