"""Rung 2: the playbook's code rollback. Deploy the known-good revision; migrations and secrets stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.errors import ConfigurationError, ProviderError, TargetError
from understudy.restoration.actions import env_switch
from understudy.restoration.actions.deploying import deployment_of
from understudy.restoration.actions.known_good_code import KnownGoodCode, Readiness, check_ready, code_of
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.restoration.signals.processes import process_document
from understudy.restoration.targets.base import MODE_VARIABLE, DeploymentState
from understudy.store.mode import list_processes

#: Said in plan, evidence and report: going back in code is no way back in data or secrets.
NOT_REVERTED = ("applied database migrations", "remote secrets", "other settings")
_SENTENCE = "Applied database migrations, remote secrets and other settings were not reverted."


class Precheck:
    """There must be a known-good revision, whole, able to serve on the present schema, and a provider for it.

    A release that is damaged or gone is built again here, beside what runs.
    """

    name = "precheck"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name what is asked."""
        return {**_planned(run), "check": run.known_good}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Ask release, repository, schema and provider."""
        code = _code(run)
        serving = await _serving(run)
        # A second attempt may only have to see that the first one's deployment works after all.
        if serving == code.revision and run.attempt == 1:
            raise StepError(
                f"Revision {code.revision[:12]} is the known-good one and already serves: going back in code "
                f"cannot cure this. Nothing was changed.",
                hopeless=True,
                evidence={"serving": serving, "revision": code.revision},
            )
        ready = await check_ready(run, code)
        evidence = _evidence(code, ready) | {"serving": serving}
        if ready.problem is not None:
            raise StepError(ready.problem, hopeless=ready.hopeless, evidence=evidence)
        try:
            answered = await run.check_known_good()
        except (ProviderError, ConfigurationError) as error:
            raise StepError(
                f"The known-good provider {run.known_good} fails its check ({error.code}: {error.message}): "
                f"the known-good code would have nobody to speak for it. Nothing was changed",
                evidence=evidence,
            ) from error
        provider = {"provider": run.known_good, "latency_ms": answered.latency_ms, "detail": answered.detail}
        return {**evidence, "known_good_provider": provider}


#: The mode, where the next start reads it and then where processes follow it: the order tells half of it.
_MODE: tuple[Step, Step] = (env_switch.DurableEnv(), env_switch.LiveOverride())


class DeployRevision:
    """Start every process from the known-good revision, in known-good mode, once for one key."""

    name = "deploy_revision"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which revision replaces what, and in which mode it starts."""
        return {
            **_planned(run),
            "replace": list(run.target.kinds),
            "set": {MODE_VARIABLE: run.known_good},
        }

    async def look(self, run: Restoration, key: str) -> Sighting:
        """Ask the target how far the deployment is."""
        deployment = await deployment_of(run, key)
        if deployment is None:
            durable, live = _MODE
            if (await durable.look(run, key)).progress is Progress.DONE:
                missing = await live.look(run, key)
                if missing.progress is Progress.ABSENT:
                    return Sighting(Progress.HALF, f"{MODE_VARIABLE} is changed, and {missing.detail}")
            return Sighting(Progress.ABSENT, "the deployment has not begun")
        evidence = {
            "deployment": deployment.id,
            "revision": _code(run).revision,
            "steps": [dict(step) for step in deployment.steps],
        }
        if deployment.state is DeploymentState.FAILED:
            said = f"The known-good revision could not be deployed: {deployment.error}"
            raise StepError(said, final=True, evidence=evidence)
        done = deployment.state is DeploymentState.DONE
        return Sighting(Progress.DONE if done else Progress.PENDING, "the deployment still runs", evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """Bring the mode to known-good, which is part of the state gone back to, and begin the deployment."""
        # Both are looked at first: one that does not answer leaves the other as it was.
        missing = [side for side in _MODE if (await side.look(run, key)).progress is Progress.ABSENT]
        for side in missing:
            await side.act(run, key)
        await run.target.deploy_revision(key, _code(run).revision)


class ReadBack:
    """Nothing counts until every live process says that it runs that revision, in the known-good mode."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must agree."""
        return {
            **_planned(run),
            "mode": run.known_good,
            "of": [*run.target.kinds, MODE_VARIABLE, "GET /api/languages"],
        }

    async def look(self, run: Restoration, key: str) -> Sighting:
        """Read all of it; what disagrees is named."""
        code = _code(run)
        mode = await env_switch.ReadBack().look(run, key)
        missing = [mode.detail] if mode.progress is not Progress.DONE else []
        serving = await run.target.revision()
        evidence = {
            **mode.evidence,
            "revision": code.revision,
            "serving": serving,
            "not_reverted": list(NOT_REVERTED),
        }
        if run.target.capabilities.live_switch:
            async with (await run.connect()).service() as conn:
                processes = await list_processes(conn, run.stale_after_s)
            evidence["processes"] = [process_document(process) for process in processes]
            for process in processes:
                # Code from before releases cannot say what it is: then whoever started it is asked, below.
                silent = process.revision is None and not code.tells_revision
                if process.kind in run.target.kinds and process.revision != code.revision and not silent:
                    told = (process.revision or "an unknown revision")[:12]
                    missing.append(f"{process.kind} {process.pid} serves {told}, not {code.revision[:12]}")
        if serving != code.revision:
            told = serving[:12] if serving else "no one revision"
            missing.append(f"the target serves {told}, not {code.revision[:12]}")
        if missing:
            return Sighting(Progress.PENDING, "; ".join(missing), evidence)
        detail = f"Every process serves {code.label} in {run.known_good} mode. {_SENTENCE}"
        return Sighting(Progress.DONE, evidence={"detail": detail, **evidence})

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


#: The rung, in order; the evidence step comes before it.
STEPS: tuple[Step, ...] = (Precheck(), DeployRevision(), ReadBack(), env_switch.Verification())


def _code(run: Restoration) -> KnownGoodCode:
    """The known-good revision of this attempt; raises a hopeless StepError where none is recorded."""
    return code_of(run.known_good_record or run.store.known_good())


def _planned(run: Restoration) -> dict[str, Any]:
    """What a person agrees to; a record that names no revision is said, for the precheck to refuse."""
    try:
        code = _code(run)
    except StepError as error:
        return {"revision": None, "problem": error.message}
    return {**_named(code), "not_reverted": list(NOT_REVERTED)}


def _named(code: KnownGoodCode) -> dict[str, Any]:
    return {
        "known_good_record": code.seq,
        "revision": code.revision,
        "tag": code.tag,
        "release": code.release_name,
        "wheel_sha256": code.wheel_sha256,
    }


async def _serving(run: Restoration) -> str | None:
    try:
        return await run.target.revision()
    except TargetError:  # a deployment that does not answer can still be replaced
        return None


def _evidence(code: KnownGoodCode, ready: Readiness) -> dict[str, Any]:
    return {
        **_named(code),
        **ready.evidence,
        "not_reverted": list(NOT_REVERTED),
        "detail": _SENTENCE.replace("were not", "are not"),
    }
