"""The limits of moves away from the known-good provider, as commands ask them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.environment import chosen
from understudy.clock import SystemClock
from understudy.settings import Settings

if TYPE_CHECKING:
    from understudy.restoration.cutover.moves import MoveLimits


@contextmanager
def move_limits(home: Path, settings: Settings) -> Iterator[MoveLimits]:
    """Open the guard's store and yield the limits; a store that is not there yet is made.

    Raises
    ------
    ConfigurationError
        The policy is not valid, or the store cannot be opened: then nobody counts, and nobody moves away.
    """
    # Loading the policy takes longer than a command that goes back may wait.
    from understudy.resources import playbook_file  # noqa: PLC0415
    from understudy.restoration.cutover.moves import MoveLimits  # noqa: PLC0415
    from understudy.restoration.playbook.policy import load_policy  # noqa: PLC0415
    from understudy.store.guard import open_guard_store  # noqa: PLC0415

    clock = SystemClock()
    playbook, _ = load_policy(settings.playbook_file or playbook_file())
    with open_guard_store(home, settings, clock) as store:
        yield MoveLimits(store, playbook.cutover.limits, clock, chosen().name.value)
