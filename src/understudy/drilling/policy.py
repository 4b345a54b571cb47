"""The policy that ships, with what is slow by design made quick: ages, cadences and hard limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from understudy.resources import playbook_file

#: Windows of a drill: two of them and a second are the detection goal (design.md, Numbers).
WINDOW_S = 5
#: Fields of checks whose shipped values are minutes to days.
QUICK: Mapping[str, float] = {
    "due_s": 5,
    "older_than_s": 5,
    "grace_s": 5,
    "full_pass_s": 60,
    "stale_after_s": 60,
}
PROBES: Mapping[str, float] = {"active_interval_s": 30, "standby_interval_s": 60, "security_interval_s": 10}
#: A tenant's own characters of an hour that count as runaway in a drill: real speech, in seconds.
RUNAWAY_CHARACTERS = 6_000
#: Windows of the players' reports; a quarter of an hour in the policy that ships.
PLAYBACK_WINDOW_S = 60


def quickened() -> dict[str, Any]:
    """Return the shipped policy with quick ages and cadences; modes and cures are as they ship."""
    policy: dict[str, Any] = yaml.safe_load(playbook_file().read_text("utf-8"))
    for trigger in policy["triggers"].values():
        for check in trigger.values():
            if isinstance(check, dict):
                check.update({name: value for name, value in QUICK.items() if name in check})
    policy["probes"] |= PROBES
    return policy


def drill_policy(folder: Path) -> Path:
    """Write the policy of a drill into ``folder``; return the file."""
    policy = quickened()
    policy["triggers"]["cost"]["runaway_characters"] |= {
        "hard_limit": RUNAWAY_CHARACTERS,
        "floor": RUNAWAY_CHARACTERS // 2,
    }
    for check in ("not_completed", "stalls", "decode_errors"):
        policy["triggers"]["playback"][check]["window_s"] = PLAYBACK_WINDOW_S
    path = folder / "drill.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False, allow_unicode=True), "utf-8")
    return path
