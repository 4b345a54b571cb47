"""What the doctor says: one finding a thing looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing is; ``fail`` keeps the product from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Parameters
    ----------
    detail
        What was seen; never a secret's value.
    fix
        What to do, in one sentence; empty when nothing is to be done.
    """

    area: str
    name: str
    state: State
    detail: str
    fix: str = ""


def ok(area: str, name: str, detail: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(area, name, State.OK, detail)


def warn(area: str, name: str, detail: str, fix: str) -> Finding:
    """Return a finding that will be a problem."""
    return Finding(area, name, State.WARN, detail, fix)


def fail(area: str, name: str, detail: str, fix: str) -> Finding:
    """Return a finding that keeps the product from working."""
    return Finding(area, name, State.FAIL, detail, fix)
