"""What is drilled: every trigger family and failure class, and what a restoration itself must stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from understudy.drilling import faults
from understudy.drilling.faults import Act
from understudy.drilling.players import Heard
from understudy.restoration.drills.catalogue import Drill, drill_named
from understudy.restoration.triggers.cures import ActionName


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault with the restoration that it calls for.

    Parameters
    ----------
    drill
        Its name and title, and what must cure it.
    finds
        What the incident must have been opened for: beginnings of the finding's key, any of them.
    inject, calm
        Cause the fault; take it out once it is mitigated, where the cure does not.
    prepare
        What takes long and breaks nothing: done before the fault, and not timed.
    needs_known_good, needs_backup
        What is recorded before anything is broken.
    streams
        Whether players stream beside the tenants that speak.
    closes
        Whether the incident can close by itself while a drill waits; what an hour or a day is looked back on
        cannot.
    settings
        Settings of this drill's service.
    within_s
        Seconds from the injection in which all of it must happen.
    """

    drill: Drill
    finds: tuple[str, ...]
    inject: Act
    calm: Act = faults.nothing
    prepare: Act = faults.nothing
    mode: str = "qwen"
    needs_known_good: bool = False
    needs_backup: bool = False
    streams: bool = False
    closes: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    within_s: float = 240.0

    @property
    def name(self) -> str:
        """What it is called by."""
        return self.drill.name

    @property
    def title(self) -> str:
        """What breaks."""
        return self.drill.title

    @property
    def cures(self) -> tuple[ActionName, ...]:
        """Actions that must be performed, in order; any other is wrong."""
        return self.drill.cures


#: Whichever of the two sees failing calls first.
CALLS = ("success_rate/rate/", "realtime_failures/")


def _broken(name: str, **probabilities: float) -> Scenario:
    inject, calm = faults.break_qwen(**probabilities)
    return Scenario(drill_named(name), CALLS, inject, calm)


def _heard(name: str, what: Heard) -> Scenario:
    inject, calm = faults.players_hear(what)
    finds = ("playback/decode_errors/",)
    return Scenario(drill_named(name), finds, inject, calm, streams=True)


SCENARIOS: tuple[Scenario, ...] = (
    _broken(
        "success_rate",
        reset_mid_audio=0.5,
        garbage_frame=0.5,
        error_event=0.5,
    ),
    _broken("realtime_transport", reset_mid_audio=1),
    _broken("realtime_protocol", garbage_frame=1),
    _broken("realtime_provider", error_event=1),
    _heard("playback", Heard.DECODE_ERROR),
    Scenario(
        drill_named("cost_design_repeats"),
        ("cost/design_repeats/",),
        faults.repeat_designs,
        closes=False,
    ),
    Scenario(
        drill_named("cost_runaway"),
        ("cost/runaway_characters/",),
        faults.run_away,
        closes=False,
    ),
    Scenario(
        drill_named("data_integrity"),
        ("data_integrity/missing_provider_metadata/",),
        faults.lose_metadata,
    ),
    Scenario(
        drill_named("security_secret_mismatch"),
        ("security/secret_mismatch/",),
        faults.mismatch_secrets,
        needs_known_good=True,
    ),
    Scenario(
        drill_named("security_wrong_region_key"),
        ("security/wrong_region_key/",),
        faults.take_the_wrong_key,
        faults.forget_the_wrong_key,
    ),
    Scenario(
        drill_named("security_leak"),
        ("security/secret_leak/",),
        faults.leak_the_canary,
        closes=False,
    ),
    Scenario(
        drill_named("schema_drift"),
        ("data_integrity/schema_drift/",),
        faults.drop_a_column,
        needs_known_good=True,
        needs_backup=True,
    ),
    Scenario(
        drill_named("destructive_migration"),
        ("data_integrity/schema_drift/",),
        faults.migrate_destructively,
        needs_known_good=True,
        needs_backup=True,
    ),
    Scenario(
        drill_named("bad_release"),
        CALLS,
        faults.deploy_a_bad_release,
        prepare=faults.build_a_bad_release,
        mode="modal",
        needs_known_good=True,
        within_s=420.0,
    ),
    Scenario(
        drill_named("slow_standby"),
        CALLS,
        faults.break_behind_a_slow_standby,
        faults.calm_both,
    ),
    Scenario(
        drill_named("drain_burst"),
        CALLS,
        faults.leave_late_failures,
        faults.calm_late_failures,
    ),
)


def scenarios_of(name: str) -> tuple[Scenario, ...]:
    """Return the scenario of that name, or every one for ``all``.

    Raises
    ------
    NotFoundError
        There is none of that name; the message lists them.
    """
    if name == "all":
        return SCENARIOS
    drill = drill_named(name)
    return tuple(scenario for scenario in SCENARIOS if scenario.drill == drill)
