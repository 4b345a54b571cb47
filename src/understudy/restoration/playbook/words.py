"""Each check's limits as a sentence that an operator reads at night."""

from __future__ import annotations

from understudy.money import dollars
from understudy.restoration.playbook.policy import Playbook, TriggerName
from understudy.restoration.triggers.cures import Check

#: What each check trips at; the fields of the check and of its trigger stand in braces.
SENTENCES: dict[tuple[str, str], str] = {
    ("success_rate", "refusals"): (
        "at least {count} requests and {rate_percent:g} % of them refused with 409 (mode or "
        "coverage) in each of the newest {consecutive} windows of {window_s} s"
    ),
    ("playback", "not_completed"): (
        "more than {max_percent:g} % of the sessions of {window_s} s began and did not end "
        "{grace_s} s after their audio (>= {minimum_sessions} sessions, {minimum_users} "
        "users, chance < {alpha:g})"
    ),
    ("playback", "stalls"): (
        "more than {max_percent:g} % of the sessions of {window_s} s stalled {minimum_stalls}"
        " times or more (>= {minimum_sessions} sessions, {minimum_users} users, chance < "
        "{alpha:g})"
    ),
    ("playback", "decode_errors"): (
        "more than {max_percent:g} % of the sessions of {window_s} s could not decode (>= "
        "{minimum_sessions} sessions, {minimum_users} users, chance < {alpha:g})"
    ),
    ("playback", "beacons"): (
        "BLIND where players report fewer than {minimum_percent_of_usual:g} % of the usual "
        "share of >= {minimum_delivered} delivered streams"
    ),
    (
        "cost",
        "design_repeats",
    ): "more than {max_creates} billed creates of one tenant for one prompt in 60 min",
    ("cost", "creates_hour"): (
        "more than {hard_limit} billed creates in 60 min, or more (and >= {minimum_cap}) than"
        " chance gives {false_alarms_a_year:g} times a year"
    ),
    ("cost", "runaway_characters"): (
        "one tenant above {hard_limit} characters in 60 min, or above {floor} and "
        "{robust_z:g} robust deviations over its own hours"
    ),
    ("cost", "spend_hour"): (
        "more than {hard_limit_microusd} in 60 min, or above {floor_microusd} "
        "and {robust_z:g} robust deviations over the hours before"
    ),
    ("security", "secret_mismatch"): (
        "live processes disagree about a secret, or with the known-good record, for {grace_s:g} s"
    ),
    ("security", "wrong_region_key"): (
        "a key of another lane than the configured one (refusals of the last {window_s:g} s)"
    ),
    ("security", "secret_leak"): "a secret or a planted canary in a log line or an answer, in {window_s:g} s",
    ("security", "cross_tenant_read"): (
        "one canary tenant reads what is the other's; BLIND without an attempt for {stale_after_s:g} s"
    ),
    **{
        ("realtime_failures", name): (
            f"at least {{count}} {name} failures and {{rate_percent:g}} % of the calls in the newest "
            "{part.window_s} s, and more than the {part.baseline_windows} windows before explain "
            "(chance < {alpha:g}); at {providers}"
        )
        for name in ("transport", "protocol", "provider")
    },
    **{
        (
            "data_integrity",
            name,
        ): f"{what}, older than {{older_than_s:g}} s, in {{looks}} looks ({{due_s:g}} s apart)"
        for name, what in {
            "missing_provider_metadata": "any voice or generation without what its provider needs",
            "orphaned_generations": "any generation that no task works on",
            "orphaned_tasks": "any task past deadline and lease, or completed without its generation",
            "completed_without_audio": "any completed generation without its audio",
            "audio_without_row": "any stored audio without a row",
            "unreadable_references": "any live voice without transcript or recording of its digest",
            "ledger_unbalanced": "any reservation that outlived its task, or sum other than its calls'",
        }.items()
    },
    ("data_integrity", "schema_drift"): (
        "live catalog or migration history other than the migrations give, in {looks} looks "
        "({due_s:g} s apart)"
    ),
    ("data_integrity", "provider_counters"): (
        "characters of a call that differ from the provider's by more than {tolerance_percent:g} % "
        "(last {window_s:g} s)"
    ),
}


def limits_in_words(playbook: Playbook, trigger: TriggerName, name: str, check: Check) -> str:
    """Say at what the check trips."""
    if (trigger, name) == ("success_rate", "rate"):
        return _rate(playbook)
    part = getattr(playbook.triggers, trigger)
    providers = ", ".join(getattr(part, "providers", []))
    said = {
        field: dollars(value) if field.endswith("_microusd") else value
        for field, value in check.model_dump().items()
    }
    return SENTENCES[trigger, name].format(**said, part=part, providers=providers)


def _rate(playbook: Playbook) -> str:
    rate = playbook.triggers.success_rate.rate
    sentence = (
        f"{rate.operation} below {rate.slo_percent:g} % in each of the newest "
        f"{rate.consecutive} windows of {rate.window_s} s with calls (looking back "
        f"{rate.lookback_windows})"
    )
    if rate.rule == "literal":
        return f"{sentence}; nothing else is asked (literal)"
    wanted = rate.evidence
    return (
        f"{sentence}, and pooled >= {wanted.min_calls} calls with >= {wanted.min_failures} "
        f"failures that chance shows at the SLO with less than {wanted.alpha:g}; or the newest"
        f" {wanted.streak} calls or more all failed for {wanted.streak_s:g} s; or, with fewer "
        f"than {wanted.min_calls} calls, {wanted.failed_probes} probes in a row failed. One "
        f"tenant's failures alone flip nobody while others are served (guarded)"
    )
