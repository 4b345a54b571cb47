"""Calls as a Prometheus has them, from our own ``/metrics``: where the guard may not reach the database.

Counters are read as they stand at each bucket edge and subtracted here: ``increase()`` extrapolates to
fractions, and misses the first call of a series that was not there before. A counter that falls began anew,
as for ``increase()``. A series that appears in a process that was scraped before, or that started meanwhile,
began at zero; in any other its first value is history. Calls come as late as the scrape. Canaries and
callers' own mistakes cannot be told apart there; users and single calls are not known.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.signals.clockwatch import ClockWatch
from understudy.restoration.signals.readings import CallReading, Series
from understudy.restoration.signals.source import Observed, mode_of_environment, unseen_calls
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, last_edge
from understudy.store.calls import Harm
from understudy.store.mode import ModeRow

CALLS = "understudy_provider_calls_total"
#: The liveness twin: every process of ours shows it from its start, whether anybody calls or not.
TWIN = "understudy_mode_epoch"
DROPS = "understudy_signal_drops_total"
_PROCESS = ("job", "instance")
_CLASSES = frozenset({"transport", "protocol", "provider"})

log = get_logger(__name__)


class UnusableError(Exception):
    """The answer is none that may be judged by; its text says why."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a range query: values by time, in seconds since the epoch."""

    labels: Mapping[str, str]
    points: tuple[tuple[int, float], ...]

    @property
    def process(self) -> tuple[str, ...]:
        """Which process shows it."""
        return tuple(self.labels.get(name, "") for name in _PROCESS)


