"""What the sources say, as plain data: everything a trigger may look at, and nothing it has to fetch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from understudy.restoration.signals.windows import CallWindow
from understudy.store.cutover import CutoverRow
from understudy.store.mode import ModeRow, ProcessRow


class Series(NamedTuple):
    """Which calls a run of buckets counts; verdicts never mix two."""

    provider: str
    mode_epoch: int
    operation: str


@dataclass(frozen=True, slots=True)
class TailCall:
    """One of the newest calls of a series.

    Parameters
    ----------
    ok
        Whether it succeeded.
    user
        Tenant, or None where it is not known.
    code
        Of a failure: the provider's or our own stable code.
    """

    at: datetime
    ok: bool
    user: str | None = None
    failure_class: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class CallReading:
    """Calls of every series since ``since``.

    Parameters
    ----------
    buckets
        By series: 5 s buckets, newest first, empty ones left out.
    tails, probes
        By series: the newest calls (at most 20) of users, and of canaries; newest first.
    refused
        Admissions that the mode or a voice's coverage refused with 409, by series, in buckets: ``total``
        counts admissions asked for, ``failed`` those refused so.
    lag_s
        How far the roll-up is behind, in seconds.
    dropped
        Signals that processes had to drop since ``since``.
    blind
        Why none of it can be believed, or None.
    """

    at: datetime
    since: datetime
    buckets: Mapping[Series, tuple[CallWindow, ...]] = field(default_factory=dict)
    tails: Mapping[Series, tuple[TailCall, ...]] = field(default_factory=dict)
    probes: Mapping[Series, tuple[TailCall, ...]] = field(default_factory=dict)
    refused: Mapping[Series, tuple[CallWindow, ...]] = field(default_factory=dict)
    lag_s: float = 0.0
    dropped: int = 0
    blind: str | None = None

    def calls(self, series: Series) -> tuple[CallWindow, ...]:
        """Buckets of one series; none when nothing happened."""
        return self.buckets.get(series, ())

    @property
    def total(self) -> int:
        """Users' calls of every series: the liveness twin of each selector."""
        return sum(bucket.total for buckets in self.buckets.values() for bucket in buckets)


@dataclass(frozen=True, slots=True)
class PlaybackSession:
    """What one player saw of one generation.

    Parameters
    ----------
    started_at, last_at
        First and newest beacon, by our clock.
    finished
        The player reached the end; ``ended_early`` when the audio ended before it should.
    audio_s
        Length of the audio as it was made, in seconds; None where it is not known (yet).
    served
        Whether we sent it whole: the generation completed; None while it runs, or where it is gone.
    """

    generation: str
    user: str
    provider: str
    mode_epoch: int
    client: str
    client_version: str
    started_at: datetime
    last_at: datetime
    finished: bool = False
    ended_early: bool = False
    stalls: int = 0
    decode_errors: int = 0
    audio_s: float | None = None
    served: bool | None = None


@dataclass(frozen=True, slots=True)
class PlaybackReading:
    """Players' sessions that began since ``since``, newest first, and the streams that were delivered.

    Parameters
    ----------
    delivered
        Streams that were sent whole since ``since``, by mode epoch.
    reported
        Those among ``delivered`` of which any beacon came, by mode epoch.
    usual_share
        Share of delivered streams that beacons came of in the day before ``since``; None without enough.
    """

    at: datetime
    since: datetime
    sessions: tuple[PlaybackSession, ...] = ()
    delivered: Mapping[int, int] = field(default_factory=dict)
    reported: Mapping[int, int] = field(default_factory=dict)
    usual_share: float | None = None
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class CreateRepeat:
    """Billed design creates of one tenant for one prompt in the last hour."""

    user: str
    prompt_digest: str
    creates: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class TenantSpending:
    """What one tenant used in the last 60 minutes, beside its own hours before.

    Parameters
    ----------
    hours
        Characters of each earlier hour in which it spoke, newest first, at most 168.
    """

    user: str
    characters: int
    cost_microusd: int
    creates: int
    hours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CostReading:
    """What is spent, by our own ledger; canaries left out.

    Parameters
    ----------
    creates_hour, create_hours
        Billed creates of the last 60 minutes, and of each whole hour before, newest first (at most 168, zeros
        included from the first hour on record).
    spend_hour_microusd, spend_hours
        The same of money.
    tenants
        The tenants that used most in the last 60 minutes, at most 50.
    closed_valves
        Names of valves that are closed already.
    """

    at: datetime
    repeats: tuple[CreateRepeat, ...] = ()
    creates_hour: int = 0
    create_hours: tuple[int, ...] = ()
    spend_hour_microusd: int = 0
    spend_hours: tuple[int, ...] = ()
    tenants: tuple[TenantSpending, ...] = ()
    closed_valves: frozenset[str] = frozenset()
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class InvariantReading:
    """One invariant, as last looked at.

    Parameters
    ----------
    name
        Stable: ``missing_provider_metadata``, ``orphaned_generations``, ...
    at
        When it was last answered; None when it never was.
    count
        Rows (or objects, or differences) that break it.
    sample
        Ids or names of some of them, at most 20; never contents.
    since
        First look of the present run of looks at which it was broken.
    broken_looks
        How many looks that run has.
    due_s
        How often it is looked at, in seconds.
    blind
        Why the last look gave no answer, or None.
    """

    name: str
    at: datetime | None
    due_s: float
    count: int = 0
    sample: tuple[str, ...] = ()
    since: datetime | None = None
    broken_looks: int = 0
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class IntegrityReading:
    """Every invariant."""

    at: datetime
    invariants: tuple[InvariantReading, ...] = ()
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessSecrets:
    """Digests of the secrets that one live process holds: equal secrets, equal digests; no more is told."""

    instance: str
    kind: str
    pid: int
    started_at: datetime
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecretHit:
    """A secret, or a planted canary, that stood in a log line or an answer before it was taken out.

    Parameters
    ----------
    route
        Whose answer it was, without ids; empty where that is not known.
    """

    at: datetime
    where: str
    process: str
    name: str
    count: int
    route: str = ""


