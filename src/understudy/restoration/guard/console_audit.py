"""The route of the audit: who ordered what, over everything that keeps such a record."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from aiohttp import web

from understudy.errors import StoreUnavailableError
from understudy.restoration.cutover.moves import MoveLimits, Thaw
from understudy.restoration.drills.history import DrillRow, read_rows
from understudy.restoration.guard.console_parts import ConsoleContext, ConsolePart, number_in
from understudy.restoration.guard.jobs import ASKED, STOPPED, Jobs
from understudy.restoration.incidents import person_named
from understudy.store.cutover import CutoverChange, cutover_history
from understudy.store.freeze import FreezeRow, freeze_history
from understudy.store.journal import JournalEntry
from understudy.store.mode import ModeChange, mode_history

PAGE, LONGEST_PAGE = 50, 200
#: So many of the newest entries of each record are looked through; what is older is in the records alone.
DEPTH = 1000
#: The product's database has so long to answer, in seconds.
PRODUCT_WITHIN_S = 3.0
#: Who runs drills from the command line: their history names no person.
DRILLS_ACTOR = "drill"


class Entry(NamedTuple):
    """One thing that was done."""

    at: datetime
    actor: str
    what: str
    reason: str
    incident: str | None
    source: str
    detail: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        return {**self._asdict(), "at": self.at.isoformat()}


class Audit(ConsolePart):
    """Merges the guard's own records with those in the product's database, newest first.

    Of the journal what persons did; of mode, write freeze and cutover every change, the guard's too. While
    the product's database is away the answer says that it is partial.
    """

    def __init__(self, context: ConsoleContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [web.get("/audit", self._page)]

    async def _page(self, request: web.Request) -> web.Response:
        limit = number_in(request, "limit", PAGE, lowest=1, highest=LONGEST_PAGE)
        offset = number_in(request, "offset", 0, highest=DEPTH)
        person = request.query.get("person") or None
        wanted = min(offset + limit + 1, DEPTH)
        entries = self._own(wanted, person)
        partial = False
        try:
            # These are looked through for a person here, not by their database.
            entries += await self._products(DEPTH if person else wanted)
        except (StoreUnavailableError, TimeoutError):
            partial = True
        if person is not None:
            entries = [entry for entry in entries if entry.actor in {person, person_named(person)}]
        entries.sort(key=lambda entry: entry.at, reverse=True)
        page = entries[offset : offset + limit]
        more = len(entries) > offset + limit
        return web.json_response(
            {
                "entries": [entry.document() for entry in page],
                "next_offset": offset + limit if more else None,
                "partial": partial,
            }
        )

    def _own(self, limit: int, person: str | None) -> list[Entry]:
        """Return what the guard itself remembers."""
        context = self._context
        environment = context.guard.book.environment
        written = context.store.entries_by_persons(
            environment, actor=person_named(person) if person else None, limit=limit
        )
        states = {job.id: job.state for job in self._jobs.all()}
        limits = context.guard.playbook.cutover.limits
        record = MoveLimits(context.store, limits, context.clock, environment).record()
        return [
            *(_journaled(entry, states) for entry in written),
            *(_thawed(thaw) for thaw in record.thaws),
            *(_drilled(row) for row in read_rows(context.home)[-limit:]),
        ]

    async def _products(self, limit: int) -> list[Entry]:
        """Return what stands in the product's database; nothing where that is not ours."""
        if not self._context.environment.live_switch:
            return []
        async with asyncio.timeout(PRODUCT_WITHIN_S), (await self._context.connect()).service() as conn:
            modes = await mode_history(conn, limit)
            freezes = await freeze_history(conn, limit)
            cutovers = await cutover_history(conn, limit)
        return [
            *(_mode(change) for change in modes),
            *(_freeze(change) for change in freezes),
            *_cutover(cutovers),
        ]


def _journaled(entry: JournalEntry, states: Mapping[str, str]) -> Entry:
    body = dict(entry.body)
    source = "journal"
    if entry.kind in {"key_created", "key_revoked"}:
        source = "keys"
    elif entry.kind in {ASKED, STOPPED}:
        source = "job"
        body["state"] = states.get(str(body.get("job")))
    finding = body.get("finding")
    reason = body.get("reason") or (finding.get("detail") if isinstance(finding, dict) else None)
    return Entry(
        entry.at,
        entry.actor,
        _words(entry),
        str(reason or ""),
        entry.incident or None,
        source,
        {"seq": entry.seq, "kind": entry.kind, **_shown(body)},
    )


#: What the entries of persons say; ``{...}`` is of the entry's body.
_WORDS = {
    "opened": "asked for {action}",
    "joined": "asked for {action}",
    "ack": "acknowledged the incident",
    "note": "wrote a note",
    "approval": "approved the plan of {action}",
    "abort": "ordered: abort",
    "hold": "ordered: hold",
    "resume": "ordered: resume",
    "state": "set the incident to {to}",
    "key_created": "made the key {prefix} of {label}",
    "key_revoked": "revoked the key {prefix} of {label}",
    "known_good": "recorded known-good #{record}",
    ASKED: "asked for: {kind} {subject}",
    STOPPED: "stopped: {kind} {subject}",
}


def _words(entry: JournalEntry) -> str:
    pattern = _WORDS.get(entry.kind, entry.kind.replace("_", " "))
    words = pattern.format_map(defaultdict(str, {name: value or "" for name, value in entry.body.items()}))
    return f"{words.strip()}, breaking the glass" if entry.body.get("break_glass") else words.strip()


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is long: the finding behind a request stands in the incident's journal."""
    return {name: value for name, value in body.items() if isinstance(value, str | int | float | bool | None)}


def _mode(change: ModeChange) -> Entry:
    before = f" (from {change.previous_value})" if change.previous_value else ""
    detail = {"epoch": change.epoch, "value": change.value, "previous_value": change.previous_value}
    what = f"set the mode to {change.value}{before}"
    return Entry(change.changed_at, change.actor, what, change.reason, change.incident, "mode", detail)


def _freeze(change: FreezeRow) -> Entry:
    what = "froze writes" if change.frozen else "thawed writes"
    detail = {"frozen": change.frozen}
    return Entry(change.changed_at, change.actor, what, change.reason, None, "freeze", detail)


def _cutover(changes: Sequence[CutoverChange]) -> list[Entry]:
    return [
        Entry(
            change.changed_at,
            change.actor,
            f"cutover {change.seq} to {change.candidate}: {change.state}, stage {change.stage + 1}, "
            f"{change.percent} % of tenants",
            change.reason,
            change.incident,
            "cutover",
            {"cutover": change.seq, "epoch": change.epoch, "state": change.state, "owner": change.owner},
        )
        for change in changes
    ]


def _thawed(thaw: Thaw) -> Entry:
    at = datetime.fromisoformat(thaw.at)
    return Entry(at, thaw.actor, "thawed moves away from known-good", thaw.reason, None, "mode", {})


def _drilled(row: DrillRow) -> Entry:
    said = "passed" if row.passed else f"failed: {row.problem or 'it did not do what it should'}"
    at = datetime.fromisoformat(row.at)
    detail = row.document()
    return Entry(at, DRILLS_ACTOR, f"drill {row.scenario} {said}", "", None, "job", detail)
