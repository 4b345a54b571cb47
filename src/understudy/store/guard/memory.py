"""What the guard remembers beside its incidents: single values, counters, the known-good record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from understudy.clock import Clock
from understudy.store.guard.backend import Backend, Row
from understudy.store.guard.rows import KnownGood
from understudy.store.journal import canonical_json, utc


class Memory:
    """Values that outlive a process."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock

    # --- single values --------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """Return a remembered value."""
        rows = self._backend.run("SELECT value FROM meta WHERE key = :key", {"key": key})
        return rows[0]["value"] if rows else None

    def remember(self, key: str, value: str) -> None:
        """Remember ``value`` under ``key``, in place of what was there."""
        with self._backend.writing():
            self._set_meta(key, value)

    def revise(self, key: str, change: Callable[[str | None], str]) -> str:
        """Replace a value by what ``change`` makes of it; nobody else writes in between.

        Whatever ``change`` raises leaves it as it was.
        """
        with self._backend.writing():
            value = change(self.meta(key))
            self._set_meta(key, value)
        return value

    def _set_meta(self, key: str, value: str) -> None:
        self._backend.run(
            "INSERT INTO meta VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            {"key": key, "value": value},
        )

    def highest_mode_epoch(self) -> int:
        """Return the highest epoch of the provider mode ever seen; 0 before the first."""
        return int(self.meta("highest_mode_epoch") or 0)

    def saw_mode_epoch(self, epoch: int) -> int:
        """Remember ``epoch`` if it is the highest so far; returns the highest. It never goes down."""
        highest = self.highest_mode_epoch()
        if epoch > highest:
            with self._backend.writing():
                highest = max(epoch, self.highest_mode_epoch())
                self._set_meta("highest_mode_epoch", str(highest))
        return highest

    # --- counters -------------------------------------------------------------------------------------------

    def count(self, name: str, by: int = 1) -> int:
        """Add ``by`` to a counter and return it."""
        with self._backend.writing():
            rows = self._backend.run(
                "INSERT INTO counters VALUES (:name, :by) "
                "ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value",
                {"name": name, "by": by},
            )
        return int(rows[0]["value"])

    def counts(self, prefix: str = "") -> dict[str, int]:
        """Return counters whose names begin with ``prefix``."""
        rows = self._backend.run(
            "SELECT name, value FROM counters WHERE substr(name, 1, :length) = :prefix ORDER BY name",
            {"prefix": prefix, "length": len(prefix)},
        )
        return {row["name"]: row["value"] for row in rows}

    # --- the known-good record ------------------------------------------------------------------------------

    def record_known_good(self, document: Mapping[str, Any], *, actor: str) -> KnownGood:
        """Write down a state that is good; earlier records stay."""
        with self._backend.writing():
            rows = self._backend.run("SELECT coalesce(max(seq), 0) AS newest FROM known_good")
            row = {
                "seq": rows[0]["newest"] + 1,
                "at": self._clock.now().isoformat(),
                "actor": actor,
                "document": canonical_json(document),
            }
            self._backend.run("INSERT INTO known_good VALUES (:seq, :at, :actor, :document)", row)
        return _known_good(row)

    def known_good(self) -> KnownGood | None:
        """Return the newest record, if there is one."""
        return next(iter(self.known_good_history(1)), None)

    def known_good_history(self, limit: int = 20) -> list[KnownGood]:
        """Return records, newest first."""
        rows = self._backend.run("SELECT * FROM known_good ORDER BY seq DESC LIMIT :limit", {"limit": limit})
        return [_known_good(row) for row in rows]


def _known_good(row: Row) -> KnownGood:
    return KnownGood(row["seq"], utc(row["at"]), row["actor"], json.loads(row["document"]))
