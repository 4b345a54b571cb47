"""Findings as triggers make them, short to write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from understudy.restoration.triggers.verdict import Finding, Verdict

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
CURES = {
    "success_rate": ("env_switch", "code_rollback"),
    "realtime_failures": ("env_switch", "code_rollback"),
    "playback": ("env_switch", "code_rollback"),
    "cost": ("close_valve",),
    "data_integrity": ("quarantine_and_repair", "code_rollback"),
    "security": ("close_reads",),
}
AUTO = frozenset({"success_rate", "realtime_failures", "cost"})


def finding_of(check: str = "success_rate/rate", verdict: Verdict = Verdict.FAIL, **more: Any) -> Finding:
    """A finding of ``family/check``: 9 of 9 speak calls on qwen, epoch 3, unless told otherwise."""
    trigger, name = check.split("/")
    about: dict[str, Any] = {
        "mode": "auto" if trigger in AUTO else "pause",
        "cures": CURES[trigger],
        "evaluated_at": AT,
        "detail": f"{check} says so",
    }
    if trigger in {"success_rate", "realtime_failures", "playback"}:
        about |= {
            "provider": "qwen",
            "mode_epoch": 3,
            "subject": "speak",
            "n": 9,
            "failures": 9,
            "detail": "9 of 9 calls failed",
        }
    return Finding(trigger=trigger, check=name, verdict=verdict, **(about | more))
