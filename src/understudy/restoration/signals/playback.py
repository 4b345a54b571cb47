"""What players report of streamed speech."""

from __future__ import annotations

from datetime import datetime, timedelta

from understudy.clock import Clock
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.observing import Observer
from understudy.restoration.signals.readings import PlaybackReading, PlaybackSession
from understudy.store import playback_signals
from understudy.store.playback_signals import SessionRow

#: Beacons are sent in batches: a stream that ended this lately may not have been reported yet.
BEACON_DELAY_S = 60
#: Of fewer streams a day nobody can say what is usual.
USUAL_OF_AT_LEAST = 50
#: What is usual in a day changes slowly.
USUAL_EVERY = timedelta(minutes=10)


class PlaybackObserver(Observer[PlaybackReading]):
    """Reads players' sessions, by the clock of the database's host.

    Parameters
    ----------
    span_s
        How far back sessions are read, in seconds; :attr:`Playback.span_s` of the policy.
    """

    def __init__(
        self, connect: Connect, clock: Clock, *, span_s: float, every_s: float = 5.0, deadline_s: float = 5.0
    ) -> None:
        super().__init__(connect, clock, every_s=every_s, deadline_s=deadline_s)
        self._span = timedelta(seconds=span_s)
        self._usual: float | None = None
        self._usual_at: datetime | None = None

    async def _look(self, now: datetime) -> PlaybackReading:
        since = now - self._span
        async with (await self._connect()).service() as conn:
            rows = await playback_signals.sessions_between(conn, since=since, until=now)
            delivered = await playback_signals.delivered_between(
                conn, since=since, until=now - timedelta(seconds=BEACON_DELAY_S)
            )
            if self._usual_at is None or now - self._usual_at >= USUAL_EVERY:
                self._usual = await playback_signals.usual_share(
                    conn, until=since, at_least=USUAL_OF_AT_LEAST
                )
                self._usual_at = now
        return PlaybackReading(
            at=now,
            since=since,
            sessions=tuple(_session(row) for row in rows),
            delivered={row.mode_epoch: row.delivered for row in delivered},
            reported={row.mode_epoch: row.reported for row in delivered},
            usual_share=self._usual,
        )

    def _nothing(self, at: datetime, blind: str) -> PlaybackReading:
        return PlaybackReading(at, at - self._span, blind=blind)


def _session(row: SessionRow) -> PlaybackSession:
    ended = row.status in {"completed", "failed", "cancelled"}
    return PlaybackSession(
        generation=str(row.generation_id),
        user=str(row.user_id),
        provider=row.provider,
        mode_epoch=row.mode_epoch,
        client=row.client,
        client_version=row.client_version,
        started_at=row.started_at,
        last_at=row.last_at,
        finished=row.finished,
        ended_early=row.ended_early,
        stalls=row.stalls,
        decode_errors=row.decode_errors,
        audio_s=row.duration_seconds,
        served=row.status == "completed" if ended else None,
    )
