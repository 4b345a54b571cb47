"""What becomes of findings: nothing, a count (shadow), an incident of their own, or part of the open one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import get_args

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.guard.alerts import SUMMARY_CHECK
from understudy.restoration.incidents import IncidentBook, IncidentState, finding_keys
from understudy.restoration.playbook.agenda import FOR_EACH_FINDING, action_for, instruction_for
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.moves import paged_in
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.signals.source import CallSource
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.recovery import CALL_FAMILIES
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry

#: The first failed call is looked up once more by the second; an incident waits no longer for it.
ONSET_S = 1.0
#: Under this name the store counts what shadow checks would have done; family and check follow.
WOULD_HAVE_FIRED = "would_have_fired:"

#: Subjects (tenants) of one check that an incident, or an alarm, names; a storm is told as one.
SUBJECTS_TOLD = 5

Alarm = Callable[[str, str | None], None]

log = get_logger(__name__)


class Arming:
    """Which findings may open an incident again.

    Whatever stood in the newest incident is disarmed until it has been healthy since; kept in the store, so
    that a guard that restarts neither opens again nor forgets that it may.
    """

    def __init__(self, book: IncidentBook) -> None:
        self._book = book
        self._key = f"rearmed:{book.environment}"
        self._incident, self._rearmed = self._read()

    @property
    def disarmed(self) -> tuple[str, ...]:
        """Keys that may not open an incident now."""
        return tuple(key for key in self._keys() if key not in self._rearmed)

    def saw(
        self, findings: Sequence[Finding], rearmed: Callable[[Finding], bool], *, incident_open: bool
    ) -> None:
        """Take in a cycle's findings; ``rearmed`` says which of them have left their breach for good.

        What fails while its incident is open is disarmed again; afterwards it opens the next one.
        """
        before = set(self._rearmed)
        known = self._keys()
        by_key: dict[str, Finding] = {finding.key: finding for finding in findings}
        worst: dict[str, Verdict] = {}
        for finding in findings:
            check = f"{finding.trigger}/{finding.check}/"
            worst[check] = max(
                worst.get(check, finding.verdict), finding.verdict, key=lambda verdict: verdict.severity
            )
        for key in known:
            found = by_key.get(key)
            check = "/".join(key.split("/")[:2]) + "/"
            if found is None and check == SUMMARY_CHECK:
                healthy = True  # of alerts from outside nothing ever passes: those of the storm have ended
            elif found is None:
                # The subject has gone from the signals; its whole check must pass.
                healthy = worst.get(check) is Verdict.PASS
            elif found.verdict is Verdict.FAIL:
                if incident_open:
                    self._rearmed.discard(key)
                continue
            else:
                healthy = rearmed(found)
            if healthy:
                self._rearmed.add(key)
        self._rearmed &= set(known)
        if self._rearmed != before:
            self._write()

    def _keys(self) -> list[str]:
        newest = self._book.store.incidents(self._book.environment, limit=1)
        if newest and newest[0].id != self._incident:
            self._incident, self._rearmed = newest[0].id, set()
        return finding_keys(self._book.entries(newest[0].id)) if newest else []

    def _read(self) -> tuple[str | None, set[str]]:
        try:
            kept = json.loads(self._book.store.meta(self._key) or "{}")
            return kept.get("incident"), set(kept.get("keys") or ())
        except (ValueError, AttributeError, TypeError):
            log.warning("arming_unreadable")  # everything is disarmed then: no incident opens by mistake
            return None, set()

    def _write(self) -> None:
        kept = {"incident": self._incident, "keys": sorted(self._rearmed)}
        self._book.store.remember(self._key, json.dumps(kept))


class Deciding:
    """Opens incidents and joins findings to the open one."""

    def __init__(
        self,
        book: IncidentBook,
        playbook: Playbook,
        engine: Engine,
        source: CallSource,
        clock: Clock,
        *,
        known_good: str,
        alarm: Alarm,
    ) -> None:
        self.arming = Arming(book)
        self._book = book
        self._playbook = playbook
        self._engine = engine
        self._source = source
        self._clock = clock
        self._known_good = known_good
        self._alarm = alarm
        self._shadow_failing: set[str] = set()

    async def decide(
        self,
        signals: Signals,
        findings: Sequence[Finding],
        *,
        rearmed: Callable[[Finding], bool],
        verdicts: Mapping[str, str],
    ) -> IncidentRow | None:
        """Open or join; return the incident that is open afterwards.

        Raises
        ------
        LeaseLostError
            Another guard took over meanwhile.
        ConflictError
            A person closed the incident meanwhile.
        """
        self._count_shadow(findings)
        incident = self._book.current()
        self.arming.saw(findings, rearmed, incident_open=incident is not None)
        failing = sorted(
            (
                f
                for f in findings
                if f.verdict is Verdict.FAIL and f.mode != "shadow" and not stale(f, signals)
            ),
            key=lambda finding: (not self._acts(finding), self._action(finding) is None),
        )
        if incident is None:
            disarmed = set(self.arming.disarmed)
            self._say_disarmed([finding.key for finding in failing if finding.key in disarmed])
            armed = [finding for finding in failing if finding.key not in disarmed]
            if not armed:
                return None
            incident = await self._open(armed[0], signals, verdicts)
            failing = armed[1:]
        entries = self._book.entries(incident.id)
        for finding in failing:
            if await self._join(incident, finding, entries):
                entries = self._book.entries(incident.id)
        return self._book.store.incident(incident.id)

    def _say_disarmed(self, keys: Sequence[str]) -> None:
        more = [f"and {len(keys) - SUBJECTS_TOLD} more"] if len(keys) > SUBJECTS_TOLD else []
        said = ", ".join([*keys[:SUBJECTS_TOLD], *more])
        self._alarm("disarmed", f"closed by hand and not healthy since: {said}" if keys else None)

    def _action(self, finding: Finding) -> ActionName | None:
        return action_for(finding, known_good=self._known_good, performed=self._engine.performs)

    def _acts(self, finding: Finding) -> bool:
        return finding.mode == "auto" and self._action(finding) is not None

    def _instruction(self, finding: Finding) -> str | None:
        if self._acts(finding):
            return None
        instructions = instructions_of(self._playbook)
        return instruction_for(finding, known_good=self._known_good, instructions=instructions)

    def _count_shadow(self, findings: Sequence[Finding]) -> None:
        """Count each time a shadow check begins to fail: what it would have done."""
        failing = {f.key: f for f in findings if f.mode == "shadow" and f.verdict is Verdict.FAIL}
        for key in failing.keys() - self._shadow_failing:
            finding = failing[key]
            self._book.store.count(f"{WOULD_HAVE_FIRED}{finding.trigger}/{finding.check}")
            log.warning("would_have_fired", finding=key, detail=finding.detail)
        self._shadow_failing = set(failing)
        told = [f"{key} would have opened an incident: {f.detail}" for key, f in failing.items()]
        more = [f"and {len(told) - SUBJECTS_TOLD} more"] if len(told) > SUBJECTS_TOLD else []
        self._alarm("shadow", "; ".join(told[:SUBJECTS_TOLD] + more) or None)

    async def _open(self, finding: Finding, signals: Signals, verdicts: Mapping[str, str]) -> IncidentRow:
        earlier = self._book.store.incidents(self._book.environment, limit=1)
        action = self._action(finding)
        mode = signals.mode
        incident = self._book.open(
            finding,
            onset=await self._onset(finding),
            action=action,
            instruction=self._instruction(finding),
            facts={
                **self._engine.facts(),
                "environment": self._book.environment,
                "owner": self._playbook.owner,
                "known_good": self._known_good,
                "mode_at_start": mode.value if mode else finding.provider,
                "mode_epoch_at_start": mode.epoch if mode else finding.mode_epoch,
                "verdicts": dict(verdicts),
                "blind": signals.blind,
            },
        )
        log.error("incident_opened", incident=incident.id, title=incident.title)
        if earlier:
            age_s = (self._clock.now() - earlier[0].opened_at).total_seconds()
            if age_s <= self._playbook.limits.repeat_page_within_s:
                message = f"Second incident in {age_s:.0f} s (before: {earlier[0].id})."
                self._engine.page(incident.id, message, about="repeat")
        return incident

    async def _join(self, incident: IncidentRow, finding: Finding, entries: Sequence[JournalEntry]) -> bool:
        """Join ``finding`` to the incident, whose journal is ``entries``; whether that was added to."""
        keys = finding_keys(entries)
        if finding.key in keys:
            return False
        if sum(key.startswith(f"{finding.trigger}/{finding.check}/") for key in keys) >= SUBJECTS_TOLD:
            about = f"more {finding.trigger}/{finding.check}"
            if about in paged_in(entries):
                return False
            self._engine.page(
                incident.id,
                f"{finding.check} fails for more than {SUBJECTS_TOLD} subjects; `understudy status` and the "
                f"guard's /findings have them all.",
                about=about,
            )
            return True
        action = self._action(finding)
        known = [entry.body.get("action") for entry in entries]
        self._book.join(
            incident.id,
            finding,
            onset=await self._onset(finding),
            action=action,
            instruction=self._instruction(finding),
        )
        log.warning("finding_joined", incident=incident.id, finding=finding.key)
        running = incident.state in {IncidentState.OPEN, IncidentState.RESTORING}
        if action is None:
            self._engine.ask(incident.id)
        elif action in known and not running and action not in FOR_EACH_FINDING:
            self._engine.page(incident.id, f"Fails as well: {finding.detail}", about=finding.key)
        return True

    async def _onset(self, finding: Finding) -> datetime | None:
        """The first bad event: of calls the very call, otherwise what the finding says."""
        since = finding.first_bad_at
        if since is None or finding.trigger not in CALL_FAMILIES - {"playback"}:
            return since
        if finding.provider is None or finding.mode_epoch is None or finding.check == "refusals":
            return since
        series = Series(finding.provider, finding.mode_epoch, finding.subject or "speak")
        try:
            async with asyncio.timeout(ONSET_S):
                return await self._source.first_failure(series, since - timedelta(seconds=1)) or since
        except (StoreUnavailableError, TimeoutError):
            return since


def stale(finding: Finding, signals: Signals) -> bool:
    """Whether a finding is about an epoch that is over: the old side's late failures open nothing."""
    mode = signals.mode
    return mode is not None and finding.mode_epoch is not None and finding.mode_epoch < mode.epoch


def instructions_of(playbook: Playbook) -> dict[ActionName, str]:
    """Return what the policy tells a person to do, by action."""
    actions: tuple[ActionName, ...] = get_args(ActionName)
    return {action: playbook.cures[action].instruction for action in actions}
