"""The gates, judged: a pure function of what was found and the time.

Until all are met the known-good provider must stay reachable, so nothing that it needs is taken away: no
destructive migration runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from understudy.store.stabilization import Day, Service

CANDIDATE = "qwen"
PERIOD = timedelta(days=14)
DRILL_AGE = timedelta(days=30)
SIGN_OFFS = 2
#: A service at its SLO shows no failure in so many calls once in twenty.
_DOUBT = 0.05


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that was open at some time in the final window."""

    id: str
    severity: int
    state: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class SignOff:
    """One person's word, with the start of the period that it is about."""

    person: str
    at: datetime
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """Everything the gates are judged by; None is "could not be read", and ``problems`` says why by name.

    Parameters
    ----------
    drill_at
        When a drill last passed here; None: none within :data:`DRILL_AGE`.
    backup_at
        When the newest backup that was proven to restore was made.
    backup_max_age_s
        0 is no limit.
    """

    service: Service | None
    incidents: Sequence[PastIncident]
    days: Sequence[Day]
    drill_at: datetime | None
    backup_at: datetime | None
    backup_max_age_s: int
    sign_offs: Sequence[SignOff]
    slo_percent: float
    problems: dict[str, str]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate; ``why`` says on what it is met, or what it lacks."""

    name: str
    met: bool
    why: str


@dataclass(frozen=True, slots=True)
class Stabilization:
    """All gates at one moment."""

    at: datetime
    since: datetime | None
    gates: tuple[Gate, ...]

    @property
    def met(self) -> bool:
        """Whether every gate is."""
        return all(gate.met for gate in self.gates)

    @property
    def unmet(self) -> list[str]:
        """What is lacking, in words."""
        return [f"{gate.name}: {gate.why}" for gate in self.gates if not gate.met]

    @property
    def ready_to_sign(self) -> bool:
        """Whether only sign-offs are lacking."""
        return all(gate.met for gate in self.gates if gate.name != "sign_offs")


def judge(found: Found, now: datetime) -> Stabilization:
    """Judge every gate.

    Parameters
    ----------
    now
        UTC.
    """
    service = found.service
    since = service.since if service is not None and service.provider == CANDIDATE else None
    gates = (
        _on_candidate(found, now),
        _incidents(found),
        _slo(found, now),
        _drill(found),
        _backup(found, now),
        _sign_offs(found, since),
    )
    return Stabilization(now, since, gates)


def calls_needed(slo_percent: float) -> int:
    """Return how many calls without a failure show the SLO: with fewer, luck would."""
    return math.ceil(math.log(_DOUBT) / math.log(slo_percent / 100)) if slo_percent < 100 else 1


def _on_candidate(found: Found, now: datetime) -> Gate:
    name, service = "on_qwen", found.service
    if "product" in found.problems:
        return Gate(name, False, found.problems["product"])
    if service is None or service.provider != CANDIDATE or service.since is None:
        serving = service.provider if service is not None else "nobody"
        return Gate(name, False, f"{serving} serves; the clock starts when Qwen serves everybody")
    if service.cutover_in_force:
        return Gate(name, False, "a cutover is in force: a share of the tenants is served elsewhere")
    age = now - service.since
    told = f"Qwen serves everybody since {service.since:%Y-%m-%d %H:%M} UTC"
    if age < PERIOD:
        return Gate(name, False, f"{told}; {_days(PERIOD - age)} of {PERIOD.days} days are left")
    return Gate(name, True, f"{told}, {age.days} days")


def _incidents(found: Found) -> Gate:
    name = "no_severe_incident"
    if "guard" in found.problems:
        return Gate(name, False, found.problems["guard"])
    severe = [one for one in found.incidents if one.severity <= 2]
    if severe:
        told = ", ".join(f"{one.id} (Sev {one.severity}, {one.state})" for one in severe[:5])
        return Gate(name, False, f"{len(severe)} of Sev 1 or 2 in the last {PERIOD.days} days: {told}")
    return Gate(
        name, True, f"none of Sev 1 or 2 in the last {PERIOD.days} days; {len(found.incidents)} milder"
    )


def _slo(found: Found, now: datetime) -> Gate:
    name = "slo_met"
    if "product" in found.problems:
        return Gate(name, False, found.problems["product"])
    first = (now - PERIOD).date()
    wanted = [first + timedelta(days=number) for number in range(1, PERIOD.days)]
    by_day = {one.day: one for one in found.days}
    silent = [
        day for day in wanted if day not in by_day or by_day[day].total + by_day[day].synthetic_total == 0
    ]
    if silent:
        return Gate(
            name,
            False,
            f"no call of users or canaries on {_listed(silent)}: nothing shows that the service was up "
            "(RETENTION_SIGNALS_DAYS must keep more than two weeks)",
        )
    broken = [one for one in found.days if one.total and _percent(one) < found.slo_percent]
    if broken:
        told = ", ".join(f"{one.day} {_percent(one):.2f} % of {one.total}" for one in broken[:5])
        return Gate(name, False, f"below {found.slo_percent:g} % on {len(broken)} days: {told}")
    total, failed = sum(one.total for one in found.days), sum(one.failed for one in found.days)
    needed = calls_needed(found.slo_percent)
    if total < needed:
        return Gate(
            name, False, f"{total} calls in two weeks cannot show {found.slo_percent:g} %; {needed} could"
        )
    return Gate(
        name, True, f"every day at {found.slo_percent:g} % or above; {failed} of {total} calls failed"
    )


def _drill(found: Found) -> Gate:
    name = "recent_drill"
    if found.drill_at is None:
        how = "`understudy drill all`; for prod with --env staging"
        return Gate(name, False, f"no drill passed in {DRILL_AGE.days} days; run {how}")
    return Gate(name, True, f"passed at {found.drill_at:%Y-%m-%d %H:%M} UTC")


def _backup(found: Found, now: datetime) -> Gate:
    name = "recent_backup"
    if "backup" in found.problems:
        return Gate(name, False, found.problems["backup"])
    if found.backup_at is None:
        return Gate(name, False, "no backup is proven to restore; run `understudy backup create`")
    age_s = (now - found.backup_at).total_seconds()
    told = f"the newest proven one was made at {found.backup_at:%Y-%m-%d %H:%M} UTC"
    if found.backup_max_age_s and age_s > found.backup_max_age_s:
        return Gate(name, False, f"{told}, more than {found.backup_max_age_s} s ago (BACKUP_MAX_AGE_S)")
    return Gate(name, True, told)


def _sign_offs(found: Found, since: datetime | None) -> Gate:
    name = "sign_offs"
    if "guard" in found.problems:
        return Gate(name, False, found.problems["guard"])
    people = signed_by(found.sign_offs, since)
    if len(people) < SIGN_OFFS:
        told = f"; {', '.join(people)} did" if people else ""
        return Gate(
            name, False, f"{SIGN_OFFS - len(people)} of {SIGN_OFFS} persons have not signed off{told}"
        )
    return Gate(name, True, f"by {', '.join(people)}")


def signed_by(sign_offs: Sequence[SignOff], since: datetime | None) -> list[str]:
    """Persons who signed off this very period after its end, each once; the clock's restart voids them."""
    if since is None:
        return []
    return list(
        dict.fromkeys(one.person for one in sign_offs if one.since == since and one.at - since >= PERIOD)
    )


def _percent(day: Day) -> float:
    return 100 * (day.total - day.failed) / day.total


def _days(left: timedelta) -> str:
    return f"{left.days} days {left.seconds // 3600} h"


def _listed(days: Sequence[object]) -> str:
    told = ", ".join(str(day) for day in days[:5])
    return told if len(days) <= 5 else f"{told} and {len(days) - 5} more days"
