"""The guard's loop: look, judge, decide; the engine runs beside it, so that watching never stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from understudy.clock import Clock
from understudy.errors import (
    ConfigurationError,
    ConflictError,
    LeaseLostError,
    StoreUnavailableError,
    TargetError,
    ValidationError,
)
from understudy.logs import Redactor, get_logger
from understudy.restoration.guard.alarms import Alarms
from understudy.restoration.guard.chart_memory import ChartMemory, ProcessStart
from understudy.restoration.guard.closing import Recovering, closing_rule
from understudy.restoration.guard.closure_watch import Closures
from understudy.restoration.guard.cutover import CutoverGuard
from understudy.restoration.guard.deciding import WOULD_HAVE_FIRED, Deciding
from understudy.restoration.guard.judged_windows import JudgedWindows
from understudy.restoration.guard.watching import Watcher
from understudy.restoration.incidents import (
    IncidentBook,
    IncidentState,
    finding_keys,
)
from understudy.restoration.playbook import judging
from understudy.restoration.playbook.engine import Engine, Prepare
from understudy.restoration.playbook.policy import Playbook, PolicyFile
from understudy.restoration.playbook.reporting import write_report_of
from understudy.restoration.signals.observing import NOT_YET
from understudy.restoration.signals.readings import Signals
from understudy.restoration.targets.base import MODE_VARIABLE, Target, let_go
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.recovery import Recovery
from understudy.store.guard import IncidentRow

_S = IncidentState

log = get_logger(__name__)


class OutsideAlerts(Protocol):
    """Alerts that other systems sent in."""

    def pending_findings(self, now: Any) -> tuple[Finding, ...]:
        """Those that no incident holds yet, as findings that ask a person."""
        ...

    def taken(self, findings: Sequence[Finding]) -> None:
        """These stand in an incident's journal now."""
        ...


@dataclass(slots=True)
class GuardView:
    """What the guard last saw, for its status and metrics; nothing is decided from it.

    Parameters
    ----------
    verdicts
        The worst verdict of each family; checks in shadow do not speak for theirs.
    paged
        Alarms that stand now, by name.
    would_have_fired
        How often each ``family/check`` in shadow would have opened an incident, over restarts.
    disarmed
        Keys of findings that may not open an incident until they have been healthy.
    detectable
        The smallest error rate that today's traffic shows.
    judged
        How the success rate's windows were judged in the last hour.
    starts
        Processes of the product that started in the last day, oldest first.
    closures
        What stood closed when that was last read; None before.
    """

    signals: Signals | None = None
    findings: tuple[Finding, ...] = ()
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    recovery: Recovery | None = None
    env_value: str | None = None
    env_problem: str | None = None
    paged: dict[str, str] = field(default_factory=dict)
    would_have_fired: dict[str, int] = field(default_factory=dict)
    disarmed: tuple[str, ...] = ()
    detectable: dict[str, Any] | None = None
    judged: JudgedWindows = field(default_factory=JudgedWindows)
    starts: Sequence[ProcessStart] = ()
    closures: Closures | None = None
    cycles: int = 0
    cycle_ms: float = 0.0

    @property
    def finding(self) -> Finding | None:
        """The finding of the users' success rate."""
        return next((f for f in self.findings if (f.trigger, f.check) == ("success_rate", "rate")), None)

    def keep_closures(self, found: Closures) -> None:
        """Take what was read of closures, whenever that is."""
        self.closures = found


