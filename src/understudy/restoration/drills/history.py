"""What drills have shown, one row a run, in the home that they were run from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError

HISTORY_FILE = Path("drills") / "history.jsonl"


@dataclass(frozen=True, slots=True)
class DrillRow:
    """One run of one scenario.

    Parameters
    ----------
    at
        When the fault was injected, UTC, ISO 8601.
    cure
        The action that restored it, or None where none was taken.
    wrong_actions
        Changes to the deployment that the scenario did not call for.
    repeated_side_effects
        External effects that were done more than once for one idempotency key.
    detect_s, decide_s, mitigate_s, verify_s, close_s
        Seconds from the injection; None is "not reached".
    report
        Path of the incident report, relative to the home, or None.
    problem
        Why the drill does not count, or None.
    """

    at: str
    scenario: str
    environment: str
    detected: bool
    cure: str | None
    verified: bool
    closed: bool
    wrong_actions: int
    repeated_side_effects: int
    detect_s: float | None = None
    decide_s: float | None = None
    mitigate_s: float | None = None
    verify_s: float | None = None
    close_s: float | None = None
    report: str | None = None
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the restoration did what it should, and nothing else."""
        clean = self.wrong_actions == 0 and self.repeated_side_effects == 0
        return self.problem is None and self.detected and self.verified and clean

    def document(self) -> dict[str, Any]:
        """Return plain data, with whether it passed."""
        return {**asdict(self), "passed": self.passed}


def append_row(home: Path, row: DrillRow) -> None:
    """Add one run; raises :class:`ConfigurationError` where the file cannot be written."""
    path = home / HISTORY_FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(row), sort_keys=True) + "\n")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def read_rows(home: Path) -> list[DrillRow]:
    """Return every run, oldest first; a line that was cut short by a crash is left out."""
    try:
        lines = (home / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"{home / HISTORY_FILE} cannot be read: {error.strerror}.") from error
    rows = []
    for line in lines:
        try:
            rows.append(DrillRow(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return rows


def last_passed(
    home: Path, *, environment: str, scenario: str | None = None, within: timedelta, now: datetime
) -> DrillRow | None:
    """Return the newest run that passed in ``environment`` within that time, or None."""
    for row in reversed(read_rows(home)):
        fits = row.environment == environment and scenario in {None, row.scenario}
        if fits and row.passed and now - datetime.fromisoformat(row.at) <= within:
            return row
    return None
