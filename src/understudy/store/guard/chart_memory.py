"""What charts show that stands on no other record: kept for a day at most; nothing is decided by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from understudy.store.guard.backend import Backend
from understudy.store.journal import canonical_json, utc

ChartKind = Literal["window", "start"]


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One thing at one time; ``subject`` tells those of one time apart."""

    at: datetime
    subject: str
    body: Mapping[str, Any]


class ChartTable:
    """Rows of one kind and environment, by time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def keep(
        self, environment: str, kind: ChartKind, rows: Iterable[ChartRow], *, oldest: datetime, most: int
    ) -> None:
        """Write rows, each in place of one of that time and subject.

        Those from before ``oldest``, and all but the newest ``most``, are forgotten.
        """
        about = {"environment": environment, "kind": kind}
        with self._backend.writing():
            for row in rows:
                self._backend.run(
                    "INSERT INTO chart_memory VALUES (:environment, :kind, :at, :subject, :body) "
                    "ON CONFLICT (environment, kind, at, subject) DO UPDATE SET body = excluded.body",
                    {**about, "at": _text(row.at), "subject": row.subject, "body": canonical_json(row.body)},
                )
            self._backend.run(
                "DELETE FROM chart_memory WHERE environment = :environment AND kind = :kind AND at < :oldest",
                {**about, "oldest": _text(oldest)},
            )
            self._backend.run(
                "DELETE FROM chart_memory WHERE environment = :environment AND kind = :kind AND at < "
                "(SELECT min(at) FROM (SELECT at FROM chart_memory WHERE environment = :environment "
                "AND kind = :kind ORDER BY at DESC LIMIT :most) newest)",
                {**about, "most": most},
            )

    def kept(self, environment: str, kind: ChartKind, since: datetime) -> list[ChartRow]:
        """Return those from ``since`` on, oldest first."""
        rows = self._backend.run(
            "SELECT at, subject, body FROM chart_memory "
            "WHERE environment = :environment AND kind = :kind AND at >= :since ORDER BY at, subject",
            {"environment": environment, "kind": kind, "since": _text(since)},
        )
        return [ChartRow(utc(row["at"]), row["subject"], json.loads(row["body"])) for row in rows]

    def newest(self, environment: str, kind: ChartKind) -> datetime | None:
        """Return when the newest was."""
        rows = self._backend.run(
            "SELECT max(at) AS at FROM chart_memory WHERE environment = :environment AND kind = :kind",
            {"environment": environment, "kind": kind},
        )
        return utc(rows[0]["at"]) if rows[0]["at"] else None


def _text(at: datetime) -> str:
    """Return a spelling whose order is that of time: always with microseconds."""
    return at.isoformat(timespec="microseconds")
