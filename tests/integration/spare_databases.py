"""Databases made before a test asks for one and dropped after it, beside the tests.

A test waits much: for processes, deadlines, answers. Making a database is work of the server alone, so it is
done in that time. Each test still gets a database that nobody used before.
"""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
from psycopg import sql
from pydantic import SecretStr


class SpareDatabases:
    """Keeps one copy of ``template`` ready.

    Parameters
    ----------
    url
        The server's superuser.
    owner
        Role that owns each database.

    Raises
    ------
    psycopg.Error
        From :meth:`take` or :meth:`close`: a database could not be made, or not dropped.
    """

    def __init__(self, url: SecretStr, *, template: str, owner: str) -> None:
        self._url = url
        self._template, self._owner = template, owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spare-databases")
        self._connection: psycopg.Connection | None = None
        self._next: Future[str] | None = None
        self._drops: list[Future[None]] = []

    async def take(self) -> str:
        """A database's name; the next one is begun at once."""
        ready = self._next or self._thread.submit(self._make)
        self._next = self._thread.submit(self._make)
        return await asyncio.wrap_future(ready)

    def give_back(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._drops.append(self._thread.submit(self._drop, name))

    def close(self) -> None:
        """End the connection once every drop is done; spare databases go with the server."""
        self._thread.submit(self._disconnect).result()
        self._thread.shutdown()
        for drop in self._drops:
            drop.result()

    def _make(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        statement = sql.SQL("create database {} template {} owner {}")
        self._run(statement.format(*map(sql.Identifier, (name, self._template, self._owner))))
        return name

    def _drop(self, name: str) -> None:
        self._run(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url.get_secret_value(), autocommit=True)
        self._connection.execute(statement)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
