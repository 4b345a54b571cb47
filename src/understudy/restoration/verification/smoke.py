"""The smoke suite: eight checks of one deployment from outside, side by side where they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from understudy.clock import Clock, SystemClock
from understudy.errors import TargetError, UnderstudyError, ValidationError
from understudy.logs import Redactor
from understudy.restoration.verification.canaries import CanaryIdentities, Leavings, sign_in_both
from understudy.restoration.verification.checks.clone import check_clone
from understudy.restoration.verification.checks.design_preview import check_design_preview
from understudy.restoration.verification.checks.error_shape import check_error_shape
from understudy.restoration.verification.checks.generate import check_generate
from understudy.restoration.verification.checks.health import check_health
from understudy.restoration.verification.checks.isolation import check_isolation
from understudy.restoration.verification.checks.languages import check_languages
from understudy.restoration.verification.checks.task_polling import check_task_polling
from understudy.restoration.verification.client import DeploymentClient, Limits
from understudy.restoration.verification.evidence import CheckEvidence, Outcome, SmokeResult
from understudy.restoration.verification.recordings import SENTENCES
from understudy.restoration.verification.visit import Proof, Scene, Visit

Body = Callable[[Visit], Awaitable[Proof]]
Identified = Callable[[Sequence[UUID]], Awaitable[None]]
Checked = Callable[[CheckEvidence], None]

#: How long a user is given to be told apart from a probe before the probe speaks.
IDENTIFY_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name in the evidence, what it does, and what others must hand it.

    Parameters
    ----------
    needs
        Attributes of the scene that must not be None, each with the check that makes it.
    after
        Attributes that are awaited, whatever they turn out to be.
    makes
        Attributes that this check hands on.
    """

    name: str
    body: Body
    tenants: bool = True
    needs: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


VOICE = ("voice", "clone")
SPEECH = ("speech", "generate")

#: In the order of the playbook's checklist.
CHECKS = (
    Check("health", check_health, tenants=False),
    Check("languages", check_languages, tenants=False),
    Check("generate", check_generate, needs=(VOICE,), makes=("speech", "spoken")),
    Check("task_polling", check_task_polling, needs=(SPEECH,), makes=("polled",)),
    Check("clone", check_clone, makes=("voice",)),
    Check("design_preview", check_design_preview),
    # Last of its chain: where isolation leaks, B's deletions hit rows that the others still look at.
    Check("isolation", check_isolation, needs=(VOICE, SPEECH), after=("spoken", "polled")),
    Check("error_shape", check_error_shape),
)


@dataclass(slots=True)
class _Run:
    """One check under way."""

    check: Check
    visit: Visit
    at: datetime
    started_s: float
    evidence: CheckEvidence | None = None

    def end(self, clock: Clock, outcome: Outcome, detail: str, proof: Proof | None = None) -> None:
        self.evidence = CheckEvidence(
            name=self.check.name,
            outcome=outcome,
            detail=detail,
            requests=tuple(self.visit.requests),
            audio_ms=proof.audio_ms if proof else None,
            duration_ms=int((clock.monotonic_s() - self.started_s) * 1000),
            at=self.at,
            facts=dict(proof.facts) if proof else {},
        )


