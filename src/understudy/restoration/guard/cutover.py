"""The guard beside a cutover: it looks at every stage, brings everybody back at once, and finishes the last.

Every write names the epoch it was decided upon, so of two guards, or a guard and a person, one decides. What
is done outside the database is looked at before it is done again: a guard killed anywhere is followed by one
that goes on from what the world says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConflictError, MoveRefusedError, StoreUnavailableError, TargetError
from understudy.logs import get_logger
from understudy.restoration.cutover import memory
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import share_of, subject_of
from understudy.restoration.cutover.progress import both_sides, go_on, left_behind
from understudy.restoration.cutover.stages import (
    SIDED_FAMILIES,
    Judgement,
    judge_stage,
    reason_of,
    side_of_candidate,
    trigger_guardrails,
)
from understudy.restoration.playbook import judging
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.readings import Signals
from understudy.restoration.targets.base import MODE_VARIABLE, DeploymentState, Target
from understudy.restoration.triggers.verdict import Finding
from understudy.rollout import cutover
from understudy.rollout.mode import ENVIRONMENT_ACTOR
from understudy.store import cutover as rows
from understudy.store.cutover import LIVE_STATES, CutoverRow
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.mode import ModeRow

ACTOR = "guard"
#: The sums of both sides are read so often, in seconds; triggers are looked at in every cycle.
JUDGE_EVERY_S = 5.0
#: Who stays out is looked up so often, in seconds.
MEMBERS_EVERY_S = 60.0
#: So long a return by the guard stands among the alarms, in seconds.
TOLD_FOR_S = 3600.0

log = get_logger(__name__)


@dataclass(slots=True)
class _Pace:
    """When something was last done, by the monotonic clock."""

    every_s: float
    last_s: float | None = None
    of: int = 0

    def due(self, now_s: float, epoch: int) -> bool:
        """Whether it is time again, or another epoch came."""
        if self.last_s is not None and self.of == epoch and now_s - self.last_s < self.every_s:
            return False
        self.last_s, self.of = now_s, epoch
        return True


@dataclass(slots=True)
class CutoverView:
    """What was last seen of the cutover, for the status; nothing is decided from it."""

    row: CutoverRow | None = None
    judgement: Judgement | None = None
    problem: str | None = None
    moved: str | None = None
    settling: str | None = None


class CutoverGuard:
    """Watches the cutover of one environment."""

    def __init__(
        self,
        *,
        playbook: Playbook,
        store: GuardStore,
        target: Target,
        connect: Connect,
        clock: Clock,
        known_good: str,
        environment: str,
    ) -> None:
        self.view = CutoverView()
        self.moves = MoveLimits(store, playbook.cutover.limits, clock, environment)
        self._playbook = playbook
        self._policy = playbook.cutover
        self._store = store
        self._target = target
        self._connect = connect
        self._clock = clock
        self._known_good = known_good
        self._environment = environment
        self._judging = _Pace(JUDGE_EVERY_S)
        self._members = _Pace(MEMBERS_EVERY_S)

    def findings(self, signals: Signals) -> tuple[Finding, ...]:
        """Judge the candidate's calls by the very triggers that judge the mode's."""
        side = side_of_candidate(signals)
        if side is None:
            return ()
        judged = judging.judge_all(self._playbook, side, known_good=self._known_good, now=side.at)
        return tuple(finding for finding in judged if finding.trigger in SIDED_FAMILIES)

    def alarms(self) -> dict[str, str | None]:
        """What stands wrong, by name; None where nothing does."""
        return {"cutover": self._said(), "moves": self.view.moved or self._frozen()}

    def _frozen(self) -> str | None:
        """Say why nobody moves away from known-good now, or None."""
        try:
            frozen = self.moves.frozen()
        except StoreUnavailableError:
            return None
        return f"moves away from known-good are FROZEN: {frozen.why}" if frozen else None

    async def tend(
        self, signals: Signals, findings: Sequence[Finding], *, incident: IncidentRow | None = None
    ) -> None:
        """Do what is due; only the guard that leads may call it. Never raises for what it meets outside.

        Parameters
        ----------
        incident
            One that is open: no stage goes on meanwhile.
        """
        view, row, mode = self.view, signals.cutover, signals.mode
        view.row = row
        try:
            if mode is not None:
                self._count_moves(mode)
            if row is None or mode is None:
                view.judgement = view.settling = None
            elif row.state in LIVE_STATES:
                await self._watch(row, mode, signals, findings, incident)
            elif row.state == "finishing":
                await self._finish(row, mode, signals, findings, incident)
            else:
                view.judgement = None
                await self._put_back(row, mode, incident)
            view.problem = None
        except ConflictError as error:
            log.info("cutover_changed_meanwhile", reason=error.message)
        except (StoreUnavailableError, TargetError) as error:
            view.problem = f"the cutover cannot be tended: {error.message}"
            log.warning("cutover_not_tended", reason=error.message)

    # --- stages below everybody -----------------------------------------------------------------------------

    async def _watch(
        self,
        row: CutoverRow,
        mode: ModeRow,
        signals: Signals,
        findings: Sequence[Finding],
        incident: IncidentRow | None,
    ) -> None:
        if not row.in_force(mode.epoch):
            # Older code wrote the mode and knew no cutover.
            await self._return(row, "the mode was written by code that knows no cutovers", {})
            return
        blind = signals.blind or signals.calls.blind
        if row.watch_left_s <= 0:
            await self._return(
                row, f"nobody saw what it did for {self._policy.watched_s - row.watch_left_s:.0f} s", {}
            )
            return
        if await self._returned(row, findings):
            return
        if blind is None and row.watch_left_s < self._policy.watched_s * 2 / 3:
            async with (await self._connect()).service() as conn:
                await rows.watch_cutover(conn, watched_s=self._policy.watched_s)
        now_s = self._clock.monotonic_s()
        if self._members.due(now_s, row.epoch):
            await self._renew_members(row)
        if not self._judging.due(now_s, row.epoch):
            return
        judgement = await self._judge(row, mode, findings, blind, incident)
        if judgement.failing:
            await self._return(row, judgement.reason, judgement.document())
        elif judgement.ready and not judgement.left_behind and self._policy.advance == "auto":
            await self._advance(row, judgement)

    async def _judge(
        self,
        row: CutoverRow,
        mode: ModeRow,
        findings: Sequence[Finding],
        blind: str | None,
        incident: IncidentRow | None,
    ) -> Judgement:
        operation = self._playbook.triggers.success_rate.rate.operation
        async with (await self._connect()).service() as conn:
            candidate, control = await both_sides(conn, row, mode, operation)
            stayers = await left_behind(conn, row)
        judgement = judge_stage(
            self._policy,
            row,
            candidate=candidate,
            control=control,
            findings=findings,
            known_good=self._known_good,
            blind=blind,
            incident=incident.id if incident else None,
            left_behind=len(stayers),
        )
        self.view.judgement = judgement
        document = {**judgement.document(), "at": self._clock.now().isoformat(), "epoch": row.epoch}
        memory.remember_judgement(self._store, self._environment, document)
        return judgement

    async def _advance(self, row: CutoverRow, judgement: Judgement) -> None:
        if self.moves.frozen() or self.moves.next_at():
            return  # its turn comes; a guard never freezes what it waits for itself
        try:
            self.moves.take(f"stage {row.stage + 2} of cutover {row.seq}", ACTOR)
        except MoveRefusedError as error:
            log.info("cutover_waits", reason=error.message)
            return
        await go_on(
            await self._connect(),
            row,
            actor=ACTOR,
            reason="its sample is clean",
            watched_s=self._policy.watched_s,
            evidence=judgement.document(),
        )

    async def _renew_members(self, row: CutoverRow) -> None:
        share = share_of(row.plan, row.percent)
        async with (await self._connect()).service() as conn:
            await rows.renew_stays(
                conn, share.destination, percent=share.percent, days=share.used_within_days
            )

    # --- everybody ------------------------------------------------------------------------------------------

    async def _finish(
        self,
        row: CutoverRow,
        mode: ModeRow,
        signals: Signals,
        findings: Sequence[Finding],
        incident: IncidentRow | None,
    ) -> None:
        """Make it durable, start the stabilization clock, and hold the last stage."""
        if mode.value != row.candidate or mode.epoch != row.stage_epoch:
            return  # the mode moved on; whoever wrote it has ended this
        if await self._returned(row, findings):
            return
        memory.start_stabilization(
            self._store,
            self._environment,
            memory.StabilizationClock(
                candidate=row.candidate,
                at=row.stage_started_at.isoformat(),
                mode_epoch=mode.epoch,
                cutover=row.seq,
                owner=row.owner,
                plan_sha256=row.plan_sha256,
            ),
        )
        if not await self._settle(row.candidate, f"cutover-{row.seq}-{row.stage_epoch}"):
            return
        if not self._judging.due(self._clock.monotonic_s(), row.epoch):
            return
        blind = signals.blind or signals.calls.blind
        judgement = await self._judge(row, mode, findings, blind, incident)
        if judgement.failing:
            await self._return(row, judgement.reason, judgement.document())
        elif judgement.ready:
            done = memory.CompletedCutover(
                row.seq, row.candidate, subject_of(row.plan), self._clock.now().isoformat()
            )
            memory.remember_completed(self._store, self._environment, done)
            await cutover.complete(
                await self._connect(), row, actor=ACTOR, reason="the last stage held; its sample is clean"
            )

    async def _put_back(self, row: CutoverRow, mode: ModeRow, incident: IncidentRow | None) -> None:
        """After a return from everybody the environment still names the candidate: make that durable too."""
        self.view.settling = None
        left = row.state == "returned" and row.epoch == mode.epoch and mode.value == self._known_good
        if left and row.stage + 1 == len(row.plan["stages"]) and incident is None:
            await self._settle(self._known_good, f"cutover-{row.seq}-{row.epoch}-back")

    async def _settle(self, value: str, key: str) -> bool:
        """Write the durable environment and redeploy under ``key``, each once; whether both are done."""
        view = self.view
        if (await self._target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE) != value:
            view.settling = f"{MODE_VARIABLE} is being set to {value}"
            await self._target.write_env({MODE_VARIABLE: value})
        deployment = await self._target.deployment(key)
        if deployment is None:
            view.settling = f"the redeploy {key} begins"
            await self._target.redeploy(key)
            return False
        if deployment.state is DeploymentState.FAILED:
            raise TargetError(f"the redeploy {key} failed: {deployment.error}. Redeploy by hand.")
        if deployment.state is not DeploymentState.DONE:
            view.settling = f"the redeploy {key} runs"
            return False
        view.settling = None
        return True

    # --- back -----------------------------------------------------------------------------------------------

    async def _returned(self, row: CutoverRow, findings: Sequence[Finding]) -> bool:
        failing = trigger_guardrails(row, findings)
        if not failing:
            return False
        await self._return(row, reason_of(failing), {"failing": [rail.name for rail in failing]})
        return True

    async def _return(self, row: CutoverRow, reason: str, evidence: dict[str, Any]) -> None:
        await cutover.return_everyone(
            await self._connect(),
            known_good=self._known_good,
            actor=ACTOR,
            reason=reason,
            minimum_epoch=self._store.highest_mode_epoch(),
            evidence=evidence,
        )
        log.error("cutover_returned", cutover=row.seq, percent=row.percent, reason=reason)

    # --- what is said ---------------------------------------------------------------------------------------

    def _count_moves(self, mode: ModeRow) -> None:
        """Count, and page, what no command counted before it moved: it stands, as a person's word does."""
        counted = mode.actor == ACTOR or mode.actor.startswith("person:")
        if counted or mode.value == self._known_good:
            self.moves.looked_at(mode.epoch)
            self.view.moved = None
            return
        what = f"{mode.actor} set the mode to {mode.value}"
        if mode.actor == ENVIRONMENT_ACTOR:
            what = f"{MODE_VARIABLE} was set to {mode.value} by hand"
        said = self.moves.count(what, mode.actor, epoch=mode.epoch)
        if said is not None:
            self.view.moved = said

    def _said(self) -> str | None:
        view, row = self.view, self.view.row
        if view.problem is not None:
            return view.problem
        if row is None:
            return None
        age_s = (self._clock.now() - row.changed_at).total_seconds()
        if row.state == "returned" and row.actor == ACTOR and age_s < TOLD_FOR_S:
            return f"cutover {row.seq} was returned: everybody is on {self._known_good} again; {row.reason}"
        judgement = view.judgement
        if judgement is not None and judgement.ready and row.state == "running":
            return (
                f"stage {row.stage + 1} of cutover {row.seq} ({row.percent} %) holds and its sample is "
                f"clean; the next one{self._when()}: understudy cutover next"
            )
        return None

    def _when(self) -> str:
        """Say from when the limits of moves allow the next stage; nothing where they do now."""
        try:
            if self.moves.frozen():
                return ", once a person has thawed moves"
            at = self.moves.next_at()
        except StoreUnavailableError:
            return ""
        return f", from {at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
