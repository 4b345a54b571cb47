"""The sixth condition: secrets that disagree or leak, a key of another lane, one tenant that reads another's.

A single confirmed hit trips. A scanner that gives no answer is BLIND, for silence of a scanner is not safety.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial

from pydantic import Field

from understudy.restoration.signals.readings import SecurityReading, Signals
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded

NAME = "security"
_finding = partial(concluded, trigger=NAME)


class SecretMismatch(Check):
    """Live processes that hold different secrets, or others than the known-good record says."""

    grace_s: float = Field(ge=0, le=86_400)
    """Seconds that a disagreement may last: a redeploy or a rotation replaces one process after the other."""


class WrongRegionKey(Check):
    """A key that belongs to another lane than the one that is configured."""

    window_s: float = Field(ge=60, le=86_400)
    """Refusals of the last so many seconds count."""


class SecretLeak(Check):
    """A secret, or a planted canary, in a log line or an answer."""

    window_s: float = Field(ge=60, le=7 * 86_400)
    """Hits of the last so many seconds count."""


class CrossTenantRead(Check):
    """One canary tenant reading what is another's."""

    stale_after_s: float = Field(ge=1, le=86_400)
    """Without an attempt for so many seconds it is BLIND."""


class Security(Part):
    """Sixth condition: secret mismatch, wrong region key, leakage."""

    secret_mismatch: SecretMismatch
    """Processes that hold different secrets."""
    wrong_region_key: WrongRegionKey
    """A provider's key of another lane."""
    secret_leak: SecretLeak
    """A secret where none may stand."""
    cross_tenant_read: CrossTenantRead
    """One tenant that can read another's."""

    @property
    def span_s(self) -> float:
        """How far back refusals and hits are needed, in seconds."""
        return max(self.wrong_region_key.window_s, self.secret_leak.window_s)


