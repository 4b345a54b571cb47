"""Secrets of the live processes, the scanners' hits, refusals of our key, and what a canary could read.

A key is compared by its recorded fingerprint, never tried: nothing here knows an address of a provider.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from understudy.clock import Clock
from understudy.errors import ConfigurationError
from understudy.lanes import check_lane, fingerprint, recorded_fingerprints
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.observing import Observer
from understudy.restoration.signals.readings import (
    CanaryRead,
    KeyRefusal,
    ProcessSecrets,
    SecretHit,
    SecurityReading,
)
from understudy.settings import Settings
from understudy.store import security_signals
from understudy.store.mode import ProcessRow, list_processes

QWEN = "qwen"
#: Set by the process that was refused, where its key is on record as another lane's.
WRONG_LANE = "wrong_lane_key"
#: Codes of a refused key (facts/dashscope.md section 7); a wrong region has none of its own.
REFUSED_KEY = (WRONG_LANE, "InvalidApiKey", "invalid_api_key")


class SecurityObserver(Observer[SecurityReading]):
    """Reads what concerns secrets and isolation.

    Parameters
    ----------
    settings
        The deployment's settings as they are now; raises ConfigurationError where they are invalid.
    known_good
        Digests of the known-good record by name; None where none is recorded.
    canary_read
        The newest attempt of one canary to read what is another's; None before the first.
    span_s
        How far back hits and refusals are read, in seconds.
    stale_after_s
        A process silent for longer is not live.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        *,
        settings: Callable[[], Settings],
        known_good: Callable[[], Mapping[str, str] | None],
        canary_read: Callable[[], CanaryRead | None],
        span_s: float,
        stale_after_s: float,
        every_s: float = 5.0,
        deadline_s: float = 5.0,
    ) -> None:
        super().__init__(connect, clock, every_s=every_s, deadline_s=deadline_s)
        self._settings = settings
        self._known_good = known_good
        self._canary_read = canary_read
        self._span = timedelta(seconds=span_s)
        self._stale_after_s = stale_after_s
        self._mismatch_since: dict[str, datetime] = {}

    async def _look(self, now: datetime) -> SecurityReading:
        since = now - self._span
        async with (await self._connect()).service() as conn:
            rows = await list_processes(conn, self._stale_after_s)
            hits = await security_signals.secret_hits(conn, since)
            refused = await security_signals.refused_calls(
                conn, provider=QWEN, codes=REFUSED_KEY, since=since
            )
        settings = self._settings()
        recorded = self._known_good()
        disagreed = mismatches(rows, recorded)
        self._mismatch_since = {name: self._mismatch_since.get(name, now) for name in sorted(disagreed)}
        lane = key_lane(settings)
        return SecurityReading(
            at=now,
            processes=tuple(_secrets(row) for row in rows if row.secret_digests),
            known_good=recorded,
            mismatch_since=dict(self._mismatch_since),
            hits=tuple(
                SecretHit(hit.at, hit.where, hit.process, hit.name, hit.count, hit.route) for hit in hits
            ),
            refusals=tuple(
                KeyRefusal(
                    row.at,
                    row.provider,
                    row.code,
                    _lane_of(row.code, lane, settings),
                    settings.dashscope_region,
                )
                for row in refused
            ),
            lane_conflicts=lane_conflicts(settings),
            canary_read=self._canary_read(),
        )

    def _nothing(self, at: datetime, blind: str) -> SecurityReading:
        # Whether secrets disagree is not known: a disagreement does not end by not being seen.
        return SecurityReading(
            at, mismatch_since=dict(self._mismatch_since), canary_read=self._canary_read(), blind=blind
        )


def mismatches(processes: Sequence[ProcessRow], recorded: Mapping[str, str] | None) -> set[str]:
    """Names of secrets on which live processes disagree, with each other or with the known-good record.

    A process without a secret disagrees with those of its own kind only: an api needs what no worker does.
    """
    telling = [process for process in processes if process.secret_digests]
    values: dict[str, set[str]] = defaultdict(set)
    for process in telling:
        for name, digest in process.secret_digests.items():
            values[name].add(digest)
    for name, digest in (recorded or {}).items():
        if name in values:
            values[name].add(digest)
    found = {name for name, digests in values.items() if len(digests) > 1}
    for kind in {process.kind for process in telling}:
        holders = [set(process.secret_digests) for process in telling if process.kind == kind]
        found |= holders[0].union(*holders) - holders[0].intersection(*holders)
    return found


def key_lane(settings: Settings) -> str | None:
    """The lane that the configured key is on record for; None where it is not."""
    key = settings.dashscope_api_key.get_secret_value()
    try:
        return (
            recorded_fingerprints(settings.dashscope_key_fingerprints).get(fingerprint(key)) if key else None
        )
    except ConfigurationError:
        return None


def lane_conflicts(settings: Settings) -> tuple[str, ...]:
    """How the settings contradict themselves about Qwen's lane, one sentence each; the key is not told."""
    if not settings.dashscope_api_key.get_secret_value():
        return ()
    found = []
    try:
        check_lane(settings.dashscope_base_url, settings.dashscope_region)
    except ConfigurationError as error:
        found.append(error.message)
    lane = key_lane(settings)
    if lane is not None and lane != settings.dashscope_region:
        found.append(
            f"DASHSCOPE_API_KEY is on record as a key of lane {lane}, and DASHSCOPE_REGION is "
            f"{settings.dashscope_region}"
        )
    return tuple(found)


def _lane_of(code: str, lane: str | None, settings: Settings) -> str | None:
    """Lane of the key that was refused: what the process said then, else what the record says now."""
    if code == WRONG_LANE and lane in {None, settings.dashscope_region}:
        # The setting was put right meanwhile; the process that was refused had another key.
        return "cn" if settings.dashscope_region == "intl" else "intl"
    return lane


def _secrets(row: ProcessRow) -> ProcessSecrets:
    return ProcessSecrets(str(row.instance), row.kind, row.pid, row.started_at, dict(row.secret_digests))