class PrometheusSource:
    """Asks a Prometheus that scrapes every api and worker.

    Parameters
    ----------
    token
        Bearer token for it; none when empty.
    mode
        Gives the provider that the environment names, while no process shows its mode.
    query_s
        Deadline of one reading, in seconds.
    stale_after_s
        A newest scrape that is older blinds the source.
    """

    def __init__(
        self,
        url: str,
        token: SecretStr,
        clock: Clock,
        *,
        mode: Callable[[], str | None],
        query_s: float,
        stale_after_s: float,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token.get_secret_value()
        self._clock = clock
        self._mode = mode
        self._query_s = query_s
        self._stale_after_s = stale_after_s
        self._clocks = ClockWatch(clock, "Prometheus")
        self._session: aiohttp.ClientSession | None = None

    async def read(self, *, span_s: float, operations: Collection[str]) -> Observed:  # noqa: ARG002
        """Read the calls of the last ``span_s`` seconds; never raises."""
        jumped = self._clocks.jumped()
        at = self._clock.now()
        end = last_edge(at)
        since = end - timedelta(seconds=span_s)
        try:
            async with asyncio.timeout(self._query_s):
                asked = self._clock.now()
                now_s = await self._scalar("time()")
                answered = self._clock.now()
                calls, twins, starts, scraped, values, drops = await asyncio.gather(
                    self._range(CALLS, since, end),
                    self._range(TWIN, since, end),
                    self._instant(f"process_start_time_seconds and on(job, instance) {TWIN}"),
                    self._instant(f"timestamp({TWIN})"),
                    self._instant(f"{TWIN} * on(job, instance) group_right() understudy_mode_info"),
                    self._range(DROPS, since, end),
                )
            buckets = bucketed(calls, began_at_zero(calls, twins, starts, since), since)
            dropped = sum(count for series in drops for _, count in steps(series, from_zero=False))
        except UnusableError as error:
            return unseen_calls(at, f"Prometheus cannot be believed: {error}")
        except TimeoutError:
            return unseen_calls(at, f"Prometheus did not answer within {self._query_s:g} s")
        except Exception as error:  # noqa: BLE001  # whatever broke the reading: say BLIND, go on
            log.warning("signals_unreadable", error=str(error).splitlines()[:1], kind=type(error).__name__)
            return unseen_calls(at, f"Prometheus cannot be read ({type(error).__name__})")
        source_at = datetime.fromtimestamp(now_s, UTC)
        newest_s = max((value for _, value in scraped), default=None)
        mode = _mode_shown(values, at) or mode_of_environment(self._mode(), at)
        blind = jumped or self._disbelief(source_at, asked, answered, newest_s, mode)
        reading = CallReading(at=at, since=since, buckets=buckets, dropped=round(dropped), blind=blind)
        return Observed(at, mode, (), reading, blind, source_at)

    async def successes(self, series: Series, since: datetime) -> int:
        """Users' successful calls of one series since then; raises :class:`StoreUnavailableError`."""
        return sum(bucket.total - bucket.failed for bucket in await self._buckets(series, since))

    async def first_failure(self, series: Series, since: datetime) -> datetime | None:
        """Start of the first bucket with a failure since then; raises :class:`StoreUnavailableError`."""
        bad = [bucket.start for bucket in await self._buckets(series, since) if bucket.failed]
        return min(bad, default=None)

    async def harm(self, operation: str, provider: str, start: datetime, end: datetime) -> Harm:
        """What users felt of ``provider``, as far as counters tell; raises :class:`StoreUnavailableError`."""
        observed = await self._all(start)
        buckets = [
            bucket
            for series, some in observed.calls.buckets.items()
            if series.provider == provider and series.operation == operation
            for bucket in some
            if bucket.start <= end
        ]
        return Harm(sum(b.total for b in buckets), sum(b.failed for b in buckets), 0, 0, 0)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _buckets(self, series: Series, since: datetime) -> tuple[CallWindow, ...]:
        buckets = (await self._all(since)).calls.calls(series)
        return tuple(bucket for bucket in buckets if bucket.start >= last_edge(since))

    async def _all(self, since: datetime) -> Observed:
        span_s = (self._clock.now() - since).total_seconds()
        observed = await self.read(span_s=math.ceil(span_s / BUCKET_S) * BUCKET_S + BUCKET_S, operations=())
        if observed.blind:
            raise StoreUnavailableError(observed.blind)
        return observed

    def _disbelief(
        self,
        source_at: datetime,
        asked: datetime,
        answered: datetime,
        newest_s: float | None,
        mode: ModeRow | None,
    ) -> str | None:
        if newest_s is None:
            return f"no process of ours is scraped: {TWIN} is absent"
        age_s = source_at.timestamp() - newest_s
        if age_s > self._stale_after_s:
            return f"the newest scrape is {age_s:.0f} s old"
        if mode is None:
            return "neither a process nor the environment names a provider"
        return self._clocks.disagrees(source_at, asked, answered)

    async def _range(self, query: str, since: datetime, end: datetime) -> list[Curve]:
        found = await self._ask(
            "query_range",
            {
                "query": query,
                "start": str(since.timestamp()),
                "end": str(end.timestamp()),
                "step": str(BUCKET_S),
            },
            kind="matrix",
        )
        return [
            Curve(item["metric"], tuple((round(at), number(value, query)) for at, value in item["values"]))
            for item in found
        ]

    async def _instant(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        found = await self._ask("query", {"query": query}, kind="vector")
        return [(item["metric"], number(item["value"][1], query)) for item in found]

    async def _scalar(self, query: str) -> float:
        found = await self._ask("query", {"query": query}, kind="scalar")
        return number(found[1], query)

    async def _ask(self, path: str, form: Mapping[str, str], *, kind: str) -> Sequence[Any]:
        if self._session is None:
            headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
            self._session = aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=self._query_s)
            )
        async with self._session.post(
            f"{self._url}/api/v1/{path}", data=form, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise UnusableError(f"it answered {answer.status} to {form['query']}")
            document = await answer.json(content_type=None)
        try:
            data = document["data"]
            result = data["result"]
            usable = document["status"] == "success" and data["resultType"] == kind
        except (KeyError, TypeError):
            usable, result = False, None
        if not usable or not isinstance(result, list):
            raise UnusableError(f"its answer to {form['query']} is no {kind}")
        if document.get("warnings"):
            raise UnusableError(f"it warns of {form['query']}: {document['warnings'][0]}")
        return result


def number(text: str, query: str) -> float:
    """Return a value that can be counted with.

    Raises
    ------
    UnusableError
        It is NaN, infinite or negative.
    """
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise UnusableError(f"{query} is {text}")
    return value


def began_at_zero(
    calls: Iterable[Curve],
    twins: Iterable[Curve],
    starts: Iterable[tuple[Mapping[str, str], float]],
    since: datetime,
) -> Callable[[Curve], bool]:
    """Return what tells whether a counter counted from zero when it was first seen.

    Parameters
    ----------
    twins
        The liveness twin of each process, over the same time.
    starts
        When each process started, in seconds since the epoch.
    """
    first_seen: dict[tuple[str, ...], int] = {}
    for curve in (*twins, *calls):
        if curve.points:
            at_s = curve.points[0][0]
            first_seen[curve.process] = min(first_seen.get(curve.process, at_s), at_s)
    started = {tuple(labels.get(name, "") for name in _PROCESS): value for labels, value in starts}

    def tell(curve: Curve) -> bool:
        scraped_before = first_seen[curve.process] < curve.points[0][0]
        return scraped_before or started.get(curve.process, 0.0) >= since.timestamp()

    return tell


def steps(curve: Curve, *, from_zero: bool) -> list[tuple[int, float]]:
    """By how much a counter grew, and since when: the edge before the one it was seen at."""
    grown = []
    before = 0.0 if from_zero else None
    for at_s, value in curve.points:
        if before is not None:
            by = value - before if value >= before else value
            if by:
                grown.append((at_s - BUCKET_S, by))
        before = value
    return grown


def bucketed(
    curves: Iterable[Curve], from_zero: Callable[[Curve], bool], since: datetime
) -> dict[Series, tuple[CallWindow, ...]]:
    """Count the calls of every series in buckets, newest first.

    Raises
    ------
    UnusableError
        A series lacks a label that says whose calls it counts.
    """
    found: dict[Series, dict[int, dict[str, float]]] = {}
    for curve in curves:
        labels = curve.labels
        outcome = labels.get("outcome")
        if outcome in {"cancelled", "rejected"} or not curve.points:
            continue
        if outcome not in {"ok", "failed"} or not labels.get("provider") or not labels.get("operation"):
            raise UnusableError(f"{CALLS} lacks provider, operation or outcome")
        if not labels.get("mode_epoch", "").isdigit():
            raise UnusableError(f"{CALLS} lacks mode_epoch")
        failure_class = labels.get("failure_class", "")
        name = "ok" if outcome == "ok" else failure_class if failure_class in _CLASSES else "unknown"
        series = Series(labels["provider"], int(labels["mode_epoch"]), labels["operation"])
        known_start = curve.points[0][0] > since.timestamp() and from_zero(curve)
        for at_s, by in steps(curve, from_zero=known_start):
            counts = found.setdefault(series, {}).setdefault(at_s, {})
            counts[name] = counts.get(name, 0.0) + by
    return {
        series: tuple(_window(at_s, counts) for at_s, counts in sorted(buckets.items(), reverse=True))
        for series, buckets in found.items()
    }


def _window(at_s: int, counts: Mapping[str, float]) -> CallWindow:
    start = datetime.fromtimestamp(at_s, UTC)
    by_class = {name: round(count) for name, count in counts.items() if name != "ok"}
    failed = sum(by_class.values())
    return CallWindow(
        start, start + timedelta(seconds=BUCKET_S), round(counts.get("ok", 0)) + failed, failed, by_class
    )


def _mode_shown(values: Iterable[tuple[Mapping[str, str], float]], at: datetime) -> ModeRow | None:
    """Return the mode of the highest epoch that a process shows."""
    shown = [(round(epoch), labels.get("value", "")) for labels, epoch in values if labels.get("value")]
    if not shown:
        return None
    epoch, value = max(shown)
    return ModeRow(value, epoch, "metrics", "as the processes show it", None, value, at)
