"""The guard's own store: incidents, journal, lease, outbox, inbox, operators; SQLite, or its own Postgres."""

from __future__ import annotations

from understudy.store.guard.backend import Backend
from understudy.store.guard.chart_memory import ChartRow, ChartTable
from understudy.store.guard.opening import GUARD_FILE, open_guard_store
from understudy.store.guard.operators import MACHINE_KEY
from understudy.store.guard.postgres import PostgresBackend
from understudy.store.guard.rows import (
    TERMINAL_STATES,
    AlertRow,
    ChannelRow,
    DeadLetter,
    IncidentRow,
    KnownGood,
    Lease,
    OperatorRow,
)
from understudy.store.guard.sqlite import SqliteBackend
from understudy.store.guard.store import NO_INCIDENT, GuardStore

__all__ = [
    "GUARD_FILE",
    "MACHINE_KEY",
    "NO_INCIDENT",
    "TERMINAL_STATES",
    "AlertRow",
    "Backend",
    "ChannelRow",
    "ChartRow",
    "ChartTable",
    "DeadLetter",
    "GuardStore",
    "IncidentRow",
    "KnownGood",
    "Lease",
    "OperatorRow",
    "PostgresBackend",
    "SqliteBackend",
    "open_guard_store",
]
