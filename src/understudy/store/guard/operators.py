"""Operators' keys of the guard's API: of each only its hash is kept."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256

from understudy.clock import Clock
from understudy.errors import ConflictError, NotFoundError, StoreUnavailableError
from understudy.plain_text import plain_text
from understudy.store.guard.backend import Backend, Row
from understudy.store.guard.rows import OperatorRow
from understudy.store.journal import utc

#: Beginning of every key made here.
KEY_PREFIX = "ugk_"
#: Label of the key that each home has by itself: programs use it, and it is nobody's word.
MACHINE_KEY = "operator.token"
#: A use is noted at most this often: reading a page must not write each time.
_USE_NOTED_AFTER = timedelta(minutes=1)


class OperatorTable:
    """Who may use the guard's API."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock

    def create(self, label: str) -> tuple[OperatorRow, str]:
        """Make a key and return it with its row; it is shown now and never again.

        Raises
        ------
        ConflictError
            Somebody of that name has a key that is good.
        """
        label = plain_text(label)
        prefix = f"{KEY_PREFIX}{secrets.token_hex(4)}"
        key = f"{prefix}_{secrets.token_urlsafe(32)}"
        with self._backend.writing():
            if any(row.label == label and row.revoked_at is None for row in self.all()):
                raise ConflictError(f"{label} has a key already; revoke it first, or choose another name.")
            row = self._insert(key, label, prefix)
        return row, key

    def add(self, token: str, label: str) -> None:
        """Let ``token`` in; one that is known, or was revoked, stays as it is.

        Tokens are long and random, so their hash needs no salt.
        """
        if self._find(token) is None:
            with self._backend.writing():
                self._insert(token, plain_text(label), token[:4] + "...")

    def _insert(self, token: str, label: str, prefix: str) -> OperatorRow:
        now = self._clock.now()
        self._backend.run(
            "INSERT INTO operators (token_sha256, label, created_at, prefix) "
            "VALUES (:token, :label, :now, :prefix) ON CONFLICT DO NOTHING",
            {"token": _hash(token), "label": label, "now": now.isoformat(), "prefix": prefix},
        )
        return OperatorRow(label, prefix, now, None, None)

    def label_of(self, token: str) -> str | None:
        """Return whose key this is; None for a wrong or revoked one."""
        row = self._find(token)
        if row is None or row["revoked_at"] is not None:
            return None
        now = self._clock.now()
        used = _time(row["last_used_at"])
        if used is None or now - used >= _USE_NOTED_AFTER:
            # A full disk must not lock out who comes to see about it.
            with suppress(StoreUnavailableError):
                self._backend.run(
                    "UPDATE operators SET last_used_at = :now WHERE token_sha256 = :token",
                    {"now": now.isoformat(), "token": _hash(token)},
                )
        return str(row["label"])

    def _find(self, token: str) -> Row | None:
        rows = self._backend.run(
            "SELECT label, last_used_at, revoked_at FROM operators WHERE token_sha256 = :token",
            {"token": _hash(token)},
        )
        return rows[0] if rows else None

    def revoke(self, name: str) -> list[OperatorRow]:
        """Refuse every key of this label, or the one with this beginning, from the next request on.

        Raises
        ------
        NotFoundError
            No good key has that label or beginning.
        """
        with self._backend.writing():
            found = [row for row in self.all() if name in {row.label, row.prefix} and not row.revoked_at]
            if not found:
                raise NotFoundError(
                    f"There is no good key of {name}. `understudy guard-keys list` shows them."
                )
            self._backend.run(
                "UPDATE operators SET revoked_at = :now "
                "WHERE (label = :name OR prefix = :name) AND revoked_at IS NULL",
                {"now": self._clock.now().isoformat(), "name": name},
            )
        return [row for row in self.all() if (row.label, row.prefix) in {(f.label, f.prefix) for f in found}]

    def all(self) -> list[OperatorRow]:
        """Every key, revoked ones too, oldest first."""
        rows = self._backend.run(
            "SELECT label, prefix, created_at, last_used_at, revoked_at FROM operators "
            "ORDER BY created_at, label"
        )
        return [
            OperatorRow(
                row["label"],
                row["prefix"],
                utc(row["created_at"]),
                _time(row["last_used_at"]),
                _time(row["revoked_at"]),
            )
            for row in rows
        ]


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _time(text: str | None) -> datetime | None:
    return utc(text) if text else None
