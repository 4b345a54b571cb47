"""What a verification leaves behind: every request, every check and the run, as data that can be hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from understudy.errors import ValidationError
from understudy.store.journal import digest


class Outcome(StrEnum):
    """What became of one check; only ``passed`` is ok."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """What it stands on was missing, so it was not asked: proves nothing either way."""


@dataclass(frozen=True, slots=True)
class RequestEvidence:
    """One request as it was answered.

    Parameters
    ----------
    path
        Without query: a signed address would be a secret.
    status
        HTTP status, or None when no answer came.
    digest
        SHA-256 (hex) of the response body; None when no answer came.
    duration_ms
        From sending to the last byte.
    at
        UTC, when it was sent.
    """

    method: str
    path: str
    status: int | None
    digest: str | None
    duration_ms: int
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "digest": self.digest,
            "duration_ms": self.duration_ms,
            "at": self.at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RequestEvidence:
        """Read what :meth:`to_json` wrote."""
        return cls(**{**data, "at": datetime.fromisoformat(data["at"])})


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """One check.

    Parameters
    ----------
    detail
        One sentence for people: what was proven, or what was found instead.
    requests
        In the order they were sent; the last one decided.
    audio_ms
        Length of the audio that was heard, where the check hears any.
    facts
        Small facts that later conclusions stand on (``provider``: who spoke).
    """

    name: str
    outcome: Outcome
    detail: str
    requests: tuple[RequestEvidence, ...]
    audio_ms: int | None
    duration_ms: int
    at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return self.outcome is Outcome.PASSED

    @property
    def request(self) -> str | None:
        """Method and path of the deciding request."""
        return f"{self.requests[-1].method} {self.requests[-1].path}" if self.requests else None

    @property
    def status(self) -> int | None:
        """HTTP status of the deciding request."""
        return self.requests[-1].status if self.requests else None

    @property
    def digest(self) -> str | None:
        """SHA-256 (hex) of the deciding response's body."""
        return self.requests[-1].digest if self.requests else None

    @property
    def evidence_hash(self) -> str:
        """SHA-256 (hex) of this evidence as canonical JSON; what checklist and report refer to."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "ok": self.ok,
            "outcome": self.outcome.value,
            "detail": self.detail,
            "request": self.request,
            "status": self.status,
            "digest": self.digest,
            "audio_ms": self.audio_ms,
            "duration_ms": self.duration_ms,
            "at": self.at.isoformat(),
            "facts": dict(self.facts),
            "requests": [request.to_json() for request in self.requests],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckEvidence:
        """Read what :meth:`to_json` wrote; what it derives is derived again, never believed.

        Raises
        ------
        ValidationError
            A derived value contradicts the evidence beside it.
        """
        evidence = cls(
            name=data["name"],
            outcome=Outcome(data["outcome"]),
            detail=data["detail"],
            requests=tuple(RequestEvidence.from_json(item) for item in data["requests"]),
            audio_ms=data["audio_ms"],
            duration_ms=data["duration_ms"],
            at=datetime.fromisoformat(data["at"]),
            facts=dict(data["facts"]),
        )
        if evidence.to_json() != dict(data):
            raise ValidationError(f"The evidence of check {evidence.name} contradicts itself.")
        return evidence


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """One run of the smoke suite against one deployment.

    Parameters
    ----------
    provider
        What ``GET /languages`` named, or None when it did not answer properly.
    left_behind
        What could not be deleted afterwards, one sentence each.
    """

    base_url: str
    expect_provider: str | None
    provider: str | None
    started_at: datetime
    finished_at: datetime
    checks: tuple[CheckEvidence, ...]
    left_behind: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are checks and every one passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def duration_ms(self) -> int:
        """Length of the whole run."""
        return int((self.finished_at - self.started_at).total_seconds() * 1000)

    @property
    def evidence_hash(self) -> str:
        """SHA-256 (hex) of the whole run as canonical JSON."""
        return digest(self.to_json())

    def check(self, name: str) -> CheckEvidence | None:
        """Evidence of the check ``name``, or None when it was not part of this run."""
        return next((check for check in self.checks if check.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "ok": self.ok,
            "base_url": self.base_url,
            "expect_provider": self.expect_provider,
            "provider": self.provider,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "duration_ms": self.duration_ms,
            "checks": [check.to_json() for check in self.checks],
            "left_behind": list(self.left_behind),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SmokeResult:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ValidationError
            A derived value contradicts the evidence beside it, or a value is missing.
        """
        try:
            result = cls(
                base_url=data["base_url"],
                expect_provider=data["expect_provider"],
                provider=data["provider"],
                started_at=datetime.fromisoformat(data["started_at"]),
                finished_at=datetime.fromisoformat(data["finished_at"]),
                checks=tuple(CheckEvidence.from_json(item) for item in data["checks"]),
                left_behind=tuple(data["left_behind"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValidationError(f"This is not the record of a smoke run: {error}.") from error
        if result.to_json() != dict(data):
            raise ValidationError("The record of the smoke run contradicts itself.")
        return result