class Guard:
    """Watches one environment and restores it.

    Parameters
    ----------
    holder
        Who this guard is in the lease: unique for each process.
    prepare
        Builds the tools of one attempt to restore.
    outside
        Alerts of other systems, where they are taken in.
    on_cycle
        Called after each cycle; ``completed`` is False where it broke.
    policy_file
        Where ``playbook`` was read from.
    cutover
        Who watches cutovers, where there can be any.
    """

    def __init__(
        self,
        *,
        book: IncidentBook,
        playbook: Playbook,
        target: Target,
        watcher: Watcher,
        prepare: Prepare,
        clock: Clock,
        holder: str,
        known_good: str,
        reports: Path,
        poll_interval_s: float,
        redactor: Redactor | None = None,
        outside: OutsideAlerts | None = None,
        more_alarms: Callable[[], dict[str, str | None]] = dict,
        on_cycle: Callable[[bool], None] = lambda _: None,
        policy_file: PolicyFile | None = None,
        cutover: CutoverGuard | None = None,
    ) -> None:
        self.view = GuardView()
        self.book = book
        self._charted = ChartMemory(book.store.charted, book.environment, self.view.judged)
        self._charted.recall(clock.now())
        self.playbook = playbook
        self.policy_file = policy_file
        self.holder = holder
        self.known_good = known_good
        self._target = target
        self._watcher = watcher
        self._clock = clock
        self._reports = reports
        self._poll_interval_s = poll_interval_s
        self._redactor = redactor
        self._outside = outside
        self._more_alarms = more_alarms
        self._cutover = cutover
        self._more_said: set[str] = set()
        self._on_cycle = on_cycle
        self._alarms = Alarms(book, clock, self.view.paged)
        self._engine = Engine(
            book,
            playbook,
            clock,
            prepare,
            seen=lambda: self.view.signals,
            policy=policy_file,
            before_end=self._write_report,
        )
        self._deciding = Deciding(
            book, playbook, self._engine, watcher.source, clock, known_good=known_good, alarm=self._alarms.say
        )
        self._restoring: asyncio.Task[IncidentState] | None = None
        self._held_at_s = clock.monotonic_s()
        self._recovering = Recovering(
            book, self._engine, watcher.source, closing_rule(playbook), known_good=known_good
        )

    @property
    def leads(self) -> bool:
        """Whether this guard holds the lease, as far as it knows."""
        return self.book.lease is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Guard until ``stop``; a restoration under way is left to resume, and the lease is given back."""
        keeper = asyncio.create_task(self._keep_lease(), name="guard-lease")
        watching = asyncio.create_task(self._watcher.run(stop), name="guard-observers")
        try:
            while not stop.is_set():
                await self._guarded_cycle()
                with_stop = asyncio.create_task(stop.wait())
                await asyncio.wait({with_stop}, timeout=self._poll_interval_s)
                with_stop.cancel()
        finally:
            for task in (keeper, watching):
                task.cancel()
            await asyncio.gather(keeper, watching, return_exceptions=True)
            await self._stop_restoring()
            if self.book.lease is not None:
                # Where the store is away the lease runs out by itself.
                with suppress(StoreUnavailableError):
                    self.book.store.release(self.book.lease)
                self.book.lease = None

    async def _guarded_cycle(self) -> None:
        """One cycle whose failure, or whose listener's, ends nothing."""
        completed = False
        try:
            await self.cycle()
            completed = True
            self._alarms.say("store", None)
        except StoreUnavailableError as error:
            # Said here alone: whatever else tells people reads this very store.
            self._alarms.say("store", f"it cannot be written, so nothing is decided: {error.message}")
            log.warning("guard_cycle_failed", reason=error.message)
        except Exception:
            log.exception("guard_cycle_failed")
        try:
            self._on_cycle(completed)
        except Exception:
            log.exception("guard_cycle_not_told")

    async def cycle(self) -> None:
        """Look once, and begin whatever is due."""
        began_s = self._clock.monotonic_s()
        await self._let_lapse()
        if not self._lease_stands():
            await self._ensure_lease()
        signals = await self._watcher.signals()
        findings = judging.judge_all(self.playbook, signals, known_good=self.known_good, now=signals.at)
        if self._cutover is not None:
            findings = judging.by_severity((*findings, *self._cutover.findings(signals)))
        judged = findings
        if self._outside is not None:
            findings += self._outside.pending_findings(signals.at)
        self._recovering.passing.saw(findings, signals.at)
        view = self.view
        view.signals, view.findings = signals, findings
        view.verdicts = judging.family_verdicts(findings)
        view.judged.saw(judged, signals.at)
        self._charted.saw(signals.processes, signals.at, leads=self.leads)
        view.starts = self._charted.starts
        view.detectable = dict(judging.minimum_detectable(self.playbook, signals))
        self._watch_epochs(signals)
        await self._watch_environment()
        self._say_alarms()
        if self.leads:
            try:
                if self._cutover is not None:
                    await self._cutover.tend(signals, judged, incident=self.book.current())
                await self._decide(signals, findings)
                self._alarms.announce()
            except LeaseLostError as error:
                await self._step_down(error)
            except ConflictError as error:
                log.info("incident_moved_meanwhile", reason=error.message)
        view.cycles += 1
        view.cycle_ms = round((self._clock.monotonic_s() - began_s) * 1000, 3)

    # --- deciding -------------------------------------------------------------------------------------------

    async def _decide(self, signals: Signals, findings: Sequence[Finding]) -> None:
        await self._collect()
        view = self.view
        incident = await self._deciding.decide(
            signals,
            findings,
            rearmed=lambda finding: judging.rearmed(self.playbook, finding, signals, now=signals.at),
            verdicts={family: verdict.value for family, verdict in view.verdicts.items()},
        )
        view.disarmed = self._deciding.arming.disarmed if incident is None else ()
        counts = self.book.store.counts(WOULD_HAVE_FIRED)
        view.would_have_fired = {name.removeprefix(WOULD_HAVE_FIRED): count for name, count in counts.items()}
        if incident is None:
            view.recovery = None
            return
        if self._outside is not None:
            keys = set(finding_keys(self.book.entries(incident.id)))
            self._outside.taken([finding for finding in findings if finding.key in keys])
        if self._restoring is None:
            await self._advance(incident, signals, findings)

    async def _advance(self, incident: IncidentRow, signals: Signals, findings: Sequence[Finding]) -> None:
        state = IncidentState(incident.state)
        if state in {_S.OPEN, _S.RESTORING} or (
            state in {_S.HOLD, _S.FROZEN, _S.MITIGATED} and self._engine.due(incident.id)
        ):
            name = f"restore-{incident.id}"
            self._restoring = asyncio.create_task(self._engine.tend(incident.id), name=name)
        match state:
            case _S.MITIGATED if self._restoring is None:
                await self._watch_recovery(incident, signals, findings)
            case _S.RECOVERED:
                self._close(incident)
            case _S.HOLD | _S.FROZEN:
                self._recovering.say_healthy_alone(incident, signals, findings)
            case _:
                pass

    async def _watch_recovery(
        self, incident: IncidentRow, signals: Signals, findings: Sequence[Finding]
    ) -> None:
        recovery = self._recovering.watch(incident, signals, findings)
        if recovery is None:
            return
        self.view.recovery = recovery
        if recovery.recovered and signals.blind is None:
            impact = await self._recovering.impact(incident)
            self.book.move(
                incident.id, _S.RECOVERED, body={"recovery": recovery.document(), "impact": impact}
            )
            log.info("incident_recovered", incident=incident.id)
            self._close(self.book.store.incident(incident.id))
        elif recovery.overdue:
            waiting = "; ".join(recovery.waiting_for)
            self._engine.page(
                incident.id, f"Mitigated, but recovery is not proven: {waiting}", about="overdue"
            )

    def _close(self, incident: IncidentRow) -> None:
        """Close with the report written inside the same transaction: a closed incident has its report."""
        try:
            self.book.move(
                incident.id,
                _S.CLOSED,
                body={"reason": "the closing rule is met"},
                before_commit=lambda: self._write_report(incident.id),
            )
        except (ConfigurationError, ValidationError) as error:
            self._engine.page(incident.id, f"The report cannot be written: {error.message}", about="report")
            return
        log.info("incident_closed", incident=incident.id)

    def _write_report(self, incident: str) -> None:
        write_report_of(
            self.book.store, incident, self._reports, now=self._clock.now(), redactor=self._redactor
        )

    async def _collect(self) -> None:
        """Take the result of a restoration that has ended."""
        if self._restoring is None or not self._restoring.done():
            return
        task, self._restoring = self._restoring, None
        try:
            log.debug("restoration_paused", state=await task)
        except LeaseLostError:
            raise
        except ConflictError as error:
            log.info("incident_moved_meanwhile", reason=error.message)
        except Exception:
            log.exception("restoration_broke")

    # --- the lease ------------------------------------------------------------------------------------------

    def hold_lease(self) -> bool:
        """Take or renew the lease; False while another guard holds it."""
        book, lifetime_s = self.book, self.playbook.limits.lease_s
        # Before it is asked for: a store that answers late has let it begin earlier.
        asked_at_s = self._clock.monotonic_s()
        if book.lease is not None:
            try:
                book.lease = book.store.renew(book.lease, lifetime_s=lifetime_s)
                self._held_at_s = asked_at_s
            except LeaseLostError as error:
                log.warning("lease_lost", reason=error.message)
                book.lease = None
        if book.lease is None:
            book.lease = book.store.acquire(book.environment, self.holder, lifetime_s=lifetime_s)
            if book.lease is not None:
                self._held_at_s = asked_at_s
                log.info("lease_taken", holder=self.holder, epoch=book.lease.epoch)
        return book.lease is not None

    def _lease_stands(self) -> bool:
        return self.book.lease is not None and self.book.store.holds(self.book.lease)

    async def _ensure_lease(self) -> None:
        """Take or renew the lease; a run begun under another epoch stops, whoever held it between."""
        before = self.book.lease
        self.hold_lease()
        if before is not None and (self.book.lease is None or self.book.lease.epoch != before.epoch):
            await self._stop_restoring()

    async def _keep_lease(self) -> None:
        while True:
            await self._clock.sleep(self.playbook.limits.lease_s / 3)
            try:
                await self._ensure_lease()
            except StoreUnavailableError as error:
                # The lease runs out by itself; whatever is written meanwhile is refused by its fence.
                log.warning("lease_not_renewed", reason=error.message)
                await self._let_lapse()

    async def _let_lapse(self) -> None:
        """Stop acting on a lease that has run out by this machine's own clock, whatever the store says."""
        held_s = self._clock.monotonic_s() - self._held_at_s
        if self.book.lease is not None and held_s >= self.playbook.limits.lease_s:
            await self._step_down(LeaseLostError(f"it was not renewed for {held_s:.1f} s"))

    async def _step_down(self, error: LeaseLostError) -> None:
        log.warning("lease_lost", reason=error.message)
        self.book.lease = None
        await self._stop_restoring()

    async def _stop_restoring(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.gather(self._restoring, return_exceptions=True)
            self._restoring = None
        await let_go(self._target)

    # --- alarms that change nothing -------------------------------------------------------------------------

    def _say_alarms(self) -> None:
        for family, verdict in self.view.verdicts.items():
            blind = next(
                (
                    finding.detail
                    for finding in self.view.findings
                    if finding.trigger == family
                    and finding.verdict is Verdict.BLIND
                    and finding.detail != NOT_YET  # at a start, and never for long: nobody is called
                ),
                None,
            )
            self._alarms.say(f"blind {family}", blind if verdict is Verdict.BLIND else None)
        more = self._more_alarms()
        for name in self._more_said - more.keys():
            self._alarms.say(name, None)
        for name, message in more.items():
            self._alarms.say(name, message)
        self._more_said = set(more)

    def _watch_epochs(self, signals: Signals) -> None:
        mode = signals.mode
        if mode is None:
            return
        highest = self.book.store.saw_mode_epoch(mode.epoch)
        behind = f"the mode row has epoch {mode.epoch}, but {highest} was seen: it was restored or edited"
        self._alarms.say("mode_epoch", behind if mode.epoch < highest else None)

    async def _watch_environment(self) -> None:
        try:
            self.view.env_value = (await self._target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
            self.view.env_problem = None
        except TargetError as error:
            self.view.env_problem = error.message
        self._alarms.say("drift", self.drift())

    def drift(self) -> str | None:
        """Say how durable environment and live row disagree, or None when they agree or are not known."""
        mode = self.view.signals.mode if self.view.signals else None
        if self.view.env_problem is not None:
            return self.view.env_problem
        if mode is None or self.view.env_value is None or mode.value == self.view.env_value:
            return None
        return f"{MODE_VARIABLE} is {self.view.env_value} durably, but the live row says {mode.value}"
