"""What can be drilled: the names of the scenarios, and the actions that must cure each.

Here and not beside the faults, so that a guard can offer drills without knowing how anything is broken.
"""

from __future__ import annotations

from dataclasses import dataclass

from understudy.errors import NotFoundError
from understudy.restoration.triggers.cures import ActionName


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault that is practised.

    Parameters
    ----------
    cures
        Actions that must be performed, in order; any other is wrong.
    """

    name: str
    title: str
    cures: tuple[ActionName, ...]

    def document(self) -> dict[str, object]:
        """Return plain data."""
        return {"scenario": self.name, "title": self.title, "cures": list(self.cures)}


DRILLS: tuple[Drill, ...] = (
    Drill("success_rate", "Qwen fails seven sessions of eight, in all three ways", ("env_switch",)),
    Drill("realtime_transport", "Qwen resets connections amid the audio", ("env_switch",)),
    Drill("realtime_protocol", "Qwen sends frames that are not its protocol", ("env_switch",)),
    Drill("realtime_provider", "Qwen answers with error events", ("env_switch",)),
    Drill("playback", "Players cannot decode what they stream", ("env_switch",)),
    Drill("cost_design_repeats", "A tenant has the same voice designed again and again", ("close_valve",)),
    Drill("cost_runaway", "A tenant has far more spoken than anybody's hour", ("throttle_tenant",)),
    Drill("data_integrity", "A voice has lost its provider's metadata", ("quarantine_and_repair",)),
    Drill(
        "security_secret_mismatch", "The worker holds another JWT secret than the API", ("reapply_settings",)
    ),
    Drill("security_wrong_region_key", "The key belongs to the other lane", ("env_switch",)),
    Drill("security_leak", "A planted secret stands in an answer", ("close_reads",)),
    Drill("schema_drift", "A column that a migration made is gone", ("database_restore",)),
    Drill("destructive_migration", "A migration has dropped a table of tenants' rows", ("database_restore",)),
    Drill(
        "bad_release",
        "A release is deployed that cannot speak through the known-good provider",
        ("code_rollback",),
    ),
    Drill("slow_standby", "Qwen breaks while Modal takes ten times as long as usual", ("env_switch",)),
    Drill("drain_burst", "Sessions on Qwen go on failing after the flip", ("env_switch",)),
)


def drill_named(name: str) -> Drill:
    """Return the drill of that name; raises :class:`NotFoundError`, whose message lists them."""
    found = next((drill for drill in DRILLS if drill.name == name), None)
    if found is None:
        listed = ", ".join(drill.name for drill in DRILLS)
        raise NotFoundError(f"There is no drill {name}. There are: {listed}, or all.")
    return found
