"""Prometheus metrics of each kind of process: standard names, and no label that a caller chooses."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

#: Seconds: an answer out of memory up to speech of three minutes.
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 300)
FIRST_AUDIO_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 15, 30)
CYCLE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: Of a request that no route matched: its path is the caller's word.
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Headers that a proxy adds: what came through one did not come from this machine.
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "forwarded", "via", "x-real-ip")


class CallFacts(NamedTuple):
    """Labels of one provider call; epochs are few."""

    provider: str
    operation: str
    outcome: str
    failure_class: str
    mode_epoch: int


class ModeFacts(NamedTuple):
    """What a process holds to be the mode."""

    value: str
    state: str
    epoch: int


class ProcessMetrics:
    """What an api or a worker counts; each instance has a registry of its own.

    Adding to a counter takes about a microsecond; what is asked of others (:meth:`follow`) is asked when the
    metrics are read.
    """

    def __init__(self) -> None:
        self.registry = process_registry()
        self._requests = Counter(
            "understudy_http_requests",
            "Requests answered, by route template; status 0 is a client that hung up before the answer.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "understudy_http_request_duration_seconds",
            "From the request's head to the end of its answer; of a stream, to the end of its audio.",
            ["method", "route"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter(
            "understudy_provider_calls",
            "Provider calls that ended in this process.",
            list(CallFacts._fields),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "understudy_provider_call_duration_seconds",
            "Of a provider call, whole.",
            ["provider", "operation"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._first_audio_seconds = Histogram(
            "understudy_first_audio_seconds",
            "From a provider call to its first audio.",
            ["provider"],
            buckets=FIRST_AUDIO_BUCKETS,
            registry=self.registry,
        )
        self._tasks = Counter(
            "understudy_tasks",
            "Tasks that this worker attended to, to their end or until it gave them back.",
            ["type", "provider"],
            registry=self.registry,
        )
        self._task_seconds = Histogram(
            "understudy_task_duration_seconds",
            "How long this worker held a task.",
            ["type"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._tasks_active = Gauge(
            "understudy_tasks_active", "Tasks in this worker's hands.", ["type"], registry=self.registry
        )

    def follow(
        self, *, mode: Callable[[], ModeFacts], streams: Callable[[], int], drops: Callable[[], int]
    ) -> None:
        """Ask for these whenever the metrics are read.

        Parameters
        ----------
        mode
            What this process holds to be the mode.
        streams
            How much speech it streams now.
        drops
            Signals it dropped since its start.
        """
        self.registry.register(_Asked(mode, streams, drops))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request and its duration in ``seconds``."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._request_seconds.labels(known, route).observe(seconds)

    def provider_call(self, facts: CallFacts, seconds: float, first_audio_s: float | None) -> None:
        """Count a provider call that ended, and its durations in seconds."""
        self._calls.labels(*(str(fact) for fact in facts)).inc()
        self._call_seconds.labels(facts.provider, facts.operation).observe(seconds)
        if first_audio_s is not None:
            self._first_audio_seconds.labels(facts.provider).observe(first_audio_s)

    @contextmanager
    def task(self, kind: str, provider: str) -> Iterator[None]:
        """Count a task while it is in this worker's hands, and how long it was."""
        active = self._tasks_active.labels(kind)
        with active.track_inprogress(), self._task_seconds.labels(kind).time():
            yield
        self._tasks.labels(kind, provider).inc()


@dataclass(frozen=True, slots=True)
class GuardMetrics:
    """What the guard shows of what it sees; see :func:`guard_registry`."""

    registry: CollectorRegistry
    #: By ``trigger`` and ``check``: 0 PASS, 1 NO_DATA, 2 INCONCLUSIVE, 3 BLIND, 4 FAIL.
    verdict: Gauge
    #: By ``trigger`` and ``check``: FAIL of a check in shadow mode.
    would_have_fired: Counter
    cycle_seconds: Histogram
    incidents_open: Gauge
    #: 1 while this guard holds the lease.
    leads: Gauge
    #: By ``channel``: notifications not yet taken.
    outbox_pending: Gauge
    #: By ``role`` (active, standby) and ``provider``: whether the newest probe was heard.
    probe_ok: Gauge
    backup_at: Gauge