@dataclass(frozen=True, slots=True)
class KeyRefusal:
    """A provider refused our key.

    Parameters
    ----------
    key_lane, configured_lane
        The lane that the key's recorded fingerprint belongs to (None: not recorded), and the one configured.
    """

    at: datetime
    provider: str
    code: str
    key_lane: str | None
    configured_lane: str | None


@dataclass(frozen=True, slots=True)
class CanaryRead:
    """Canary B tried to read what is canary A's.

    Parameters
    ----------
    leaks
        Routes that answered with it; empty when all refused.
    blind
        Why it could not be tried, or None.
    """

    at: datetime
    leaks: tuple[str, ...] = ()
    asked: int = 0
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityReading:
    """What concerns secrets and isolation.

    Parameters
    ----------
    known_good
        Digests of the known-good record by name; None where none is recorded.
    mismatch_since
        By secret name: since when live processes (or the record) have disagreed without a break.
    lane_conflicts
        How the settings contradict themselves about the lane of Qwen's key, one sentence each.
    """

    at: datetime
    processes: tuple[ProcessSecrets, ...] = ()
    known_good: Mapping[str, str] | None = None
    mismatch_since: Mapping[str, datetime] = field(default_factory=dict)
    hits: tuple[SecretHit, ...] = ()
    refusals: tuple[KeyRefusal, ...] = ()
    lane_conflicts: tuple[str, ...] = ()
    canary_read: CanaryRead | None = None
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One canary utterance.

    Parameters
    ----------
    code
        Of a failure: the provider's own code, or the outcome where it was not the provider.
    outcome
        ``ok``, ``product_unreachable``, ``refused``, ``provider_failed`` or ``bad_audio``.
    """

    at: datetime
    ok: bool
    provider: str
    latency_ms: int = 0
    first_audio_ms: int | None = None
    code: str | None = None
    detail: str = ""
    failure_class: str | None = None
    outcome: str = "ok"


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """What canaries heard.

    Parameters
    ----------
    active, standby
        Newest first, at most 20.
    spent_microusd
        Since midnight UTC.
    paused
        Why no probe runs now (switched off, budget spent), or None.
    """

    at: datetime
    active: tuple[ProbeResult, ...] = ()
    standby: tuple[ProbeResult, ...] = ()
    spent_microusd: int = 0
    paused: str | None = None


@dataclass(frozen=True, slots=True)
class Signals:
    """One look at everything, by one clock.

    Parameters
    ----------
    mode
        The row in force, or None when it could not be read or does not exist yet.
    blind
        Why the product cannot be seen at all, or None; each part has its own besides.
    clock_offset_s
        How far the database's clock is ahead of ours, in seconds; None where it was not read.
    cutover
        The newest cutover, whatever became of it; None before the first, or where none is known.
    """

    at: datetime
    mode: ModeRow | None
    processes: tuple[ProcessRow, ...]
    calls: CallReading
    playback: PlaybackReading
    cost: CostReading
    integrity: IntegrityReading
    security: SecurityReading
    probes: ProbeReading
    blind: str | None = None
    clock_offset_s: float | None = None
    cutover: CutoverRow | None = None

    def document(self) -> dict[str, Any]:
        """Return when each part was read and why it cannot be believed, as plain data."""
        parts = (
            ("calls", self.calls.at, self.calls.blind),
            ("playback", self.playback.at, self.playback.blind),
            ("cost", self.cost.at, self.cost.blind),
            ("integrity", self.integrity.at, self.integrity.blind),
            ("security", self.security.at, self.security.blind),
        )
        return {name: {"at": at.isoformat(), "blind": blind or self.blind} for name, at, blind in parts}


def unseen(at: datetime, reason: str) -> Signals:
    """Return signals of which nothing can be believed."""
    return Signals(
        at=at,
        mode=None,
        processes=(),
        calls=CallReading(at, at, blind=reason),
        playback=PlaybackReading(at, at, blind=reason),
        cost=CostReading(at, blind=reason),
        integrity=IntegrityReading(at, blind=reason),
        security=SecurityReading(at, blind=reason),
        probes=ProbeReading(at, paused=reason),
        blind=reason,
    )
