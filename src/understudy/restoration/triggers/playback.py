"""The third condition: clients cannot play what is streamed to them.

Judged per provider and mode epoch, by our own clock. One version of one player that fails alone is that
player's trouble: it is named, and no provider is blamed for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from understudy.restoration.signals.readings import PlaybackReading, PlaybackSession, Signals
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.statistics import binomial_tail
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded

NAME = "playback"

#: Versions of players that a finding names.
VERSIONS_TOLD = 20
_PLAIN = re.compile(r"[A-Za-z0-9._+/-]{1,40} [A-Za-z0-9._+/-]{1,40}")

Percent = Annotated[float, Field(gt=0, lt=100)]
Sessions = Annotated[int, Field(ge=1, le=10_000)]


class SessionShare(Check):
    """Limits on the share of players' sessions that go wrong in one way."""

    window_s: int = Field(ge=60, le=86_400)
    """Sessions that began in the last so many seconds are judged."""
    max_percent: Percent
    """Share of sessions that may go wrong, in percent; exactly so much is not too much."""
    minimum_sessions: Sessions
    """Fewer sessions than this decide nothing."""
    minimum_users: int = Field(ge=1, le=1000)
    """So many different users must have been hit."""
    alpha: float = Field(gt=0, lt=0.5)
    """The share counts as broken only where chance explains it with a smaller probability than this."""


class NotCompleted(SessionShare):
    """Playback that began and never reached its end."""

    grace_s: int = Field(ge=0, le=3600)
    """Seconds beyond the length of the audio after which a player that reported no end is given up."""


class Stalls(SessionShare):
    """Playback that stops to wait for audio."""

    minimum_stalls: int = Field(ge=1, le=100)
    """Stalls in one session from which on it counts as stalled."""


class DecodeErrors(SessionShare):
    """Audio that players could not decode."""


class Beacons(Check):
    """Delivered streams of which no player reported anything: without beacons this family sees nothing."""

    minimum_delivered: Sessions
    """Fewer delivered streams than this decide nothing."""
    usual_percent: Percent
    """Beacons are expected at all where at least this share of streams was reported in the day before."""
    minimum_percent_of_usual: Percent
    """They are missing where the share of reported streams falls below so much (in percent) of the usual."""
    alpha: float = Field(gt=0, lt=0.5)
    """And where chance explains so few with a smaller probability than this."""


class Playback(Part):
    """Third condition: client playback failures at the streaming endpoint."""

    not_completed: NotCompleted
    """Started and not completed."""
    stalls: Stalls
    """Rebuffering."""
    decode_errors: DecodeErrors
    """Bytes that no player could decode."""
    beacons: Beacons
    """Whether players still report; a FAIL of the other three needs them, and their loss is BLIND."""

    @property
    def span_s(self) -> int:
        """How far back the sessions are needed, in seconds."""
        return max(self.not_completed.window_s, self.stalls.window_s, self.decode_errors.window_s)


Wrong = Callable[[PlaybackSession], bool]