def judge(policy: Security, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:  # noqa: ARG001
    """Judge secrets and isolation, whichever provider serves."""
    reading = signals.security
    blind = signals.blind or reading.blind
    if blind is not None:
        checks = (
            ("secret_mismatch", policy.secret_mismatch),
            ("wrong_region_key", policy.wrong_region_key),
            ("secret_leak", policy.secret_leak),
        )
        found = [_finding(name, check, Verdict.BLIND, blind, now) for name, check in checks]
    else:
        found = [
            _secret_mismatch(policy.secret_mismatch, reading, now),
            _wrong_region_key(policy.wrong_region_key, reading, now),
            _secret_leak(policy.secret_leak, reading, now),
        ]
    # The canary asks over HTTP: it sees what a blind database does not show.
    return (*found, _cross_tenant_read(policy.cross_tenant_read, reading, now))


def _secret_mismatch(check: SecretMismatch, reading: SecurityReading, now: datetime) -> Finding:
    grace = timedelta(seconds=check.grace_s)
    lasting = sorted(name for name, since in reading.mismatch_since.items() if now - since > grace)
    if lasting:
        verdict = Verdict.FAIL
        detail = f"processes or record disagree on {', '.join(lasting)} for more than {check.grace_s:g} s"
    elif reading.mismatch_since:
        verdict = Verdict.INCONCLUSIVE
        detail = (
            f"processes or record disagree on {', '.join(sorted(reading.mismatch_since))}, within the grace"
        )
    elif not reading.processes:
        verdict, detail = Verdict.NO_DATA, "no live process tells what secrets it holds"
    else:
        verdict, detail = Verdict.PASS, "every live process holds the same secrets"
    return _finding(
        "secret_mismatch",
        check,
        verdict,
        detail,
        now,
        n=len(reading.processes),
        failures=len(reading.mismatch_since),
        bounds={"grace_s": check.grace_s},
        first_bad_at=min(reading.mismatch_since.values(), default=None),
        evidence={
            "groups": {name: _groups(reading, name) for name in sorted(reading.mismatch_since)},
            "known_good_recorded": reading.known_good is not None,
        },
    )


def _groups(reading: SecurityReading, name: str) -> list[list[str]]:
    """Who holds the same value of a secret; the values, and their digests, are not told."""
    holders: dict[str, list[str]] = defaultdict(list)
    for process in reading.processes:
        if name in process.digests:
            holders[process.digests[name]].append(f"{process.kind} {process.pid} ({process.instance})")
    if reading.known_good and name in reading.known_good:
        holders[reading.known_good[name]].append("known-good record")
    return sorted(holders.values())


def _wrong_region_key(check: WrongRegionKey, reading: SecurityReading, now: datetime) -> Finding:
    since = now - timedelta(seconds=check.window_s)
    refusals = [refusal for refusal in reading.refusals if since <= refusal.at <= now]
    wrong = [r for r in refusals if r.key_lane is not None and r.key_lane != r.configured_lane]
    if reading.lane_conflicts:
        verdict, detail = Verdict.FAIL, reading.lane_conflicts[0]
    elif wrong:
        verdict = Verdict.FAIL
        detail = (
            f"the key belongs to {wrong[0].key_lane}, {wrong[0].configured_lane} is configured and refused it"
        )
    elif any(refusal.key_lane is None for refusal in refusals):
        verdict = Verdict.INCONCLUSIVE
        detail = (
            "the key was refused, and no lane is recorded for it: `understudy doctor` prints what to record"
        )
    elif refusals:
        verdict = Verdict.INCONCLUSIVE
        detail = "the key was refused on its own lane: mistyped, expired or revoked"
    else:
        verdict, detail = Verdict.PASS, "no provider refused our key"
    return _finding(
        "wrong_region_key",
        check,
        verdict,
        detail,
        now,
        provider=(wrong or refusals)[0].provider if refusals else None,
        n=len(refusals),
        failures=len(wrong) + len(reading.lane_conflicts),
        bounds={"window_s": check.window_s},
        first_bad_at=min((refusal.at for refusal in wrong or refusals), default=None),
        evidence={
            "codes": sorted({refusal.code for refusal in refusals}),
            "conflicts": list(reading.lane_conflicts),
        },
    )


def _secret_leak(check: SecretLeak, reading: SecurityReading, now: datetime) -> Finding:
    since = now - timedelta(seconds=check.window_s)
    hits = [hit for hit in reading.hits if since <= hit.at]
    count = sum(hit.count for hit in hits)
    places = sorted({f"{hit.name} in {hit.where}" for hit in hits})
    return _finding(
        "secret_leak",
        check,
        Verdict.FAIL if hits else Verdict.PASS,
        f"{'; '.join(places)} (taken out before it left)" if hits else "no secret stood where none may",
        now,
        n=count,
        failures=count,
        bounds={"window_s": check.window_s},
        first_bad_at=min((hit.at for hit in hits), default=None),
        evidence={
            "places": places,
            "processes": sorted({hit.process for hit in hits}),
            # What to close: an answer without a route may have been any.
            "routes": sorted({hit.route for hit in hits if hit.route}),
            "unrouted_answers": sum(hit.count for hit in hits if hit.where == "response" and not hit.route),
        },
    )


def _cross_tenant_read(check: CrossTenantRead, reading: SecurityReading, now: datetime) -> Finding:
    read = reading.canary_read
    if read is None:
        verdict, detail = Verdict.NO_DATA, "no canary has tried"
    elif read.leaks:
        verdict, detail = Verdict.FAIL, f"another tenant's canary was readable at {', '.join(read.leaks)}"
    elif read.blind is not None:
        verdict, detail = Verdict.BLIND, read.blind
    elif now - read.at > timedelta(seconds=check.stale_after_s):
        verdict = Verdict.BLIND
        detail = f"the canary last tried {(now - read.at).total_seconds():.0f} s ago"
    else:
        verdict, detail = Verdict.PASS, f"{read.asked} routes refused another tenant's canary"
    return _finding(
        "cross_tenant_read",
        check,
        verdict,
        detail,
        now,
        n=read.asked if read else 0,
        failures=len(read.leaks) if read else 0,
        bounds={"stale_after_s": check.stale_after_s},
        first_bad_at=read.at if read and read.leaks else None,
        evidence={"routes": list(read.leaks) if read else []},
    )
