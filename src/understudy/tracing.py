"""OpenTelemetry traces, when a collector is configured; nothing of it is even imported when none is.

Attributes are names, numbers and ids of ours. No text, no header and no message of an error ever goes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from understudy.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

TRACES_PATH = "/v1/traces"
#: What is left when the process ends gets this long.
STOP_DEADLINE_S = 2.0

Attribute = str | int | float | bool


class Traced(Protocol):
    """A span under way."""

    def put(self, **attributes: Attribute) -> None:
        """Add attributes; double underscores in names become dots."""
        ...

    def name(self, name: str) -> None:
        """Name it once its name is known."""
        ...

    def fail(self) -> None:
        """Mark it as failed."""
        ...


class Tracing(Protocol):
    """Makes spans, or seems to."""

    def span(
        self, name: str, *, carrier: Mapping[str, str] | None = None, server: bool = False
    ) -> AbstractContextManager[Traced]:
        """Open a span for the block; one that is raised through is marked as failed.

        Parameters
        ----------
        carrier
            Headers that may have a W3C ``traceparent`` to continue.
        server
            Somebody outside asked for it.
        """
        ...

    def past(
        self, name: str, start: datetime, end: datetime, *, failed: bool, **attributes: Attribute
    ) -> None:
        """Record a span that is over already, inside the one that is open."""
        ...

    async def stop(self) -> None:
        """Send what is left, within a deadline."""
        ...


class _Nothing:
    """A span that is none."""

    def __enter__(self) -> Traced:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def put(self, **attributes: Attribute) -> None:
        """Ignore."""

    def name(self, name: str) -> None:
        """Ignore."""

    def fail(self) -> None:
        """Ignore."""


_NOTHING = _Nothing()


class NoTracing:
    """Without a collector."""

    def span(
        self,
        name: str,  # noqa: ARG002
        *,
        carrier: Mapping[str, str] | None = None,  # noqa: ARG002
        server: bool = False,  # noqa: ARG002
    ) -> AbstractContextManager[Traced]:
        """Open nothing."""
        return _NOTHING

    def past(
        self, name: str, start: datetime, end: datetime, *, failed: bool, **attributes: Attribute
    ) -> None:
        """Record nothing."""

    async def stop(self) -> None:
        """Send nothing."""


class _Span:
    def __init__(self, span: Any) -> None:
        self._span = span

    def put(self, **attributes: Attribute) -> None:
        for key, value in attributes.items():
            self._span.set_attribute(key.replace("__", "."), value)

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._span.set_status(StatusCode.ERROR)


class OtlpTracing:
    """Spans sent in batches, from a thread of the exporter's."""

    def __init__(self, exporter: SpanExporter, process: str, instance: str, version: str) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        resource = Resource.create(
            {
                "service.name": f"understudy-{process}",
                "service.instance.id": instance,
                "service.version": version,
            }
        )
        # Ended by stop(), within a deadline; an exit handler would wait for a collector that hangs.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("understudy", version)
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def span(
        self, name: str, *, carrier: Mapping[str, str] | None = None, server: bool = False
    ) -> Iterator[Traced]:
        """Open a span for the block."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        parent = self._propagator.extract(carrier) if carrier is not None else None
        kind = SpanKind.SERVER if server else SpanKind.INTERNAL
        # Messages of errors may hold what a tenant wrote: that it failed is all that is told.
        with self._tracer.start_as_current_span(
            name, context=parent, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            traced = _Span(span)
            try:
                yield traced
            except BaseException as error:
                if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
                    traced.fail()
                raise

    def past(
        self, name: str, start: datetime, end: datetime, *, failed: bool, **attributes: Attribute
    ) -> None:
        """Record a span that is over already."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, start_time=_nanoseconds(start))
        traced = _Span(span)
        traced.put(**attributes)
        if failed:
            traced.fail()
        span.end(_nanoseconds(end))

    async def stop(self) -> None:
        """Send what is left; a collector that hangs is not waited for beyond the deadline."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        # A thread that the process does not wait for, as it would for one of the loop's executor.
        threading.Thread(target=shut_down, name="traces-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_DEADLINE_S):
                await ended.wait()


def open_tracing(endpoint: str, *, process: str, instance: str, version: str) -> Tracing:
    """Return tracing to the collector at ``endpoint``, or none when that is empty.

    Raises
    ------
    ConfigurationError
        ``endpoint`` is not a URL, or the packages for it are not installed.
    """
    if not endpoint:
        return NoTracing()
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL: expected the collector's address, such as "
            "http://127.0.0.1:4318."
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages for traces are not installed: "
            "pip install 'understudy[otel]'."
        ) from None
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH, timeout=STOP_DEADLINE_S)
    return OtlpTracing(exporter, process, instance, version)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
