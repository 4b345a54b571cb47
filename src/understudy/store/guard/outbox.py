"""How far each notification channel is in the journal, and what was given up."""

from __future__ import annotations

from datetime import datetime

from understudy.store.guard.backend import Backend
from understudy.store.guard.rows import ChannelRow, DeadLetter
from understudy.store.journal import utc


class OutboxTables:
    """A cursor over the journal for each channel: the journal is the queue."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def channel(self, channel: str) -> ChannelRow:
        """Return where a channel is; a new one begins at the journal's end, without the history."""
        rows = self._read(channel)
        if not rows:
            with self._backend.writing():
                self._backend.run(
                    "INSERT INTO outbox_channels (channel, sent_seq, delivered, attempts) "
                    "VALUES (:channel, (SELECT coalesce(max(seq), 0) FROM journal), 0, 0) "
                    "ON CONFLICT DO NOTHING",
                    {"channel": channel},
                )
            rows = self._read(channel)
        return rows[0]

    def channels(self) -> list[ChannelRow]:
        """Return every channel that was ever used."""
        return self._read(None)

    def _read(self, channel: str | None) -> list[ChannelRow]:
        rows = self._backend.run(
            "SELECT * FROM outbox_channels WHERE :channel IS NULL OR channel = :channel ORDER BY channel",
            {"channel": channel},
        )
        return [
            ChannelRow(
                channel=row["channel"],
                sent_seq=row["sent_seq"],
                delivered=row["delivered"],
                attempts=row["attempts"],
                failing_since=_time(row["failing_since"]),
                next_attempt_at=_time(row["next_attempt_at"]),
                last_error=row["last_error"],
                last_delivered_at=_time(row["last_delivered_at"]),
            )
            for row in rows
        ]

    def passed(self, channel: str, seq: int, *, delivered_at: datetime | None = None) -> None:
        """Move past ``seq``: it was delivered, or is not of interest where ``delivered_at`` is None.

        A cursor never goes back, whoever else moved it.
        """
        with self._backend.writing():
            self._backend.run(
                "UPDATE outbox_channels SET sent_seq = :seq, attempts = 0, failing_since = NULL, "
                "next_attempt_at = NULL, last_error = NULL WHERE channel = :channel AND sent_seq < :seq",
                {"channel": channel, "seq": seq},
            )
            if delivered_at is not None:
                self._backend.run(
                    "UPDATE outbox_channels SET delivered = delivered + 1, last_delivered_at = :at "
                    "WHERE channel = :channel",
                    {"channel": channel, "at": delivered_at.isoformat()},
                )

    def failed(self, channel: str, *, reason: str, at: datetime, next_attempt_at: datetime) -> None:
        """Write down a failed attempt at the entry after the cursor."""
        with self._backend.writing():
            self._backend.run(
                "UPDATE outbox_channels SET attempts = attempts + 1, last_error = :reason, "
                "failing_since = coalesce(failing_since, :at), next_attempt_at = :next "
                "WHERE channel = :channel",
                {
                    "channel": channel,
                    "reason": reason,
                    "at": at.isoformat(),
                    "next": next_attempt_at.isoformat(),
                },
            )

    def give_up(self, channel: str, seq: int, *, reason: str, at: datetime) -> None:
        """Move past ``seq`` without having delivered it."""
        with self._backend.writing():
            attempts = self._backend.run(
                "SELECT attempts FROM outbox_channels WHERE channel = :channel", {"channel": channel}
            )[0]["attempts"]
            self._backend.run(
                "INSERT INTO dead_letters VALUES (:channel, :seq, :at, :attempts, :reason) "
                "ON CONFLICT DO NOTHING",
                {
                    "channel": channel,
                    "seq": seq,
                    "at": at.isoformat(),
                    "attempts": attempts + 1,
                    "reason": reason,
                },
            )
            self._backend.run(
                "UPDATE outbox_channels SET sent_seq = :seq, attempts = 0, failing_since = NULL, "
                "next_attempt_at = NULL, last_error = NULL WHERE channel = :channel AND sent_seq < :seq",
                {"channel": channel, "seq": seq},
            )

    def dead_letters(self, *, since: datetime | None = None, limit: int = 100) -> list[DeadLetter]:
        """Return what was given up, newest first."""
        rows = self._backend.run(
            "SELECT * FROM dead_letters WHERE :since IS NULL OR at >= :since "
            "ORDER BY at DESC, channel, seq DESC LIMIT :limit",
            {"since": since.isoformat() if since else None, "limit": limit},
        )
        return [
            DeadLetter(row["channel"], row["seq"], utc(row["at"]), row["attempts"], row["reason"])
            for row in rows
        ]


def _time(text: str | None) -> datetime | None:
    return utc(text) if text else None
