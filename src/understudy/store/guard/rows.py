"""What the guard's store holds, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: An incident in one of these is over; its environment may open another.
TERMINAL_STATES = ("CLOSED", "ABORTED")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act on one environment: ``epoch`` grows with every change of hands."""

    environment: str
    holder: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident as it stands now."""

    id: str
    environment: str
    state: str
    title: str
    opened_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """Somebody who may use the guard's API; of the key only its beginning and its hash are kept.

    Parameters
    ----------
    last_used_at
        Exact to a minute.
    """

    label: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownGood:
    """One record of a state that was good, as a person confirmed it."""

    seq: int
    at: datetime
    actor: str
    document: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return what tells one record from another, as plain data."""
        git, release = self.document.get("git") or {}, self.document.get("release") or {}
        provider = self.document.get("provider") or {}
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "reason": self.document.get("reason", ""),
            "environment": self.document.get("environment"),
            "environment_sha256": self.document.get("environment_sha256"),
            "revision": release.get("revision") or git.get("revision"),
            "tag": git.get("tag") or release.get("tag"),
            "changed": bool(git.get("changed")),
            "release": release.get("name"),
            "migrations_head": (self.document.get("migrations") or {}).get("head"),
            "mode": provider.get("mode"),
            "region": provider.get("region"),
            "qwen_key_fingerprint": self.document.get("qwen_key_fingerprint"),
        }


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """How far one notification channel is.

    Parameters
    ----------
    sent_seq
        Newest journal entry that it is done with: delivered, not of interest, or dead.
    attempts
        Failed attempts at the entry after ``sent_seq``.
    next_attempt_at
        Not before; None when nothing waits.
    """

    channel: str
    sent_seq: int
    delivered: int
    attempts: int
    failing_since: datetime | None
    next_attempt_at: datetime | None
    last_error: str | None
    last_delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification that was given up."""

    channel: str
    seq: int
    at: datetime
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert from outside: one firing of one fingerprint.

    Parameters
    ----------
    group, episode
        Alerts of one group that fire without a break are one episode, and make one finding.
    taken_at
        When its finding was in an incident's journal; None while it is in none.
    """

    fingerprint: str
    starts_at: str
    status: str
    group: str
    episode: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    resolved_at: datetime | None
    taken_at: datetime | None
