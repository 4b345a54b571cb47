"""One deployment of a step at a time, although an attempt may end before its deployment does."""

from __future__ import annotations

from understudy.restoration.actions.step import Restoration
from understudy.restoration.targets.base import Deployment, DeploymentState


async def deployment_of(run: Restoration, key: str) -> Deployment | None:
    """Return the deployment under ``key``, or that of an earlier attempt at the step which still ran.

    A deployment may take longer than the step's time box. The next attempt waits for it, and takes its end
    for its own; a second one beside it would be two programs at work on the same processes. None where this
    attempt is to begin one: none ran, or what ran has failed.
    """
    own = await run.target.deployment(key)
    if own is not None:
        return own
    if key in run.awaited:
        found = await run.target.deployment(run.awaited[key])
        return None if found is None or found.state is DeploymentState.FAILED else found
    for earlier in _earlier_keys(run, key):
        found = await run.target.deployment(earlier)
        if found is not None and found.state is DeploymentState.RUNNING:
            run.awaited[key] = earlier
            return found
    return None


def _earlier_keys(run: Restoration, key: str) -> list[str]:
    """Return the keys of the same step in the attempts before, the newest first; the first has no number."""
    stem = key.removesuffix(f":{run.attempt}")
    return [stem if number == 1 else f"{stem}:{number}" for number in range(run.attempt - 1, 0, -1)]
