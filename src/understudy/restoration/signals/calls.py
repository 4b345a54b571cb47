"""Rows of calls as a reading has them: by series, newest first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from understudy.restoration.signals.readings import Series, TailCall
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, pooled
from understudy.store.database import Database
from understudy.store.signals import Bucket, NewestCall, Refusals

#: Gives the database once it can be reached: a guard starts, and restores, without it.
Connect = Callable[[], Awaitable[Database]]
Release = Callable[[], Awaitable[None]]


def windows_by_series(buckets: Iterable[Bucket]) -> dict[Series, tuple[CallWindow, ...]]:
    """Put the parts of each bucket together: by series, newest first."""
    parts: dict[Series, dict[datetime, list[CallWindow]]] = {}
    for bucket in buckets:
        series = Series(bucket.provider, bucket.mode_epoch, bucket.operation)
        parts.setdefault(series, {}).setdefault(bucket.bucket_at, []).append(window_of(bucket))
    return {
        series: tuple(
            some[0] if len(some) == 1 else pooled(some, some[0].start, some[0].end)
            for _, some in sorted(by_start.items(), reverse=True)
        )
        for series, by_start in parts.items()
    }


def window_of(bucket: Bucket) -> CallWindow:
    """Return a stored bucket as a window of :data:`BUCKET_S` seconds."""
    by_class = {
        "transport": bucket.failed_transport,
        "protocol": bucket.failed_protocol,
        "provider": bucket.failed_provider,
        "unknown": bucket.failed_unknown,
    }
    return CallWindow(
        start=bucket.bucket_at,
        end=bucket.bucket_at + timedelta(seconds=BUCKET_S),
        total=bucket.total,
        failed=bucket.failed,
        by_class={name: count for name, count in by_class.items() if count},
        synthetic_total=bucket.synthetic_total,
        synthetic_failed=bucket.synthetic_failed,
        failed_users=frozenset(map(str, bucket.failed_users)),
        ok_users=frozenset(map(str, bucket.ok_users)),
    )


def tails_by_series(newest: Iterable[NewestCall]) -> dict[Series, tuple[TailCall, ...]]:
    """Sort calls, newest first, to their series."""
    tails: dict[Series, list[TailCall]] = {}
    for call in newest:
        tails.setdefault(Series(call.provider, call.mode_epoch, call.operation), []).append(
            TailCall(
                call.at, call.ok, str(call.user_id) if call.user_id else None, call.failure_class, call.code
            )
        )
    return {series: tuple(some) for series, some in tails.items()}


def refusals_by_series(refusals: Iterable[Refusals]) -> dict[Series, tuple[CallWindow, ...]]:
    """Sort buckets of admissions, newest first, to their series."""
    found: dict[Series, list[CallWindow]] = {}
    for row in refusals:
        end = row.bucket_at + timedelta(seconds=BUCKET_S)
        found.setdefault(Series(row.provider, row.mode_epoch, row.operation), []).append(
            CallWindow(row.bucket_at, end, row.asked, row.refused)
        )
    return {series: tuple(some) for series, some in found.items()}
