"""What must be so before a cutover starts. What cannot be looked at is said, and is no yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError, StoreUnavailableError, UnderstudyError
from understudy.restoration.cutover import memory
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import Plan, share_of, subject_of
from understudy.restoration.cutover.reproducing import Reproduction, Spoken
from understudy.restoration.drills.history import last_passed
from understudy.restoration.playbook.cutover_policy import Cutover
from understudy.restoration.report.followups import open_followups
from understudy.restoration.targets.base import MODE_VARIABLE, Target
from understudy.restoration.targets.preflight import Preflight
from understudy.store import cutover as rows
from understudy.store.cutover import Connection
from understudy.store.freeze import read_freeze
from understudy.store.guard import GuardStore
from understudy.store.mode import read_mode

PRODUCTION, STAGING = "prod", "staging"
#: Follow-ups that one line names.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One of them.

    Parameters
    ----------
    ok
        ``None``: it could not be looked at, and ``detail`` says why.
    fix
        What a person does about it.
    """

    name: str
    ok: bool | None
    detail: str
    fix: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Staging, as production looks at it: its home, and its guard's store where that can be opened."""

    home: Path
    store: GuardStore | None
    problem: str | None = None


def of_settings(preflight: Preflight) -> list[Check]:
    """Pins, region and key, and the known-good provider's settings, as `understudy preflight` has them."""
    return [Check(check.name, check.ok, check.detail, check.fix) for check in preflight.checks]


def of_guard(
    heartbeat: Mapping[str, Any] | None, *, now: datetime, fresh_s: float, open_incident: str | None
) -> list[Check]:
    """A guard must lead and see, and nothing may be wrong already."""
    if heartbeat is None:
        return [Check("guard", ok=False, detail="no guard has looked", fix="Start one: understudy guard")]
    age_s = (now - datetime.fromisoformat(heartbeat["at"])).total_seconds()
    leads = bool(heartbeat.get("leads"))
    verdicts = heartbeat.get("verdicts") or {}
    bad = [f"{family} {verdict}" for family, verdict in verdicts.items() if verdict in {"FAIL", "BLIND"}]
    return [
        Check(
            "guard",
            ok=age_s <= fresh_s and leads,
            detail=f"its last look was {age_s:.0f} s ago" + ("" if leads else "; it does not lead"),
            fix="Whoever moves tenants needs somebody who brings them back: start a guard.",
        ),
        Check(
            "triggers",
            ok=not bad,
            detail=", ".join(bad) or "none fails, none is blind",
            fix="Look at `understudy status`.",
        ),
        Check(
            "incidents",
            ok=open_incident is None,
            detail=f"{open_incident} is open" if open_incident else "none is open",
            fix="Close it first.",
        ),
    ]


