"""Alerts from outside, kept until they have been told and are long over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from understudy.store.guard.backend import Backend, Row
from understudy.store.guard.rows import AlertRow
from understudy.store.journal import canonical_json, utc


class AlertTable:
    """One row for each firing of each fingerprint."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def receive(
        self, alerts: Sequence[Mapping[str, Any]], *, now: datetime, live_since: datetime, room: int
    ) -> int:
        """Write down a batch in one transaction and return how many found no room.

        Parameters
        ----------
        alerts
            Each with ``fingerprint``, ``starts_at``, ``status``, ``group``, ``labels``, ``annotations``.
        live_since
            A firing alert that was last seen before this does not fire any more.
        room
            Rows kept at most; known ones are always updated.
        """
        left_out = 0
        with self._backend.writing():
            rows = self._backend.run("SELECT count(*) AS kept FROM alerts")
            free = room - int(rows[0]["kept"])
            for alert in alerts:
                if self._repeat(alert, now):
                    continue
                if free <= 0:
                    left_out += 1
                    continue
                self._insert(alert, now, live_since)
                free -= 1
        return left_out

    def _repeat(self, alert: Mapping[str, Any], now: datetime) -> bool:
        """Update the row of a firing that is known.

        One that was resolved fires again when it is told so: a restarted Alertmanager resolves too early.
        """
        rows = self._backend.run(
            "UPDATE alerts SET times = times + 1, last_seen_at = :now, status = :status, resolved_at = "
            "CASE WHEN :status = 'resolved' THEN coalesce(resolved_at, :now) ELSE NULL END "
            "WHERE fingerprint = :fingerprint AND starts_at = :starts_at RETURNING times",
            {
                "now": now.isoformat(),
                "status": alert["status"],
                "fingerprint": alert["fingerprint"],
                "starts_at": alert["starts_at"],
            },
        )
        return bool(rows)

    def _insert(self, alert: Mapping[str, Any], now: datetime, live_since: datetime) -> None:
        same = self._backend.run(
            "SELECT episode FROM alerts WHERE group_key = :group AND status = 'firing' "
            "AND last_seen_at >= :live ORDER BY first_seen_at LIMIT 1",
            {"group": alert["group"], "live": live_since.isoformat()},
        )
        self._backend.run(
            "INSERT INTO alerts VALUES (:fingerprint, :starts_at, :status, :group, :episode, :labels, "
            ":annotations, :now, :now, 1, :resolved_at, NULL)",
            {
                "fingerprint": alert["fingerprint"],
                "starts_at": alert["starts_at"],
                "status": alert["status"],
                "group": alert["group"],
                "episode": same[0]["episode"] if same else alert["starts_at"],
                "labels": canonical_json(alert["labels"]),
                "annotations": canonical_json(alert["annotations"]),
                "now": now.isoformat(),
                "resolved_at": now.isoformat() if alert["status"] == "resolved" else None,
            },
        )

    def pending(self, *, live_since: datetime) -> list[AlertRow]:
        """Return what fires, and what was resolved before it was taken; oldest first."""
        rows = self._backend.run(
            "SELECT * FROM alerts WHERE last_seen_at >= :live AND (status = 'firing' OR taken_at IS NULL) "
            "ORDER BY first_seen_at, fingerprint",
            {"live": live_since.isoformat()},
        )
        return [_alert(row) for row in rows]

    def taken(self, group: str, episode: str, *, at: datetime) -> None:
        """Mark an episode: its finding is in an incident's journal."""
        self._backend.run(
            "UPDATE alerts SET taken_at = :at "
            "WHERE group_key = :group AND episode = :episode AND taken_at IS NULL",
            {"at": at.isoformat(), "group": group, "episode": episode},
        )

    def episodes_taken(self, *, since: datetime) -> int:
        """Count the episodes that were first taken at ``since`` or later."""
        rows = self._backend.run(
            "SELECT count(*) AS taken FROM (SELECT 1 AS one FROM alerts WHERE taken_at IS NOT NULL "
            "GROUP BY group_key, episode HAVING min(taken_at) >= :since) AS episodes",
            {"since": since.isoformat()},
        )
        return int(rows[0]["taken"])

    def forget(self, *, before: datetime) -> None:
        """Remove rows last seen before ``before``."""
        self._backend.run("DELETE FROM alerts WHERE last_seen_at < :before", {"before": before.isoformat()})

    def newest(self, limit: int = 100) -> list[AlertRow]:
        """Return alerts, the last seen first."""
        rows = self._backend.run(
            "SELECT * FROM alerts ORDER BY last_seen_at DESC, fingerprint LIMIT :limit", {"limit": limit}
        )
        return [_alert(row) for row in rows]


def _alert(row: Row) -> AlertRow:
    return AlertRow(
        fingerprint=row["fingerprint"],
        starts_at=row["starts_at"],
        status=row["status"],
        group=row["group_key"],
        episode=row["episode"],
        labels=json.loads(row["labels"]),
        annotations=json.loads(row["annotations"]),
        first_seen_at=utc(row["first_seen_at"]),
        last_seen_at=utc(row["last_seen_at"]),
        times=row["times"],
        resolved_at=utc(row["resolved_at"]) if row["resolved_at"] else None,
        taken_at=utc(row["taken_at"]) if row["taken_at"] else None,
    )
