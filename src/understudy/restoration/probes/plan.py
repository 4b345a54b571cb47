"""What probes are to do, and what they remember it in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

#: Accounts of their own below the home: a probe deletes what an earlier one left, and the smoke suite, which
#: has others, may be at work beside it.
PROBE_CANARIES_FILE = Path("run") / "probe_canaries.json"


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """The policy's ``probes``.

    Parameters
    ----------
    active_interval_s, standby_interval_s, security_interval_s
        Seconds between two utterances through the provider in force, at the other one, and between two
        attempts to read another tenant's; each is spread by a tenth.
    budget_microusd_per_day
        What probes may cost from midnight to midnight UTC, in micro-dollars.
    text
        What is said: digits, so that an offline recogniser can hear it back.
    """

    enabled: bool = True
    active_interval_s: float = 30.0
    standby_interval_s: float = 300.0
    security_interval_s: float = 300.0
    budget_microusd_per_day: int = 5_000_000
    text: str = "Four seven one. Nine two eight."

    @classmethod
    def of(cls, policy: Any) -> Self:
        """Read a part of a policy that has these fields."""
        return cls(**{field.name: getattr(policy, field.name) for field in fields(cls)})


class Outcome(StrEnum):
    """What became of a probe."""

    OK = "ok"
    PRODUCT_UNREACHABLE = "product_unreachable"
    """The API gave no answer, or answered with an error of its own."""
    REFUSED = "refused"
    """The API refused the request: the mode, the voice's coverage, a budget or a valve."""
    PROVIDER_FAILED = "provider_failed"
    BAD_AUDIO = "bad_audio"
    """It was called a success, and what was sent is no speech of that text."""


class Memory(Protocol):
    """The guard's own store, as far as probes need it: short strings that outlive the process."""

    def meta(self, key: str) -> str | None:
        """Return what was remembered."""
        ...

    def remember(self, key: str, value: str) -> None:
        """Keep ``value``, durably, before returning."""
        ...
