"""A cutover in the middle of a stage, for tests of what is made of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from understudy.resources import playbook_file
from understudy.restoration.playbook.cutover_policy import Cutover
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.cutover import CutoverRow, SideTotals

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
POLICY: Cutover = load_playbook(playbook_file()).cutover
PLAN: dict[str, Any] = {
    "candidate": "qwen",
    "destination": {"provider": "qwen", "models": {"vc": "m"}, "region": "intl", "strict": False},
    "used_within_days": 30,
    "revision": "r1",
    "stages": [
        {"percent": 5, "hold_s": 600.0, "exclude_percent": 5.0},
        {"percent": 50, "hold_s": 600.0, "exclude_percent": 5.0},
        {"percent": 100, "hold_s": 600.0, "exclude_percent": 5.0},
    ],
}
ROW = CutoverRow(
    seq=1,
    candidate="qwen",
    percent=5,
    stage=0,
    state="running",
    epoch=9,
    stage_epoch=9,
    owner="ada",
    plan=PLAN,
    plan_sha256="0" * 64,
    actor="person:ada",
    reason="go",
    incident=None,
    started_at=NOW - timedelta(hours=1),
    stage_started_at=NOW - timedelta(hours=1),
    watched_until=NOW + timedelta(seconds=50),
    membership=1,
    changed_at=NOW - timedelta(hours=1),
    watch_left_s=50.0,
    stage_age_s=3600.0,
)
#: A side on which nothing is wrong: enough calls of any kind.
CLEAN = SideTotals(
    total=1000,
    failed=0,
    latency_ms=900.0,
    first_audio_calls=1000,
    first_audio_ms=400.0,
    characters=50_000,
    cost_microusd=650_000,
    asked=1000,
    refused=0,
)


def row(**changes: Any) -> CutoverRow:
    return replace(ROW, **changes)


def side(**changes: Any) -> SideTotals:
    return replace(CLEAN, **changes)


def finding(trigger: str, check: str, verdict: Verdict, **more: Any) -> Finding:
    values: dict[str, Any] = {
        "mode": "auto",
        "cures": ("env_switch",),
        "evaluated_at": NOW,
        "detail": "as the test says",
        "provider": "qwen",
        "mode_epoch": 9,
        **more,
    }
    return Finding(trigger=trigger, check=check, verdict=verdict, **values)