async def run_smoke(
    base_url: str,
    *,
    identities: CanaryIdentities,
    expect_provider: str | None = None,
    language: str = "English",
    clock: Clock | None = None,
    limits: Limits | None = None,
    auth_url: str | None = None,
    publishable_key: SecretStr | None = None,
    on_identified: Identified | None = None,
    on_checked: Checked = lambda _: None,
) -> SmokeResult:
    """Run every check against the deployment at ``base_url`` and delete afterwards what they made.

    Parameters
    ----------
    expect_provider
        ``modal`` or ``qwen``: who must serve; None takes whoever does.
    language
        In which language the canaries speak (a key of ``SENTENCES``).
    on_identified
        Called with both canaries' user ids before they make anything, so that their calls can be
        kept out of the users' numbers; when it fails, nothing is made.
    on_checked
        Called with each check's evidence as the check ends; for show, the result is what counts.

    Raises
    ------
    ConfigurationError
        ``base_url`` is no address to call.
    ValidationError
        The language is none that the canaries speak.
    """
    if language not in SENTENCES:
        raise ValidationError(f"The canaries speak {', '.join(SENTENCES)}; not {language!r}.")
    clock, limits = clock or SystemClock(), limits or Limits()
    leavings = Leavings()
    client = DeploymentClient(
        base_url, clock=clock, limits=limits, auth_url=auth_url, publishable_key=publishable_key
    )
    scene = Scene(expect_provider, language, limits, clock, leavings)
    started_at = clock.now()
    left: list[str] = []

    async def perform(run: _Run, signing_in: asyncio.Task[str | None]) -> None:
        await _perform(run, scene, signing_in)
        if run.evidence is not None:
            on_checked(_cleaned(run.evidence, _cleaner(identities, scene, publishable_key)))

    async with client:
        runs = [_Run(check, Visit(client, scene), clock.now(), clock.monotonic_s()) for check in CHECKS]
        signing_in = asyncio.create_task(_identify(scene, client, identities, on_identified))
        tasks = [signing_in, *(asyncio.create_task(perform(run, signing_in)) for run in runs)]
        try:
            _, late = await asyncio.wait(tasks, timeout=limits.suite_s)
        finally:
            await _stop(tasks)
            scene.close()
            left = await leavings.remove(client, within_s=limits.cleanup_s)
        for task in set(tasks) - late:
            task.result()  # an error here is a defect of the suite itself, not of the deployment
    for run in runs:
        if run.evidence is None:
            run.end(clock, Outcome.FAILED, f"It did not end within the suite's {limits.suite_s:g} s.")
    clean = _cleaner(identities, scene, publishable_key)
    return SmokeResult(
        base_url=client.base_url,
        expect_provider=expect_provider,
        provider=scene.provider,
        started_at=started_at,
        finished_at=clock.now(),
        checks=tuple(_cleaned(run.evidence, clean) for run in runs if run.evidence),
        left_behind=tuple(clean(item) for item in left),
    )


async def _identify(
    scene: Scene, client: DeploymentClient, identities: CanaryIdentities, on_identified: Identified | None
) -> str | None:
    """Sign the canaries in; return why not, or None."""
    try:
        a, b = await sign_in_both(client, identities)
        if on_identified is not None:
            async with asyncio.timeout(IDENTIFY_S):
                await on_identified([a.user_id, b.user_id])
    except UnderstudyError as error:
        return error.message
    except TimeoutError:
        return "The canaries could not be told apart from users in time."
    scene.a, scene.b = a, b
    return None


async def _perform(run: _Run, scene: Scene, signing_in: asyncio.Task[str | None]) -> None:
    check, clock = run.check, scene.clock
    try:
        obstacle = await _obstacle(check, scene, signing_in)
        run.at, run.started_s = clock.now(), clock.monotonic_s()
        if obstacle is not None:
            run.end(clock, Outcome.BLOCKED, obstacle)
            return
        proof = await check.body(run.visit)
        run.end(clock, Outcome.PASSED, proof.detail, proof)
    except TargetError as error:
        run.end(clock, Outcome.FAILED, error.message)
    finally:
        for name in check.makes:
            future: asyncio.Future[Any] = getattr(scene, name)
            if not future.done():
                future.set_result(None)


async def _obstacle(check: Check, scene: Scene, signing_in: asyncio.Task[str | None]) -> str | None:
    """Wait for what ``check`` stands on; return why it cannot be asked, or None."""
    if check.tenants:
        problem = await asyncio.shield(signing_in)
        if problem is not None:
            return f"Not asked, because the canaries could not sign in: {problem}"
    for name, maker in check.needs:
        if await asyncio.shield(getattr(scene, name)) is None:
            return f"Not asked, because {maker} made nothing to ask about."
    for name in check.after:
        await asyncio.shield(getattr(scene, name))
    return None


async def _stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _cleaner(identities: CanaryIdentities, scene: Scene, key: SecretStr | None) -> Callable[[str], str]:
    """Take out secrets, and what a deployment may put into JSON strings but UTF-8 cannot hold."""
    tokens = [session.token for session in (scene.a, scene.b) if session is not None]
    redactor = Redactor([*identities.secrets(), *tokens, *([key] if key else [])])
    return lambda text: redactor(text.encode("utf-8", "replace").decode())


def _cleaned(evidence: CheckEvidence, clean: Callable[[str], str]) -> CheckEvidence:
    return replace(
        evidence,
        detail=clean(evidence.detail),
        requests=tuple(replace(request, path=clean(request.path)) for request in evidence.requests),
        facts={name: clean(value) for name, value in evidence.facts.items()},
    )
