"""The whole examination, in the order a person would do it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from understudy.clock import SystemClock
from understudy.doctor import configuration, dependencies, guarding, machine
from understudy.doctor.findings import Finding, fail
from understudy.errors import ConfigurationError
from understudy.processes.home import Home
from understudy.settings import Settings, load_settings, settings_from


def load_or_explain() -> tuple[Settings | None, list[Finding]]:
    """Return the settings, or why there are none: one finding a value that is not valid."""
    try:
        return load_settings(), []
    except ConfigurationError as error:
        fix = "Correct the value, and run `understudy doctor` again: the rest needs it."
        problems = error.message.split("; ")
        return None, [
            fail(configuration.AREA, problem.split("=")[0].split(":")[0], problem, fix)
            for problem in problems
        ]


async def examine(home: Path) -> list[Finding]:
    """Look at everything; what cannot be looked at is a finding, never an error."""
    settings, found = load_or_explain()
    place = Home.at(home)
    if settings is None:
        return [*found, *machine.look_at_machine(settings_from({"UNDERSTUDY_HOME": str(home)}), place)]
    clock = SystemClock()
    found = configuration.look_at_settings(settings)
    found += await asyncio.to_thread(machine.look_at_machine, settings, place)
    found += await asyncio.to_thread(guarding.look_at_guard, settings, place, clock)
    for part in await asyncio.gather(
        dependencies.look_at_database(settings, clock),
        dependencies.look_at_storage(settings, clock),
        dependencies.look_at_providers(settings, clock),
    ):
        found += part
    return found
