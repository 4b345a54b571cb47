"""What is drilled: every trigger family and failure class, and what a restoration itself must stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from understudy.drilling import faults
from understudy.drilling.faults import Act
from understudy.drilling.players import Heard
from understudy.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault with the restoration that it calls for.

    Parameters
    ----------
    finds
        What the incident must have been opened for: beginnings of the finding's key, any of them.
    cures
        Actions that must be performed, in order; any other is wrong.
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

    name: str
    title: str
    finds: tuple[str, ...]
    cures: tuple[str, ...]
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


#: Whichever of the two sees failing calls first.
CALLS = ("success_rate/rate/", "realtime_failures/")


def _broken(name: str, title: str, **probabilities: float) -> Scenario:
    inject, calm = faults.break_qwen(**probabilities)
    return Scenario(name, title, CALLS, ("env_switch",), inject, calm)


def _heard(name: str, title: str, what: Heard) -> Scenario:
    inject, calm = faults.players_hear(what)
    finds = ("playback/decode_errors/",)
    return Scenario(name, title, finds, ("env_switch",), inject, calm, streams=True)


SCENARIOS: tuple[Scenario, ...] = (
    _broken(
        "success_rate",
        "Qwen fails seven sessions of eight, in all three ways",
        reset_mid_audio=0.5,
        garbage_frame=0.5,
        error_event=0.5,
    ),
    _broken("realtime_transport", "Qwen resets connections amid the audio", reset_mid_audio=1),
    _broken("realtime_protocol", "Qwen sends frames that are not its protocol", garbage_frame=1),
    _broken("realtime_provider", "Qwen answers with error events", error_event=1),
    _heard("playback", "Players cannot decode what they stream", Heard.DECODE_ERROR),
    Scenario(
        "cost_design_repeats",
        "A tenant has the same voice designed again and again",
        ("cost/design_repeats/",),
        ("close_valve",),
        faults.repeat_designs,
        closes=False,
    ),
    Scenario(
        "cost_runaway",
        "A tenant has far more spoken than anybody's hour",
        ("cost/runaway_characters/",),
        ("throttle_tenant",),
        faults.run_away,
        closes=False,
    ),
    Scenario(
        "data_integrity",
        "A voice has lost its provider's metadata",
        ("data_integrity/missing_provider_metadata/",),
        ("quarantine_and_repair",),
        faults.lose_metadata,
    ),
    Scenario(
        "security_secret_mismatch",
        "The worker holds another JWT secret than the API",
        ("security/secret_mismatch/",),
        ("reapply_settings",),
        faults.mismatch_secrets,
        needs_known_good=True,
    ),
    Scenario(
        "security_wrong_region_key",
        "The key belongs to the other lane",
        ("security/wrong_region_key/",),
        ("env_switch",),
        faults.take_the_wrong_key,
        faults.forget_the_wrong_key,
    ),
    Scenario(
        "security_leak",
        "A planted secret stands in an answer",
        ("security/secret_leak/",),
        ("close_reads",),
        faults.leak_the_canary,
        closes=False,
    ),
    Scenario(
        "schema_drift",
        "A column that a migration made is gone",
        ("data_integrity/schema_drift/",),
        ("database_restore",),
        faults.drop_a_column,
        needs_known_good=True,
        needs_backup=True,
    ),
    Scenario(
        "destructive_migration",
        "A migration has dropped a table of tenants' rows",
        ("data_integrity/schema_drift/",),
        ("database_restore",),
        faults.migrate_destructively,
        needs_known_good=True,
        needs_backup=True,
    ),
    Scenario(
        "bad_release",
        "A release is deployed that cannot speak through the known-good provider",
        CALLS,
        ("code_rollback",),
        faults.deploy_a_bad_release,
        prepare=faults.build_a_bad_release,
        mode="modal",
        needs_known_good=True,
        within_s=420.0,
    ),
    Scenario(
        "slow_standby",
        "Qwen breaks while Modal takes ten times as long as usual",
        CALLS,
        ("env_switch",),
        faults.break_behind_a_slow_standby,
        faults.calm_both,
    ),
    Scenario(
        "drain_burst",
        "Sessions on Qwen go on failing after the flip",
        CALLS,
        ("env_switch",),
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
    found = tuple(scenario for scenario in SCENARIOS if scenario.name == name)
    if not found:
        listed = ", ".join(scenario.name for scenario in SCENARIOS)
        raise NotFoundError(f"There is no drill {name}. There are: {listed}, or all.")
    return found
