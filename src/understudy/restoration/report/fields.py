"""The template's twelve fields and the unknowns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from understudy.money import dollars
from understudy.restoration.report.facts import Facts, what_happened

#: The playbook's "Incident Report Template", in its order and spelling.
FIELDS = (
    "Incident title",
    "Date/time started (UTC)",
    "Date/time mitigated (UTC)",
    "Environment(s)",
    "Trigger condition(s)",
    "User impact summary",
    "Provider mode at incident start",
    "Mitigation actions taken",
    "Rollback type used",
    "Verification evidence",
    "Open follow-ups",
    "Owner",
)

#: Trigger -> the playbook's sentence for its family.
CONDITIONS = {
    "success_rate": "1. Generate success rate drops below agreed SLO for two consecutive windows.",
    "realtime_failures": "2. Qwen realtime synthesis failures exceed threshold "
    "(transport, protocol, provider errors).",
    "playback": "3. Streaming endpoint causes unacceptable client playback failures.",
    "cost": "4. Cost anomaly from repeated Qwen design creates or runaway generation volume.",
    "data_integrity": "5. Data correctness issue (missing provider metadata, orphaned generations/tasks).",
    "security": "6. Security issue (secret mismatch, wrong region key, leakage risk).",
}

#: Families whose findings count calls.
CALL_FAMILIES = frozenset({"success_rate", "realtime_failures"})

UNKNOWN = "unknown"
NOT_YET = "not yet"


def template_fields(
    facts: Facts, checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None, open_points: list[str]
) -> dict[str, str]:
    """Return the twelve fields, in order."""
    times = facts.times()
    changes = "; ".join(
        f"{entry.step or entry.kind} ({utc_text(entry.at)}): {what_happened(entry)}"
        for entry in facts.changes()
    )
    values = (
        facts.text("title") or UNKNOWN,
        _started(facts),
        utc_text(times.mitigated) if times.mitigated else NOT_YET,
        facts.text("environment") or UNKNOWN,
        _condition(facts),
        impact(facts) or _no_count(facts),
        facts.mode_at_start() or UNKNOWN,
        changes or "none",
        ", ".join(facts.rollback_types()) or "none",
        _verification(checklist, smoke),
        " ".join(f"({number}) {point}" for number, point in enumerate(open_points, 1)) or "none",
        facts.text("owner") or "unassigned",
    )
    return dict(zip(FIELDS, values, strict=True))


def utc_text(at: datetime) -> str:
    """Return ``at`` as people read it, to the millisecond: ``2026-01-31 12:00:00.000``."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="milliseconds")


def _started(facts: Facts) -> str:
    times = facts.times()
    if times.onset is not None:
        what = "first failed call" if _about_calls(facts) else "first sign of it"
        return f"{utc_text(times.onset)} ({what})"
    if times.detected is not None:
        return f"{utc_text(times.detected)} (detected; when it began is unknown)"
    return UNKNOWN


def _about_calls(facts: Facts) -> bool:
    """Whether the finding that opened the incident counts calls; so did every finding of old."""
    return facts.finding().get("trigger", "success_rate") in CALL_FAMILIES


def _no_count(facts: Facts) -> str:
    if _about_calls(facts):
        return f"{UNKNOWN}: the journal records no count of failed calls"
    return "no failed call is on record for this finding; what users felt otherwise is not counted"


def _condition(facts: Facts) -> str:
    """Every finding under its family's sentence, the family that opened the incident first."""
    findings = facts.findings()
    if not findings:
        name = facts.text("trigger")
        return CONDITIONS.get(str(name), str(name) if name else UNKNOWN)
    details: dict[str, list[str]] = {}
    for finding in findings:
        said = details.setdefault(str(finding.get("trigger")), [])
        if isinstance(finding.get("detail"), str):
            said.append(finding["detail"])
    return " ".join(
        f"{CONDITIONS.get(name, name)} Found: {'; '.join(said)}." if said else CONDITIONS.get(name, name)
        for name, said in details.items()
    )


def impact(facts: Facts) -> str | None:
    """Return what users felt as far as it was counted."""
    said = facts.text("impact", "user_impact")
    if said is not None:
        return said
    harm, until = facts.harm(), "it was mitigated"
    if harm is None:
        harm, until = facts.harm_at_start(), "the evidence was captured"
    if harm is not None:
        return (
            f"{harm['failed']} of {harm['calls']} users' calls to {harm['provider']} failed between the "
            f"first failure and when {until}; {harm['users_failed']} of {harm['users']} users "
            f"who called were affected{_more_harm(harm)}"
        )
    finding = facts.finding()
    failed, total = finding.get("failures"), finding.get("n")
    if (
        finding.get("trigger") not in CALL_FAMILIES
        or not isinstance(failed, int)
        or not isinstance(total, int)
    ):
        return None
    operation = finding.get("subject") or finding.get("operation") or "provider"
    return f"{failed} of {total} users' {operation} calls failed in the windows that were judged"


def _more_harm(harm: Mapping[str, Any]) -> str:
    """Speech and money, where they were counted."""
    said = []
    if isinstance(harm.get("audio_ms"), int):
        said.append(f"{harm['audio_ms'] / 1000:.1f} s of speech were delivered in that time")
    if isinstance(harm.get("cost_microusd"), int):
        said.append(f"the failed calls cost {dollars(harm['cost_microusd'])}")
    return "".join(f"; {part}" for part in said)


def _verification(checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None) -> str:
    if checklist is None or smoke is None:
        return "none: no smoke run is on record"
    items = checklist["items"]
    ticked = sum(item["ok"] for item in items)
    sha256 = checklist["smoke_sha256"]
    return f"checklist {ticked} of {len(items)}, by the smoke run of {smoke['started_at']} (sha256 {sha256})"


def unknowns(
    facts: Facts, checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None, *, anchored: bool
) -> list[str]:
    """Return what the record does not say, each as a sentence."""
    times = facts.times().document()
    said = ["Why it happened: no root cause is asserted here."]
    if times["onset"] is None:
        said.append("When it began: the journal has no first failed call, so no time from onset is given.")
    said += [
        f"When it was {name}: no such entry." for name, at in times.items() if at is None and name != "onset"
    ]
    if impact(facts) is None and _about_calls(facts):
        said.append("How many calls failed: the journal has no count.")
    if facts.harm() is None and facts.harm_at_start() is None:
        said.append("How many users felt it: they were not counted.")
    said += [f"{name.replace('_', ' ')} at the start: {why}." for name, why in facts.unanswered().items()]
    if facts.mode_at_start() is None:
        said.append("Which provider mode was in force at the start.")
    if facts.text("owner") is None:
        said.append("Who owns the incident.")
    if checklist is None or smoke is None:
        said.append("Whether the service works: no smoke run is on record.")
    elif not anchored:
        said.append("Whether the smoke run is the one the guard saw: the journal does not hold its hash.")
    if facts.unfinished():
        said.append("How the steps without an outcome ended.")
    return said
