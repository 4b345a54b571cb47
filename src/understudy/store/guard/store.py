"""The guard's own memory: incidents, their journal, the lease. Never in the product database.

A restore of the product database must not erase the incident that ordered it. The journal is append-only and
hash-chained; the ``incidents`` table is a projection of it, written in the same transaction.

Calls are synchronous: each is one short transaction, and an ``await`` between check and write is what a fence
must not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from understudy.clock import Clock
from understudy.errors import ConfigurationError, ConflictError, LeaseLostError, NotFoundError
from understudy.store.guard.alerts import AlertTable
from understudy.store.guard.backend import Backend, Row
from understudy.store.guard.chart_memory import ChartTable
from understudy.store.guard.memory import Memory
from understudy.store.guard.operators import OperatorTable
from understudy.store.guard.outbox import OutboxTables
from understudy.store.guard.rows import TERMINAL_STATES, IncidentRow, Lease
from understudy.store.guard.schema import SCHEMA_VERSION
from understudy.store.guard.sqlite import SqliteBackend
from understudy.store.journal import (
    GENESIS_HASH,
    ChainVerdict,
    JournalEntry,
    canonical_json,
    check_chain,
    digest,
    entry_of,
    utc,
)

#: ``incident`` of an entry that is about the guard itself.
NO_INCIDENT = ""
#: More rows than any query here may return.
_ALL = 1_000_000_000


class GuardStore(Memory):
    """One open store of the guard.

    Parameters
    ----------
    place
        A SQLite file (``home/guard/guard.sqlite3``), made where it is missing; or a database that is open.
        :func:`open_guard_store` chooses by the settings.

    Attributes
    ----------
    outbox, alerts, operators, charted
        Tables that the notifier, the alerts' inbox, the operator API and the charts keep.

    Raises
    ------
    ConfigurationError
        It cannot be opened, or a newer version of Understudy wrote it.
    """

    def __init__(self, place: Path | Backend, clock: Clock, *, must_exist: bool = False) -> None:
        backend = SqliteBackend(place, clock, must_exist=must_exist) if isinstance(place, Path) else place
        super().__init__(backend, clock)
        try:
            self._upgrade()
        except BaseException:
            backend.close()
            raise
        self.outbox = OutboxTables(backend)
        self.alerts = AlertTable(backend)
        self.operators = OperatorTable(backend, clock)
        self.charted = ChartTable(backend)
        self._told_of_entries: list[Callable[[], None]] = []

    def _upgrade(self) -> None:
        with self._backend.writing():
            version = self._backend.version()
            if version > SCHEMA_VERSION:
                raise ConfigurationError(
                    f"{self.place} was written by a newer version (schema {version}); upgrade this one first."
                )
            for missing in range(version + 1, SCHEMA_VERSION + 1):
                self._backend.upgrade(missing)

    @property
    def place(self) -> str:
        """Where it is: a file, or a server and database."""
        return self._backend.place

    def close(self) -> None:
        """Close it."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the lease ------------------------------------------------------------------------------------------

    def lease_now(self) -> datetime:
        """Time by the clock that leases are told by: on Postgres the server's, which every guard shares."""
        return self._backend.now()

    def acquire(self, environment: str, holder: str, *, lifetime_s: float) -> Lease | None:
        """Take the lease when it is free, expired or already ours; None while another holds it."""
        with self._backend.writing():
            now = self.lease_now()
            row = self._lease_row(environment)
            if row and row["holder"] != holder and utc(row["expires_at"]) > now:
                return None
            kept = row is not None and utc(row["expires_at"]) > now
            epoch = row["epoch"] + (0 if kept else 1) if row else 1
            lease = Lease(environment, holder, epoch, now + timedelta(seconds=lifetime_s))
            self._backend.run(
                "INSERT INTO lease VALUES (:environment, :holder, :epoch, :expires_at) "
                "ON CONFLICT (environment) DO UPDATE SET "
                "holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at",
                {
                    "environment": environment,
                    "holder": holder,
                    "epoch": epoch,
                    "expires_at": lease.expires_at.isoformat(),
                },
            )
        return lease

    def renew(self, lease: Lease, *, lifetime_s: float) -> Lease:
        """Hold on to ``lease``; raises :class:`LeaseLostError` once it is another's or has run out."""
        with self._backend.writing():
            self._fence(lease)
            expires_at = self.lease_now() + timedelta(seconds=lifetime_s)
            self._backend.run(
                "UPDATE lease SET expires_at = :expires_at WHERE environment = :environment",
                {"expires_at": expires_at.isoformat(), "environment": lease.environment},
            )
        return Lease(lease.environment, lease.holder, lease.epoch, expires_at)

    def release(self, lease: Lease) -> None:
        """Give the lease back at once, so that another guard need not wait; a lost one is left alone."""
        with self._backend.writing():
            self._backend.run(
                "UPDATE lease SET expires_at = :now "
                "WHERE environment = :environment AND holder = :holder AND epoch = :epoch",
                {
                    "now": self.lease_now().isoformat(),
                    "environment": lease.environment,
                    "holder": lease.holder,
                    "epoch": lease.epoch,
                },
            )

    def lease(self, environment: str) -> Lease | None:
        """Who holds, or last held, the lease."""
        row = self._lease_row(environment)
        return Lease(environment, row["holder"], row["epoch"], utc(row["expires_at"])) if row else None

    def holds(self, lease: Lease) -> bool:
        """Whether ``lease`` is in force, by the clock that leases are told by."""
        try:
            self._fence(lease)
        except LeaseLostError:
            return False
        return True

    def _lease_row(self, environment: str) -> Row | None:
        rows = self._backend.run(
            "SELECT holder, epoch, expires_at FROM lease WHERE environment = :environment",
            {"environment": environment},
        )
        return rows[0] if rows else None

    def _fence(self, lease: Lease) -> None:
        row = self._lease_row(lease.environment)
        held = row and row["holder"] == lease.holder and row["epoch"] == lease.epoch
        if not row or not held or utc(row["expires_at"]) <= self.lease_now():
            holder = row["holder"] if row else "nobody"
            raise LeaseLostError(
                f"The lease of {lease.environment} (epoch {lease.epoch}) is lost; {holder} holds it. "
                f"This guard must not act."
            )

    # --- incidents and their journal ------------------------------------------------------------------------

    def open_incident(
        self,
        fence: Lease | None,
        *,
        environment: str,
        incident: str,
        title: str,
        state: str,
        actor: str,
        body: Mapping[str, Any],
    ) -> JournalEntry:
        """Write a new incident and its first entry.

        Parameters
        ----------
        fence
            The guard's lease; None only for what a person asks for.

        Raises
        ------
        ConflictError
            The environment has an open incident already.
        LeaseLostError
            ``fence`` is not in force any more.
        """
        with self._appending():
            if fence is not None:
                self._fence(fence)
            if self.open_incident_of(environment) is not None:
                raise ConflictError(f"{environment} has an open incident already.")
            self._backend.run(
                "INSERT INTO incidents VALUES (:id, :environment, :state, :title, :now, :now)",
                {
                    "id": incident,
                    "environment": environment,
                    "state": state,
                    "title": title,
                    "now": self._clock.now().isoformat(),
                },
            )
            return self._append(
                incident,
                kind="opened",
                step=None,
                actor=actor,
                lease_epoch=fence.epoch if fence else None,
                body={**body, "to": state},
            )

    def append(
        self,
        fence: Lease | None,
        *,
        incident: str,
        kind: str,
        actor: str,
        body: Mapping[str, Any],
        step: str | None = None,
        move: tuple[str, str] | None = None,
        before_commit: Callable[[], None] | None = None,
    ) -> JournalEntry:
        """Append one entry, fenced and compared inside the same transaction.

        Parameters
        ----------
        fence
            The guard's lease; None only for what a person does.
        move
            ``(from, to)``: change the incident's state, which must still be ``from``.
        before_commit
            Runs inside the transaction and reads what it wrote; when it raises, nothing was written.

        Raises
        ------
        LeaseLostError
            ``fence`` is not in force any more.
        ConflictError
            The incident is in another state, or closed.
        NotFoundError
            There is no such incident.
        """
        with self._appending():
            if fence is not None:
                self._fence(fence)
            state = self.incident(incident).state
            if state in TERMINAL_STATES:
                raise ConflictError(f"Incident {incident} is {state}; nothing is added to it.")
            content = dict(body)
            if move:
                if state != move[0]:
                    raise ConflictError(f"Incident {incident} is {state}, not {move[0]}.")
                content |= {"from": move[0], "to": move[1]}
                self._backend.run(
                    "UPDATE incidents SET state = :state, updated_at = :now WHERE id = :id",
                    {"state": move[1], "now": self._clock.now().isoformat(), "id": incident},
                )
            entry = self._append(
                incident,
                kind=kind,
                step=step,
                actor=actor,
                lease_epoch=fence.epoch if fence else None,
                body=content,
            )
            if before_commit is not None:
                before_commit()
            return entry

    def announce(
        self, fence: Lease | None, *, kind: str, actor: str, body: Mapping[str, Any]
    ) -> JournalEntry:
        """Append an entry about the guard itself, of no incident; raises :class:`LeaseLostError`."""
        with self._appending():
            if fence is not None:
                self._fence(fence)
            epoch = fence.epoch if fence else None
            return self._append(NO_INCIDENT, kind=kind, step=None, actor=actor, lease_epoch=epoch, body=body)

    def on_entry(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` after each entry that this store appends; what is returned ends that.

        Entries of other processes are only found by looking.
        """
        self._told_of_entries.append(told)
        return lambda: self._told_of_entries.remove(told)

    @contextmanager
    def _appending(self) -> Iterator[None]:
        """Write, and once it is written tell whoever waits for entries."""
        with self._backend.writing():
            yield
        for told in tuple(self._told_of_entries):
            told()

    def _append(
        self,
        incident: str,
        *,
        kind: str,
        step: str | None,
        actor: str,
        lease_epoch: int | None,
        body: Mapping[str, Any],
    ) -> JournalEntry:
        last = self._backend.run("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1")
        seq, prev_hash = (last[0]["seq"] + 1, last[0]["hash"]) if last else (1, GENESIS_HASH)
        fields = {
            "seq": seq,
            "at": self._clock.now().isoformat(),
            "incident": incident,
            "kind": kind,
            "step": step,
            "actor": actor,
            "lease_epoch": lease_epoch,
            "body": json.loads(canonical_json(body)),
            "prev_hash": prev_hash,
        }
        row = {**fields, "body": canonical_json(fields["body"]), "hash": digest(fields)}
        self._backend.run(
            "INSERT INTO journal VALUES (:seq, :at, :incident, :kind, :step, :actor, :lease_epoch, :body, "
            ":prev_hash, :hash)",
            row,
        )
        self._set_meta("journal_head", f"{seq}:{row['hash']}")
        return entry_of(row)

    def incident(self, incident: str) -> IncidentRow:
        """Return one incident; raises :class:`NotFoundError`."""
        rows = self._backend.run("SELECT * FROM incidents WHERE id = :id", {"id": incident})
        if not rows:
            raise NotFoundError(f"There is no incident {incident}.")
        return _incident(rows[0])

    def incidents(
        self,
        environment: str | None = None,
        *,
        state: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[IncidentRow]:
        """Incidents, newest first."""
        rows = self._backend.run(
            "SELECT * FROM incidents WHERE (:environment IS NULL OR environment = :environment) "
            "AND (:state IS NULL OR state = :state) ORDER BY opened_at DESC, id DESC "
            "LIMIT :limit OFFSET :offset",
            {
                "environment": environment,
                "state": state,
                "limit": _ALL if limit is None else limit,
                "offset": offset,
            },
        )
        return [_incident(row) for row in rows]

    def open_incident_of(self, environment: str) -> IncidentRow | None:
        """Return the one incident that is not closed or aborted, if any."""
        rows = self._backend.run(
            f"SELECT * FROM incidents WHERE environment = :environment AND state NOT IN {TERMINAL_STATES!r}",  # noqa: S608  # our own constants
            {"environment": environment},
        )
        return _incident(rows[0]) if rows else None

    def entries(self, incident: str | None = None) -> list[JournalEntry]:
        """Journal of one incident, or the whole of it, oldest first."""
        return self.entries_after(0, limit=_ALL, incident=incident)

    def entries_after(self, seq: int, *, limit: int = 500, incident: str | None = None) -> list[JournalEntry]:
        """Journal entries newer than ``seq``, oldest first."""
        rows = self._backend.run(
            "SELECT * FROM journal WHERE seq > :seq AND (:incident IS NULL OR incident = :incident) "
            "ORDER BY seq LIMIT :limit",
            {"seq": seq, "incident": incident, "limit": limit},
        )
        return [entry_of(row) for row in rows]

    def entries_by_persons(
        self, environment: str, *, actor: str | None = None, limit: int
    ) -> list[JournalEntry]:
        """What persons wrote, newest first: about incidents of this environment, and about the guard itself.

        Parameters
        ----------
        actor
            One of them alone, as the journal names them.
        """
        # Spelled so that the indexes of persons' entries are used, newest first, until there are enough.
        one = "AND actor = :actor " if actor is not None else ""
        rows = self._backend.run(
            f"SELECT * FROM journal WHERE substr(actor, 1, 7) = 'person:' {one}AND (incident = '' "  # noqa: S608  # our own words
            "OR EXISTS (SELECT 1 FROM incidents WHERE id = journal.incident AND environment = :environment)) "
            "ORDER BY seq DESC LIMIT :limit",
            {"environment": environment, "limit": limit} | ({"actor": actor} if actor is not None else {}),
        )
        return [entry_of(row) for row in rows]

    def head(self) -> int:
        """Return the ``seq`` of the newest entry; 0 before the first."""
        return int(self._backend.run("SELECT coalesce(max(seq), 0) AS head FROM journal")[0]["head"])

    def verify_chain(self) -> ChainVerdict:
        """Recompute every hash, the sequence, the head and each incident's state from the journal alone."""
        rows = self._backend.run("SELECT * FROM journal ORDER BY seq")
        states = {row.id: row.state for row in self.incidents()}
        return check_chain(rows, recorded_head=self.meta("journal_head"), recorded_states=states)

    # --- operators ------------------------------------------------------------------------------------------

    def add_operator(self, token: str, label: str) -> None:
        """Let ``token`` in under ``label``; one that is known, or was revoked, stays as it is."""
        self.operators.add(token, label)

    def operator(self, token: str) -> str | None:
        """Return the label of the operator whose key this is; None for a wrong or revoked one."""
        return self.operators.label_of(token)


def _incident(row: Row) -> IncidentRow:
    return IncidentRow(
        id=row["id"],
        environment=row["environment"],
        state=row["state"],
        title=row["title"],
        opened_at=utc(row["opened_at"]),
        updated_at=utc(row["updated_at"]),
    )
