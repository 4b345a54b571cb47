"""Probes in the product's database: told apart from users before they speak, and on record when they have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import psycopg

from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.signals.calls import Connect
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.closed_reads import read_closed
from understudy.store.probes import TaskCall, call_of_task
from understudy.store.synthetic import mark_synthetic

LABEL = "probe"

log = get_logger(__name__)


class ProbeRecords:
    """Reads and writes, each with a deadline.

    Parameters
    ----------
    query_s
        Deadline of one statement, in seconds.
    """

    def __init__(self, connect: Connect, *, query_s: float = 5.0) -> None:
        self._connect = connect
        self._query_s = query_s

    async def mark(self, user_ids: Sequence[UUID]) -> None:
        """Count every later call of these users as a probe's.

        Raises
        ------
        StoreUnavailableError
            They are not told apart; nothing may be made in their name.
        """
        try:
            async with asyncio.timeout(self._query_s), (await self._connect()).service() as conn:
                for user_id in user_ids:
                    await mark_synthetic(conn, user_id, LABEL)
        except TimeoutError:
            raise StoreUnavailableError from None

    async def closed_reads(self) -> list[str]:
        """Return the kinds of reads that are closed; none where that cannot be asked."""
        try:
            async with asyncio.timeout(self._query_s), (await self._connect()).service() as conn:
                return sorted(name for name, row in (await read_closed(conn)).items() if row.closed)
        except (TimeoutError, StoreUnavailableError, psycopg.errors.UndefinedTable):
            return []

    async def of_task(self, task_id: UUID) -> TaskCall | None:
        """Return what the product recorded of a probe's task; None while it cannot be read."""
        try:
            async with asyncio.timeout(self._query_s), (await self._connect()).service() as conn:
                return await call_of_task(conn, task_id)
        except (TimeoutError, StoreUnavailableError):
            return None

    async def keep(self, record: CallRecord) -> None:
        """Keep a call that the product did not make; without a database it is in the log only."""
        try:
            async with asyncio.timeout(self._query_s), (await self._connect()).service() as conn:
                await insert_calls(conn, [record])
        except (TimeoutError, StoreUnavailableError) as error:
            log.warning("probe_not_recorded", provider=record.provider, reason=type(error).__name__)