async def of_product(conn: Connection, target: Target, plan: Plan) -> list[Check]:
    """Live mode and durable environment must both be known-good, and nothing else under way."""
    known_good = str(plan.document["known_good"])
    mode, running, freeze = await read_mode(conn), await rows.read_cutover(conn), await read_freeze(conn)
    try:
        durable = (await target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
        agrees: bool | None = durable == known_good
        said = f"{MODE_VARIABLE} is {durable or 'not set'}"
    except UnderstudyError as error:
        agrees, said = None, error.message
    on = running is not None and running.state in {*rows.LIVE_STATES, "finishing"}
    return [
        Check(
            "mode",
            ok=mode is not None and mode.value == known_good,
            detail=f"{mode.value} serves" if mode else "no process has ever set one",
            fix=f"A cutover starts from {known_good}.",
        ),
        Check("durable mode", agrees, said, f"Set it to {known_good}."),
        Check(
            "cutover",
            ok=not on,
            detail=f"cutover {running.seq} is {running.state}" if running and on else "none is on",
            fix="End it: understudy cutover return",
        ),
        Check(
            "writes",
            ok=not (freeze is not None and freeze.frozen),
            detail=f"frozen: {freeze.reason}" if freeze and freeze.frozen else "not frozen",
            fix="understudy freeze off",
        ),
    ]


async def of_voices(
    conn: Connection, plan: Plan, *, cost_each_microusd: int, budget_microusd: int | None
) -> list[Check]:
    """Somebody must be able to join; what carrying the others over costs must fit into the budget named."""
    share = share_of(plan.document, 100)
    tenants, stayers = await rows.share_of_tenants(
        conn, share.destination, percent=100, days=share.used_within_days
    )
    voices = sum(stayer.voices for stayer in stayers)
    cost = voices * cost_each_microusd
    carry = f"understudy voices carry-over --to {plan.candidate} --max-cost {cost / 1e6:g}"
    checks = [
        Check(
            "tenants who join",
            ok=tenants == 0 or len(stayers) < tenants,
            detail=(
                f"{tenants - len(stayers)} of {tenants} tenants of the last {share.used_within_days} days; "
                f"{len(stayers)} stay, for {voices} voices that do not speak at {plan.candidate} yet"
            ),
            fix=carry,
        )
    ]
    if voices and budget_microusd is None:
        said = f"carrying {voices} voices over costs {cost / 1e6:g} US dollars; no budget was named"
        checks.append(Check("budget for carry-over", None, said, f"--max-cost {cost / 1e6:g}, then {carry}"))
    else:
        fits = cost <= (budget_microusd or 0)
        said = f"{cost / 1e6:g} US dollars for {voices} voices"
        checks.append(Check("budget for carry-over", fits, said, f"Name a larger --max-cost, then {carry}"))
    return checks


def of_memory(
    store: GuardStore, policy: Cutover, moves: MoveLimits, *, environment: str, home: Path, now: datetime
) -> list[Check]:
    """Nothing that an incident left may be open, a restoration must have been drilled, a move be allowed.

    Nothing is drilled as production: its rehearsal asks staging.
    """
    blocking = [one for one in open_followups(store, environment) if one.blocking]
    named = "; ".join(f"{one.id} {one.text}" for one in blocking[:NAMED])
    frozen, next_at = moves.frozen(), moves.next_at()
    said = "allowed now"
    if frozen is not None:
        said = f"FROZEN: {frozen.why}"
    elif next_at is not None:
        said = f"not before {next_at:%Y-%m-%d %H:%M} UTC"
    checks = [
        Check(
            "follow-ups",
            ok=not blocking,
            detail=f"{len(blocking)} block: {named}" if blocking else "none blocks",
            fix="understudy incident followups --done ID --reason WHY",
        ),
        Check("moves away", ok=frozen is None and next_at is None, detail=said, fix="understudy mode thaw"),
    ]
    if environment == PRODUCTION:
        return checks
    within = timedelta(days=policy.preflight.drilled_within_days)
    drilled = last_passed(home, environment=environment, within=within, now=now)
    told = f"none passed in {policy.preflight.drilled_within_days} days"
    if drilled is not None:
        told = f"{drilled.scenario} at {drilled.at[:16].replace('T', ' ')} UTC"
    fix = f"understudy drill all --env {environment}"
    return [*checks, Check("restoration drilled", ok=drilled is not None, detail=told, fix=fix)]


def of_rehearsal(
    plan: Plan,
    rehearsal: Rehearsal | None,
    policy: Cutover,
    *,
    environment: str,
    owner_named: bool,
    now: datetime,
) -> list[Check]:
    """Production wants the same cutover and a drilled restoration in staging before, and an owner by name."""
    if environment != PRODUCTION:
        return []
    owner = Check(
        "owner", ok=owner_named, detail=plan.owner if owner_named else "nobody is named", fix="--owner NAME"
    )
    if rehearsal is None or rehearsal.store is None:
        why = rehearsal.problem if rehearsal else "understudy.toml names no staging"
        return [owner, Check("the same cutover in staging", ok=False, detail=f"not known: {why}")]
    try:
        done = memory.completed(rehearsal.store, STAGING)
    except StoreUnavailableError as error:
        return [owner, Check("the same cutover in staging", ok=False, detail=f"not known: {error.message}")]
    same = next((one for one in reversed(done) if one.subject_sha256 == subject_of(plan.document)), None)
    within = timedelta(days=policy.preflight.drilled_within_days)
    drilled = last_passed(rehearsal.home, environment=STAGING, within=within, now=now)
    return [
        owner,
        Check(
            "the same cutover in staging",
            ok=same is not None,
            detail=f"cutover {same.seq}, {same.completed_at[:16]}"
            if same
            else "none with this code and models",
            fix="understudy cutover start --env staging, up to 100 %",
        ),
        Check(
            "restoration drilled in staging",
            ok=drilled is not None,
            detail=drilled.scenario if drilled else "none passed lately",
            fix="understudy drill all --env staging",
        ),
    ]


def of_probe(
    wanted: Reproduction, spoken: Spoken | None, heartbeat: Mapping[str, Any] | None, *, candidate: str
) -> Check:
    """What the last incident failed with must work now."""
    name = "probe of the last incident"
    about = f"{wanted.incident} ({wanted.finding})" if wanted.incident else "no incident so far"
    if wanted.phrases:
        if spoken is None:
            said = f"{about}: {wanted.phrases} clean phrases at {candidate} are asked for; not spoken yet"
            return Check(name, None, said, "`cutover start` speaks them first; `cutover plan --probe` too.")
        if spoken.failure is not None:
            return Check(name, ok=False, detail=f"{about}: {spoken.failure}", fix=f"Mend {candidate} first.")
        said = f"{about}: {spoken.clean} clean phrases rule out {100 * wanted.rate:.0f} % failures"
        return Check(name, ok=True, detail=said)
    if wanted.family is not None:
        verdict = ((heartbeat or {}).get("verdicts") or {}).get(wanted.family, "unknown")
        said = f"{about}: {wanted.family} is {verdict}"
        return Check(name, ok=verdict == "PASS", detail=said, fix="Look at `understudy status`.")
    said = (
        f"{about}: its class needs tenants' traffic and is not reproduced; the cost checks and the cutover's "
        "cost guardrail watch it from the first stage on"
    )
    return Check(name, ok=True, detail=said)


def problems(checks: Sequence[Check], *, accepted: bool) -> list[Check]:
    """Return what stands in the way.

    Parameters
    ----------
    accepted
        A person said, with a reason, that what cannot be looked at is so.
    """
    return [check for check in checks if check.ok is False or (check.ok is None and not accepted)]


def owner_of(given: str | None, fallback: str) -> tuple[str, bool]:
    """Return who answers for it, and whether that is a person named for this very cutover."""
    if given is not None and not given.strip():
        raise ConfigurationError("--owner is empty; name the person who answers for the cutover.")
    return (given.strip(), True) if given else (fallback, False)
