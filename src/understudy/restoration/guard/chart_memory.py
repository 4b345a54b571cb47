"""What charts show that stands on no other record, over restarts: judged windows, starts of processes.

The guard that leads writes it down in its own store, a row every few seconds; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.guard.judged_windows import KEPT, JudgedWindow, JudgedWindows
from understudy.restoration.triggers.verdict import Verdict
from understudy.store.guard import ChartRow, ChartTable
from understudy.store.mode import ProcessRow

#: So long they are kept: as long as the longest chart, and as there are windows in memory.
STARTS_FOR = timedelta(days=1)
WINDOWS_FOR = timedelta(hours=1, minutes=5)
#: A process that starts again and again fills neither memory nor store.
STARTS_KEPT = 500
_LATE_AT_ONCE = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """One process of the product that started."""

    at: datetime
    instance: str
    kind: str
    revision: str | None


class ChartMemory:
    """Remembers both, and writes them down where this guard leads.

    Parameters
    ----------
    judged
        Kept by the guard's loop; filled here with what was judged before a restart.
    """

    def __init__(self, table: ChartTable, environment: str, judged: JudgedWindows) -> None:
        self._table = table
        self._environment = environment
        self._judged = judged
        self._starts: dict[str, ProcessStart] = {}
        self._unwritten: dict[str, ProcessStart] = {}
        #: End of the newest window on record, asked for once this guard leads, and what it wrote of that end.
        self._written_until: datetime | None = None
        self._written: dict[tuple[datetime, str], JudgedWindow] = {}
        self._leads = False

    @property
    def starts(self) -> list[ProcessStart]:
        """Every start that is remembered, oldest first."""
        return sorted(self._starts.values(), key=lambda start: start.at)

    def recall(self, now: datetime) -> None:
        """Read what is on record; nothing where the store is away, or another version wrote it."""
        try:
            windows = [
                _window(row) for row in self._table.kept(self._environment, "window", now - WINDOWS_FOR)
            ]
            starts = [_start(row) for row in self._table.kept(self._environment, "start", now - STARTS_FOR)]
        except (StoreUnavailableError, LookupError, ValueError) as error:
            log.info("charts_not_recalled", kind=type(error).__name__)
            return
        self._judged.recall(windows)
        self._starts = {start.instance: start for start in starts}

    def saw(self, processes: Iterable[ProcessRow], now: datetime, *, leads: bool) -> None:
        """Take in who lives, and write down what is new where this guard leads."""
        for process in processes:
            instance = str(process.instance)
            if instance not in self._starts:
                start = ProcessStart(process.started_at, instance, process.kind, process.revision)
                self._starts[instance] = self._unwritten[instance] = start
        self._forget(now)
        try:
            self._write(now, leads=leads)
        except StoreUnavailableError as error:
            log.debug("charts_not_written", reason=error.message)

    def _forget(self, now: datetime) -> None:
        for start in self.starts:
            if start.at >= now - STARTS_FOR and len(self._starts) <= STARTS_KEPT:
                break
            del self._starts[start.instance]
            self._unwritten.pop(start.instance, None)

    def _write(self, now: datetime, *, leads: bool) -> None:
        if leads and not self._leads:
            # Another may have led, and written, until now.
            self._written_until, self._written = self._table.newest(self._environment, "window"), {}
        self._leads = leads
        if not leads:
            return
        windows = self._judged.since(self._written_until)
        due = [window for window in windows if self._is_due(window, windows[-1].end)][-_LATE_AT_ONCE:]
        if due:
            rows = [ChartRow(window.end, window.provider, _body(window)) for window in due]
            self._table.keep(self._environment, "window", rows, oldest=now - WINDOWS_FOR, most=KEPT)
            self._written_until = due[-1].end
            known = {**self._written, **{(window.end, window.provider): window for window in due}}
            self._written = {key: window for key, window in known.items() if key[0] >= due[-1].end}
        if self._unwritten:
            began = [
                ChartRow(start.at, start.instance, {"kind": start.kind, "revision": start.revision})
                for start in self._unwritten.values()
            ]
            self._table.keep(self._environment, "start", began, oldest=now - STARTS_FOR, most=STARTS_KEPT)
            self._unwritten.clear()

    def _is_due(self, window: JudgedWindow, newest: datetime) -> bool:
        """Whether it is to be written: new, judged otherwise, or counted to its end."""
        written = self._written.get((window.end, window.provider))
        if written is None or window.end < newest:
            return written != window
        return written.verdict is not window.verdict


def _body(window: JudgedWindow) -> Mapping[str, Any]:
    return {
        "start": window.start.isoformat(),
        "verdict": window.verdict.value,
        "calls": window.calls,
        "failed": window.failed,
    }


def _window(row: ChartRow) -> JudgedWindow:
    body = row.body
    start = datetime.fromisoformat(body["start"])
    return JudgedWindow(start, row.at, row.subject, Verdict(body["verdict"]), body["calls"], body["failed"])


def _start(row: ChartRow) -> ProcessStart:
    return ProcessStart(row.at, row.subject, row.body["kind"], row.body["revision"])
