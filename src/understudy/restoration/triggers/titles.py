"""What a finding is called where people read: one line in plain words, for every check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.restoration.triggers.verdict import Finding

#: Family/check -> the line; what stands in braces is left out where it is not known.
_LINES = {
    "success_rate/rate": "Success rate{on} below the SLO{bad}",
    "success_rate/refusals": "Generation refused for the mode or a voice's coverage{bad}",
    "realtime_failures/transport": "Realtime connections break{on}{bad}",
    "realtime_failures/protocol": "Realtime answers are malformed{on}{bad}",
    "realtime_failures/provider": "Realtime sessions end in provider errors{on}{bad}",
    "playback/not_completed": "Playback starts and does not complete{on}{bad}",
    "playback/stalls": "Playback stalls{on}{bad}",
    "playback/decode_errors": "Players cannot decode the audio{on}{bad}",
    "playback/beacons": "Players' reports are missing{on}",
    "cost/design_repeats": "One voice design is paid for again and again",
    "cost/creates_hour": "Too many billed voice creates in an hour",
    "cost/runaway_characters": "One tenant's generation runs away",
    "cost/spend_hour": "Spending of an hour far above what is usual",
    "data_integrity/missing_provider_metadata": (
        "Voices or generations without the provider's metadata{count}"
    ),
    "data_integrity/orphaned_generations": "Orphaned generations{count}",
    "data_integrity/orphaned_tasks": "Orphaned tasks{count}",
    "data_integrity/completed_without_audio": "Completed generations without audio{count}",
    "data_integrity/audio_without_row": "Audio that no generation knows{count}",
    "data_integrity/unreadable_references": "Voices without a readable reference{count}",
    "data_integrity/schema_drift": "The live schema differs from known-good{count}",
    "data_integrity/ledger_unbalanced": "The usage ledger does not balance{count}",
    "data_integrity/provider_counters": "The ledger differs from the provider's counters{count}",
    "security/secret_mismatch": "Secrets differ between processes or from the known-good record",
    "security/wrong_region_key": "A provider key of another region is configured{on}",
    "security/secret_leak": "A secret stood in an answer or a log",
    "security/cross_tenant_read": "One tenant could read what is another's",
}
_WHAT = {"playback": "sessions", "success_rate": "calls", "realtime_failures": "calls"}


def title_of(finding: Finding) -> str:
    """Return what an incident that this finding opens is called; a check unknown here is named as it is."""
    return title_of_document(
        {
            "trigger": finding.trigger,
            "check": finding.check,
            "provider": finding.provider,
            "n": finding.n,
            "failures": finding.failures,
        }
    )


def title_of_document(document: Mapping[str, Any]) -> str:
    """Return the title of a finding that stands in a journal, as :func:`title_of` gives it."""
    trigger, check = str(document.get("trigger")), str(document.get("check"))
    n, failures, provider = document.get("n"), document.get("failures"), document.get("provider")
    line = _LINES.get(f"{trigger}/{check}")
    if line is None:
        name = f"{trigger}: {check}".replace("_", " ")
        return name[:1].upper() + name[1:]
    what = _WHAT.get(trigger, "found")
    bad = f" ({failures} of {n} {what} failed)" if n else ""
    if trigger == "playback":
        bad = bad.replace("failed", "affected")
    return line.format(
        on=f" on {str(provider).capitalize()}" if provider else "",
        bad=bad,
        count=f" ({failures})" if failures else "",
    )
