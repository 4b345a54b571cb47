"""What every step of a rung can do: look whether it is done, and act.

The engine always looks before it acts: after a crash nobody knows whether the act happened, but the
world does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.providers.base import CheckResult
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.readings import ProbeResult, Signals
from understudy.restoration.targets.base import Target
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.titles import title_of_document
from understudy.settings import Settings
from understudy.store.guard import GuardStore, KnownGood


class StepError(UnderstudyError):
    """A step of the restoration did not succeed.

    Parameters
    ----------
    final
        Trying again inside this attempt cannot help.
    hopeless
        No later attempt can help either: a person must decide.
    evidence
        What was seen; kept in the journal.
    """

    code = "step"

    def __init__(
        self,
        message: str,
        *,
        final: bool = False,
        hopeless: bool = False,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.final = final or hopeless
        self.hopeless = hopeless
        self.evidence = dict(evidence or {})


class Progress(Enum):
    """How far the world is, whoever moved it there."""

    ABSENT = auto()
    """Nothing has happened: act."""
    HALF = auto()
    """Part of it has happened, and it may not stay so: act, though an order lets nothing new begin."""
    PENDING = auto()
    """It is under way: wait."""
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look at the world found; ``detail`` says what is still missing while it is not done."""

    progress: Progress
    detail: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the checks from outside said: all green or not, in one sentence, with their evidence."""

    ok: bool
    detail: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Restoration:
    """Everything the steps of one run work with.

    Parameters
    ----------
    title
        The incident's.
    finding
        The document of the finding that brought the action.
    known_good
        The provider to step back to.
    connect
        Gives the product database, or raises that it cannot be reached.
    check_known_good
        One cheap authenticated call to it, with the settings in force now.
    verify
        The smoke suite and the checklist from outside, expecting the known-good provider, or the one that a
        second argument names.
    stale_after_s
        A process silent for longer is not live.
    findings
        The documents of every finding of the incident so far.
    seen
        The guard's newest look at everything; None before the first.
    home
        Folder of the installation; None where the engine runs without one.
    settings
        Gives the settings in force now.
    known_good_record
        The newest record when the attempt began.
    parameters
        What a person asked for by name, such as the backup of a database restore.
    plan_sha256, approved_by
        The plan that is carried out, and the persons who agreed to it.
    requested_by
        ``guard``, or the person who asked for it.
    warm
        Speaks one short phrase at the known-good provider and says what came of it; None where the engine
        runs without a way to.
    awaited
        The deployments of earlier attempts that this one found running, by its own key.
    """

    incident: str
    attempt: int
    title: str
    finding: Mapping[str, Any]
    known_good: str
    target: Target
    connect: Connect
    store: GuardStore
    clock: Clock
    check_known_good: Callable[[], Awaitable[CheckResult]]
    verify: Callable[..., Awaitable[Verified]]
    stale_after_s: float
    findings: tuple[Mapping[str, Any], ...] = ()
    seen: Callable[[], Signals | None] = lambda: None
    home: Path | None = None
    settings: Callable[[], Settings] | None = None
    known_good_record: KnownGood | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    plan_sha256: str | None = None
    approved_by: tuple[str, ...] = ()
    requested_by: str = "guard"
    warm: Callable[[], Awaitable[ProbeResult]] | None = None
    awaited: dict[str, str] = field(default_factory=dict)

    def findings_for(self, action: ActionName) -> tuple[Mapping[str, Any], ...]:
        """Return the findings that ``action`` cures, the one that brought it first."""
        rest = [doc for doc in self.findings if doc != self.finding and action in (doc.get("cures") or ())]
        return (self.finding, *rest)

    @property
    def reason(self) -> str:
        """Why it acts, in plain words: the finding behind the action, which need not have opened it all."""
        return title_of_document(self.finding) if self.finding.get("check") else self.title


class Step(Protocol):
    """One step; its ``name`` is its place in the journal and the field of its time box in the playbook."""

    @property
    def name(self) -> str:
        """Name in journal and playbook."""
        ...

    @property
    def changes(self) -> bool:
        """Whether acting changes the deployment; otherwise it may be done again at will."""
        ...

    @property
    def required(self) -> bool:
        """Whether the run holds when this step fails; otherwise it goes on and says so."""
        ...

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """What will be done, without doing anything; kept with the intent."""
        ...

    async def look(self, run: Restoration, key: str) -> Sighting:
        """See whether it is done."""
        ...

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any] | None:
        """Do it under the idempotency key ``key``; evidence when that ends the step, None to look again."""
        ...
