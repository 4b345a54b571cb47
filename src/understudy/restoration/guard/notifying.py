"""The outbox: tells people what the journal says, at least once and in order, whoever else is down.

The journal is the queue; each channel has a cursor over it. A channel that is down waits by itself, with a
backoff that doubles; what cannot be delivered becomes a dead letter and an alarm. Nothing ever waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp

from understudy.clock import Clock
from understudy.errors import NotFoundError, UnderstudyError
from understudy.logs import Redactor, get_logger
from understudy.restoration.guard.channels import Channel, DeliveryError, channels_of
from understudy.restoration.guard.notices import Notice, notice_of
from understudy.settings import Settings
from understudy.store.guard import ChannelRow, GuardStore
from understudy.store.journal import JournalEntry

LOOK_EVERY_S = 1.0
#: A receiver that takes longer counts as down.
TIMEOUT_S = 10.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 300.0
#: A receiver may ask for more patience than that, up to here.
LONGEST_RETRY_AFTER_S = 3600.0
DEAD_AFTER = timedelta(hours=24)
#: Trouble that lasts this long is an alarm.
ALARM_AFTER_S = 60.0
_BATCH = 200

log = get_logger(__name__)


class Notifier:
    """Delivers the journal to every channel.

    Parameters
    ----------
    leads
        Whether this guard holds the lease: of two guards only one tells.
    random
        Spreads retries, so that two deployments do not knock together.
    """

    def __init__(
        self,
        store: GuardStore,
        channels: Sequence[Channel],
        clock: Clock,
        *,
        environment: str,
        leads: Callable[[], bool],
        random: Random,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._store = store
        self._channels = channels
        self._clock = clock
        self._environment = environment
        self._leads = leads
        self._random = random
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        for channel in channels:
            store.outbox.channel(channel.name)  # from here on it is told

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop``; each channel in a task of its own. What is under way then is sent again."""
        async with aiohttp.ClientSession(timeout=self._timeout) as session:
            tasks = [
                asyncio.create_task(self._serve(channel, session, stop), name=f"notify-{channel.name}")
                for channel in self._channels
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, channel: Channel, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        waiting = False
        while not stop.is_set():
            try:
                busy = self._leads() and await self.deliver_next(channel, session)
                waiting = False
            except UnderstudyError as error:
                busy = False
                if not waiting:
                    log.warning("notifier_waits", channel=channel.name, reason=error.message)
                waiting = True
            except Exception:
                busy = False
                log.exception("notifier_failed", channel=channel.name)
            if not busy:
                await asyncio.sleep(LOOK_EVERY_S)

    async def deliver_next(self, channel: Channel, session: aiohttp.ClientSession) -> bool:
        """Try the channel's next notice; return whether there may be more to do at once."""
        row = self._store.outbox.channel(channel.name)
        if row.next_attempt_at is not None and self._clock.now() < row.next_attempt_at:
            return False
        entries = self._store.entries_after(row.sent_seq, limit=_BATCH)
        for entry in entries:
            notice = self._notice(entry)
            # Its own trouble reaches a channel never, or as one more thing that it refuses.
            if notice is not None and entry.body.get("name") != _alarm_of(channel.name):
                return await self._try(channel, session, notice, row)
        if entries:
            self._store.outbox.passed(channel.name, entries[-1].seq)
        return bool(entries)

    def _notice(self, entry: JournalEntry) -> Notice | None:
        try:
            incident = self._store.incident(entry.incident) if entry.incident else None
        except NotFoundError:  # only after somebody has edited the store: still worth telling
            incident = None
        return notice_of(
            entry,
            environment=incident.environment if incident else self._environment,
            title=incident.title if incident else None,
        )

    async def _try(
        self, channel: Channel, session: aiohttp.ClientSession, notice: Notice, row: ChannelRow
    ) -> bool:
        if self._clock.now() - notice.at >= DEAD_AFTER:
            # A page of the day before yesterday wakes nobody usefully: a channel that was switched off for a
            # month must not tell its history either.
            self._give_up(notice, row.channel, row.last_error or "it was a day old before it could be sent")
            return True
        try:
            await channel.deliver(session, notice)
        except DeliveryError as error:
            self._failed(notice, row, error)
            return False
        self._store.outbox.passed(channel.name, notice.seq, delivered_at=self._clock.now())
        log.info("notice_delivered", channel=channel.name, seq=notice.seq, kind=notice.kind)
        return True

    def _failed(self, notice: Notice, row: ChannelRow, error: DeliveryError) -> None:
        now = self._clock.now()
        if error.permanent:
            self._give_up(notice, row.channel, error.reason)
            return
        wait_s = self._retry_s(row.attempts, error.retry_after_s)
        self._store.outbox.failed(
            row.channel, reason=error.reason, at=now, next_attempt_at=now + timedelta(seconds=wait_s)
        )
        log.warning(
            "notice_not_delivered", channel=row.channel, seq=notice.seq, reason=error.reason, retry_s=wait_s
        )

    def _give_up(self, notice: Notice, channel: str, reason: str) -> None:
        self._store.outbox.give_up(channel, notice.seq, reason=reason, at=self._clock.now())
        log.error("notice_given_up", channel=channel, seq=notice.seq, reason=reason)

    def _retry_s(self, attempts: int, retry_after_s: float | None) -> float:
        # 2 ** 20 s is far beyond the cap: no need for a larger power.
        backoff_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempts, 20))
        spread_s = backoff_s * self._random.uniform(0.5, 1.0)
        return max(spread_s, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))

    # --- what is told of it ---------------------------------------------------------------------------------

    def alarms(self) -> dict[str, str]:
        """Channels that are in trouble, with a sentence each."""
        now = self._clock.now()
        found: dict[str, str] = {}
        dead: dict[str, list[str]] = {}
        for letter in self._store.outbox.dead_letters(since=now - DEAD_AFTER):
            dead.setdefault(letter.channel, []).append(letter.reason)
        for channel in self._channels:
            row = self._store.outbox.channel(channel.name)
            said = []
            if row.failing_since is not None and (now - row.failing_since).total_seconds() >= ALARM_AFTER_S:
                said.append(f"{row.attempts} attempts failed since {row.failing_since:%H:%M} UTC")
                said.append(str(row.last_error))
            if reasons := dead.get(channel.name):
                said.append(f"{len(reasons)} given up in the last day ({reasons[0]})")
            if said:
                found[_alarm_of(channel.name)] = "; ".join(said)
        return found

    def document(self) -> dict[str, Any]:
        """Return what waits and what was given up, as plain data."""
        head = self._store.head()
        return {
            "channels": [
                _channel_document(self._store.outbox.channel(channel.name), head)
                for channel in self._channels
            ],
            "dead_letters": [
                {
                    "channel": letter.channel,
                    "seq": letter.seq,
                    "at": letter.at.isoformat(),
                    "attempts": letter.attempts,
                    "reason": letter.reason,
                }
                for letter in self._store.outbox.dead_letters()
            ],
        }


def _alarm_of(channel: str) -> str:
    return f"outbox {channel}"


def _channel_document(row: ChannelRow, head: int) -> Mapping[str, Any]:
    times = (row.failing_since, row.next_attempt_at, row.last_delivered_at)
    failing_since, next_attempt_at, last_delivered_at = (at.isoformat() if at else None for at in times)
    return {
        "channel": row.channel,
        "waiting": max(0, head - row.sent_seq),
        "delivered": row.delivered,
        "attempts": row.attempts,
        "failing_since": failing_since,
        "next_attempt_at": next_attempt_at,
        "last_error": row.last_error,
        "last_delivered_at": last_delivered_at,
    }


def notifier_from(
    settings: Settings,
    store: GuardStore,
    clock: Clock,
    *,
    environment: str,
    redactor: Redactor,
    leads: Callable[[], bool],
    random: Random | None = None,
) -> Notifier:
    """Return a notifier of the channels that the settings name; without any it does nothing.

    Raises
    ------
    ConfigurationError
        An address is not https (or http on this machine).
    """
    return Notifier(
        store,
        channels_of(settings, redactor),
        clock,
        environment=environment,
        leads=leads,
        random=random or Random(),  # noqa: S311  # spreads retries
    )