def guard_registry() -> GuardMetrics:
    """Return the guard's metrics, on a registry of their own."""
    registry = process_registry()
    return GuardMetrics(
        registry=registry,
        verdict=Gauge(
            "understudy_guard_verdict",
            "Severity of a check: 0 PASS, 1 NO_DATA, 2 INCONCLUSIVE, 3 BLIND, 4 FAIL.",
            ["trigger", "check"],
            registry=registry,
        ),
        would_have_fired=Counter(
            "understudy_guard_would_have_fired",
            "Times that a check in shadow mode began to fail.",
            ["trigger", "check"],
            registry=registry,
        ),
        cycle_seconds=Histogram(
            "understudy_guard_cycle_seconds",
            "One look of the guard.",
            buckets=CYCLE_BUCKETS,
            registry=registry,
        ),
        incidents_open=Gauge(
            "understudy_incidents_open", "Incidents that are not closed.", registry=registry
        ),
        leads=Gauge("understudy_guard_leads", "Whether this guard holds the lease.", registry=registry),
        outbox_pending=Gauge(
            "understudy_guard_outbox_pending",
            "Notifications that a channel has not taken yet.",
            ["channel"],
            registry=registry,
        ),
        probe_ok=Gauge(
            "understudy_probe_ok",
            "Whether the newest canary utterance was heard.",
            ["role", "provider"],
            registry=registry,
        ),
        backup_at=Gauge(
            "understudy_backup_timestamp_seconds",
            "The moment that the newest usable backup holds; 0 where there is none.",
            registry=registry,
        ),
    )


def process_registry() -> CollectorRegistry:
    """Return a registry with the standard ``process_*``, ``python_*`` collectors."""
    # Nobody here makes use of the counters' creation times, and each doubles its counter's lines.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the body of ``GET /metrics`` and its content type, as ``accept`` asks for it."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Access(NamedTuple):
    """Whether metrics may be read, and whether one may try again with the token."""

    allowed: bool
    challenged: bool = False


def may_read(token: str, headers: Callable[[str], str | None], *, on_loopback: bool) -> Access:
    """Decide whether a request may read the metrics.

    Parameters
    ----------
    token
        ``METRICS_TOKEN``; without one only this machine may, past no proxy and under no foreign name (a page
        whose name was made to mean 127.0.0.1 has that name in ``Host``).
    headers
        Value of a request's header, by its lower-case name.
    on_loopback
        Whether this process listens on loopback only.
    """
    if token:
        scheme, _, given = (headers("authorization") or "").partition(" ")
        right = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
        return Access(right, challenged=not right)
    host = (headers("host") or "").rsplit(":", 1)[0] if headers("host") != "[::1]" else "[::1]"
    local = host in {"127.0.0.1", "localhost", "[::1]"}
    return Access(on_loopback and local and not any(headers(name) for name in _FORWARDED))


class _Asked:
    """A collector of what is asked for when the metrics are read."""

    def __init__(
        self, mode: Callable[[], ModeFacts], streams: Callable[[], int], drops: Callable[[], int]
    ) -> None:
        self._mode = mode
        self._streams = streams
        self._drops = drops

    def describe(self) -> Iterable[Metric]:
        """Names only: registering must not ask."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What is so now."""
        mode = self._mode()
        yield GaugeMetricFamily("understudy_mode_epoch", "Epoch of the mode held here.", value=mode.epoch)
        info = GaugeMetricFamily(
            "understudy_mode_info", "The mode held here, and how surely.", labels=["value", "state"]
        )
        info.add_metric([mode.value, mode.state], 1)
        yield info
        yield GaugeMetricFamily("understudy_streams_active", "Speech being streamed.", value=self._streams())
        yield CounterMetricFamily(
            "understudy_signal_drops", "Signals this process could not keep.", value=self._drops()
        )