def judge(policy: Playback, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:
    """Judge the sessions of the provider and epoch in force."""
    reading, mode = signals.playback, signals.mode
    blind = signals.blind or reading.blind or (None if mode else "no process has ever set a provider mode")
    if blind is not None or mode is None:
        return tuple(
            _finding(name, check, Verdict.BLIND, blind or "", now, side=None)
            for name, check in _checks(policy)
        )
    side = (mode.value, mode.epoch)
    if mode.value == known_good:
        detail = f"nothing is streamed in {known_good} mode"
        return tuple(
            _finding(name, check, Verdict.NO_DATA, detail, now, side=side) for name, check in _checks(policy)
        )
    sessions = [s for s in reading.sessions if (s.provider, s.mode_epoch) == side and s.started_at <= now]
    stalled = policy.stalls.minimum_stalls
    ended = [s for s in sessions if _is_over(s, policy.not_completed.grace_s, now)]
    return (
        _share("not_completed", policy.not_completed, ended, lambda s: not s.finished, now=now, side=side),
        _share("stalls", policy.stalls, sessions, lambda s: s.stalls >= stalled, now=now, side=side),
        _share(
            "decode_errors", policy.decode_errors, sessions, lambda s: s.decode_errors > 0, now=now, side=side
        ),
        _beacons(policy.beacons, reading, now, side),
    )


def _checks(policy: Playback) -> tuple[tuple[str, Check], ...]:
    return (
        ("not_completed", policy.not_completed),
        ("stalls", policy.stalls),
        ("decode_errors", policy.decode_errors),
        ("beacons", policy.beacons),
    )


def _is_over(session: PlaybackSession, grace_s: int, now: datetime) -> bool:
    """Whether the session has ended, or should have: by the audio's length, or the player's last word."""
    if session.finished or session.ended_early:
        return True
    heard = session.started_at + timedelta(seconds=session.audio_s or 0)
    return max(heard, session.last_at) + timedelta(seconds=grace_s) <= now


def _share(
    name: str,
    check: SessionShare,
    sessions: Sequence[PlaybackSession],
    wrong: Wrong,
    *,
    now: datetime,
    side: tuple[str, int],
) -> Finding:
    since = now - timedelta(seconds=check.window_s)
    judged = [session for session in sessions if session.started_at >= since]
    versions: dict[str, _Count] = {}
    for session in judged:
        versions.setdefault(_version(session), _Count()).add(session, bad=wrong(session))
    verdict, detail = _conclude(check, versions)
    bad = [session for session in judged if wrong(session)]
    told = sorted(versions.items(), key=lambda item: (-item[1].bad, -item[1].n, item[0]))[:VERSIONS_TOLD]
    return _finding(
        name,
        check,
        verdict,
        detail,
        now,
        side=side,
        n=len(judged),
        failures=len(bad),
        bounds={
            "max_percent": check.max_percent,
            "minimum_sessions": check.minimum_sessions,
            "minimum_users": check.minimum_users,
            "alpha": check.alpha,
        },
        window_s=check.window_s,
        first_bad_at=min((session.started_at for session in bad), default=None),
        evidence={
            "versions": {version: {"sessions": count.n, "wrong": count.bad} for version, count in told},
            "users": len({session.user for session in bad}),
            "our_audio_of_the_wrong": _served(bad),
        },
    )


@dataclass(slots=True)
class _Count:
    """Sessions, how many went wrong, and for whom."""

    n: int = 0
    bad: int = 0
    users: set[str] = field(default_factory=set)

    def add(self, session: PlaybackSession, *, bad: bool) -> None:
        self.n += 1
        if bad:
            self.bad += 1
            self.users.add(session.user)

    def within(self, check: SessionShare) -> bool:
        return self.bad * 100 <= check.max_percent * self.n

    def breaks(self, check: SessionShare) -> bool:
        return (
            self.n >= check.minimum_sessions
            and len(self.users) >= check.minimum_users
            and not self.within(check)
            and binomial_tail(self.bad, self.n, check.max_percent / 100) < check.alpha
        )


def _sum(counts: Iterable[_Count]) -> _Count:
    total = _Count()
    for count in counts:
        total.n += count.n
        total.bad += count.bad
        total.users |= count.users
    return total


def _conclude(check: SessionShare, versions: Mapping[str, _Count]) -> tuple[Verdict, str]:
    total = _sum(versions.values())
    if not total.n:
        return Verdict.NO_DATA, f"no session to judge in {check.window_s} s"
    what = f"{total.bad} of {total.n} sessions"
    broken = {version for version, count in versions.items() if count.breaks(check)}
    if not total.breaks(check) and not broken:
        if total.within(check):
            return Verdict.PASS, f"{what}: within {check.max_percent:g} %"
        return Verdict.INCONCLUSIVE, f"{what}: over {check.max_percent:g} %, too few to be sure"
    worst = max(versions, key=lambda version: (version in broken, versions[version].bad, version))
    rest = _sum(count for version, count in versions.items() if version != worst)
    if rest.n >= check.minimum_sessions and rest.within(check):
        return Verdict.INCONCLUSIVE, f"{what}: {worst} fails and the other players do not: it is the player's"
    if total.breaks(check):
        return Verdict.FAIL, f"{what}: over {check.max_percent:g} %"
    return Verdict.INCONCLUSIVE, f"{what}: {worst} fails, too few others play to say whether it is alone"


def _version(session: PlaybackSession) -> str:
    """Name of the player; one that is no plain name is a tenant's text, and is not repeated."""
    name = f"{session.client} {session.client_version}"
    return name if _PLAIN.fullmatch(name) else "a player without a plain name"


def _served(bad: Sequence[PlaybackSession]) -> dict[str, int]:
    """Whether we had sent the wrong ones whole: a flip cures only bytes that were ours."""
    return {
        "whole": sum(session.served is True for session in bad),
        "broken": sum(session.served is False for session in bad),
        "unknown": sum(session.served is None for session in bad),
    }


def _beacons(check: Beacons, reading: PlaybackReading, now: datetime, side: tuple[str, int]) -> Finding:
    delivered, reported = reading.delivered.get(side[1], 0), reading.reported.get(side[1], 0)
    usual = reading.usual_share
    if delivered == 0:
        verdict, detail = Verdict.NO_DATA, "no stream was delivered"
    elif usual is None or usual * 100 < check.usual_percent:
        verdict, detail = Verdict.NO_DATA, "players here do not usually report what they play"
    else:
        few = binomial_tail(delivered - reported, delivered, 1 - min(usual, 1.0)) < check.alpha
        missing = reported * 100 < check.minimum_percent_of_usual * usual * delivered
        gone = delivered >= check.minimum_delivered and few and missing
        verdict = Verdict.BLIND if gone else Verdict.PASS
        detail = (
            f"players reported {reported} of {delivered} delivered streams, usually {usual * 100:.0f} %"
            f"{': beacons are missing' if gone else ''}"
        )
    return _finding(
        "beacons",
        check,
        verdict,
        detail,
        now,
        side=side,
        n=delivered,
        failures=delivered - reported,
        bounds={"minimum_delivered": check.minimum_delivered, "usual_percent": check.usual_percent},
        evidence={"usual_share": usual},
    )


def _finding(
    name: str,
    check: Check,
    verdict: Verdict,
    detail: str,
    now: datetime,
    *,
    side: tuple[str, int] | None,
    **more: Any,
) -> Finding:
    provider, mode_epoch = side or (None, None)
    return concluded(
        name, check, verdict, detail, now, trigger=NAME, provider=provider, mode_epoch=mode_epoch, **more
    )
