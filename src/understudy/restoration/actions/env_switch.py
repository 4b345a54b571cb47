"""Rung 1: the playbook's fast rollback. Set the provider mode, redeploy, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from understudy.errors import ConfigurationError, ProviderError, TargetError
from understudy.restoration.actions.deploying import deployment_of
from understudy.restoration.actions.standby import readiness, warm
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.restoration.signals.processes import mode_document, process_document
from understudy.restoration.targets.base import MODE_VARIABLE, DeploymentState
from understudy.rollout.mode import ModeState, set_mode
from understudy.store.cutover import read_cutover
from understudy.store.mode import CutoverEnd, ModeRow, ProcessRow, list_processes, read_mode

ACTOR = "guard"
_LANGUAGES_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Precheck:
    """The known-good side must answer, and speak, before anything moves to it.

    If both look bad nothing is flipped. Which voices can be spoken there, and how much work moves, is kept.
    """

    name = "precheck"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the side that is asked."""
        return {"check": run.known_good, "warm": run.known_good, "tell": ["voice_coverage", "queued_work"]}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Ask the known-good provider, and have it speak."""
        failing = run.finding["provider"]
        if failing == run.known_good:
            raise StepError(
                f"{failing} is the known-good provider itself: an env switch cannot cure this. "
                f"Nothing was changed; a person must decide.",
                hopeless=True,
                evidence={"cure": "none"},
            )
        try:
            result = await run.check_known_good()
        except (ProviderError, ConfigurationError) as error:
            reason = f"{error.code}: {error.message}"
            raise StepError(
                f"The known-good provider {run.known_good} fails its check too ({reason})"
            ) from error
        return {
            "provider": run.known_good,
            "latency_ms": result.latency_ms,
            "detail": result.detail,
            "warm": await warm(run),
            **await readiness(run, failing),
        }


class LiveOverride:
    """Set the mode row, in force on every process within a second. Without the database the run goes on."""

    name = "live_override"
    changes = True
    required = False

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which value will be set, above which epoch."""
        return {"set": run.known_good, "minimum_epoch": run.store.highest_mode_epoch()}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the row is its own key
        """Read the row: known-good, and not an old row that a restore brought back."""
        if not run.target.capabilities.live_switch:
            return Sighting(
                Progress.DONE, evidence={"skipped": f"target {run.target.name} has no live switch"}
            )
        async with (await run.connect()).service() as conn:
            row = await read_mode(conn)
            cutover = await read_cutover(conn)
        if row is None or row.value != run.known_good or row.epoch < run.store.highest_mode_epoch():
            return Sighting(Progress.ABSENT, f"the mode row reads {row.value if row else 'nothing'}")
        if cutover is not None and cutover.in_force(row.epoch):
            said = f"cutover {cutover.seq} gives {cutover.percent} % of tenants {cutover.candidate}"
            return Sighting(Progress.ABSENT, said)
        run.store.saw_mode_epoch(row.epoch)
        ended = {"seq": cutover.seq, "state": cutover.state} if cutover is not None else None
        return Sighting(Progress.DONE, evidence={**mode_document(row), "cutover": ended})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Write the row under a new epoch; a cutover that is on ends with it, whatever its stage."""
        await set_mode(
            await run.connect(),
            run.known_good,
            actor=ACTOR,
            reason=run.reason,
            incident=run.incident,
            minimum_epoch=run.store.highest_mode_epoch(),
            cutover_end=CutoverEnd("returned"),
        )


class DurableEnv:
    """Set ``TTS_PROVIDER_MODE`` where the next start reads it."""

    name = "durable_env"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which variable gets which value."""
        return {"set": {MODE_VARIABLE: run.known_good}}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the file is its own key
        """Read the variable."""
        value = (await run.target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
        if value != run.known_good:
            return Sighting(Progress.ABSENT, f"{MODE_VARIABLE} reads {value or 'nothing'}")
        return Sighting(Progress.DONE, evidence={MODE_VARIABLE: value})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Write the variable."""
        await run.target.write_env({MODE_VARIABLE: run.known_good})


class Redeploy:
    """Start every process anew from the durable environment, once for one key."""

    name = "redeploy"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which kinds of process are replaced."""
        return {"replace": list(run.target.kinds)}

    async def look(self, run: Restoration, key: str) -> Sighting:
        """Ask the target how far the deployment is."""
        deployment = await deployment_of(run, key)
        if deployment is None:
            return Sighting(Progress.ABSENT, "the deployment has not begun")
        evidence = {"deployment": deployment.id, "steps": [dict(step) for step in deployment.steps]}
        if deployment.state is DeploymentState.FAILED:
            raise StepError(f"The redeploy failed: {deployment.error}", final=True, evidence=evidence)
        done = deployment.state is DeploymentState.DONE
        return Sighting(Progress.DONE if done else Progress.PENDING, "the redeploy still runs", evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """Begin it."""
        await run.target.redeploy(key)


class ReadBack:
    """Nothing counts until every live process says so itself, and the file, the row and the API agree."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must agree."""
        return {"expect": run.known_good, "of": [*run.target.kinds, MODE_VARIABLE, "GET /api/languages"]}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Read all of it; what disagrees is named."""
        missing: list[str] = []
        evidence: dict[str, Any] = {}
        value = (await run.target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
        evidence["env"] = {MODE_VARIABLE: value}
        if value != run.known_good:
            missing.append(f"{MODE_VARIABLE} reads {value or 'nothing'}")
        if run.target.capabilities.live_switch:
            async with (await run.connect()).service() as conn:
                row = await read_mode(conn)
                processes = await list_processes(conn, run.stale_after_s)
            evidence["mode"] = mode_document(row) if row else None
            evidence["processes"] = [process_document(process) for process in processes]
            missing += _disagreeing(run, row, processes)
        provider = await active_provider(await run.target.base_url())
        evidence["languages_provider"] = provider
        if provider != run.known_good:
            missing.append(f"GET /api/languages names {provider or 'no provider'}")
        if missing:
            return Sighting(Progress.PENDING, "; ".join(missing), evidence)
        return Sighting(Progress.DONE, evidence=evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


def _disagreeing(run: Restoration, row: ModeRow | None, processes: list[ProcessRow]) -> list[str]:
    if row is None or row.value != run.known_good or row.epoch < run.store.highest_mode_epoch():
        return [f"the mode row reads {f'{row.value} at epoch {row.epoch}' if row else 'nothing'}"]
    missing = []
    for kind in run.target.kinds:
        live = [process for process in processes if process.kind == kind]
        if not live:
            missing.append(f"no live {kind} reports")
        for process in live:
            agrees = process.mode_value == run.known_good and (process.mode_epoch or 0) >= row.epoch
            if not agrees or process.mode_state != ModeState.FRESH:
                missing.append(
                    f"{kind} {process.pid} reports {process.mode_value} at epoch {process.mode_epoch}, "
                    f"{process.mode_state}"
                )
    return missing


class Verification:
    """The smoke suite and the eight-point checklist, from outside."""

    name = "verification"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what is expected."""
        return {"smoke": "eight checks", "expect": run.known_good}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Run every check; one that is not green fails the step."""
        verified = await run.verify(await run.target.base_url())
        if not verified.ok:
            raise StepError(verified.detail, evidence=verified.evidence)
        return verified.evidence


#: The rung, in order; the evidence step comes before it.
STEPS: tuple[Step, ...] = (Precheck(), LiveOverride(), DurableEnv(), Redeploy(), ReadBack(), Verification())
#: Between these two the live row and the environment disagree: an order to stop does not part them.
TOGETHER: tuple[tuple[str, ...], ...] = (("live_override", "durable_env"),)


async def active_provider(base_url: str) -> str | None:
    """Return the provider that ``GET /api/languages`` names, or None when it names none.

    Raises
    ------
    TargetError
        The API does not answer, or not with JSON.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=_LANGUAGES_TIMEOUT) as session,
            session.get(f"{base_url}/api/languages", allow_redirects=False) as response,
        ):
            answer = json.loads(await response.read()) if response.status == 200 else {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise TargetError(f"GET /api/languages does not answer ({type(error).__name__}).") from error
    provider = answer.get("provider") if isinstance(answer, dict) else None
    return provider if isinstance(provider, str) else None
