"""A restoration that a person asks for: planned, probed, or carried out by the guard or right here."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from understudy.clock import Clock
from understudy.environments import Environment
from understudy.errors import ConfigurationError, ConflictError, LeaseLostError, UnderstudyError
from understudy.logs import Redactor, get_logger
from understudy.resources import playbook_file
from understudy.restoration.actions.step import Progress, Restoration, Step, StepError
from understudy.restoration.approvals import plans_of
from understudy.restoration.guard.connecting import Connector, product_url
from understudy.restoration.guard.preparing import preparation
from understudy.restoration.incidents import IncidentBook, IncidentState, joined_findings
from understudy.restoration.orders import REQUEST, request_action, request_finding
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.agenda import Agenda, agenda_of
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.ladder import Rung
from understudy.restoration.playbook.planning import plan_of
from understudy.restoration.playbook.policy import Playbook, PolicyFile, load_policy
from understudy.restoration.playbook.reporting import write_report_of
from understudy.restoration.targets.base import MODE_VARIABLE, Target, let_go
from understudy.restoration.targets.by_hand import OperatedByHand
from understudy.restoration.targets.choosing import target_of
from understudy.restoration.triggers.cures import ActionName
from understudy.settings import Settings
from understudy.store.guard import TERMINAL_STATES, GuardStore, IncidentRow
from understudy.store.journal import JournalEntry

#: How often the journal is read for what a guard did.
LOOK_EVERY_S = 0.5
#: Steps that a probe takes and does not only look at: they change nothing.
PROBED = frozenset({"precheck"})

#: How a restoration by hand stands: done, failed, or waiting for persons; None while it runs.
Standing = Literal["done", "failed", "waits"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a read-only look at one step found.

    Parameters
    ----------
    state
        ``done``, ``to do``, ``pending`` or ``failed``.
    """

    step: str
    state: str
    detail: str
    evidence: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "step": self.step,
            "state": self.state,
            "detail": self.detail,
            "evidence": dict(self.evidence),
        }


class ByHand:
    """What a person can do with one environment's ladder.

    Parameters
    ----------
    person
        Who asks; the journal names them.
    """

    def __init__(
        self,
        *,
        store: GuardStore,
        target: Target,
        playbook: Playbook,
        policy: PolicyFile | None,
        prepare: Callable[[IncidentRow, int, Mapping[str, Any]], Restoration],
        clock: Clock,
        environment: str,
        known_good: str,
        person: str,
        before_end: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._target = target
        self._playbook = playbook
        self._prepare = prepare
        self._clock = clock
        self._environment = environment
        self._known_good = known_good
        self._person = person
        self._book = IncidentBook(store, environment, clock)
        self._engine = Engine(self._book, playbook, clock, prepare, policy=policy, before_end=before_end)

    # --- what would be done ---------------------------------------------------------------------------------

    def plan(
        self, action: ActionName, *, incident: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what ``action`` would do, without asking anybody or anything.

        Raises
        ------
        ConfigurationError
            The ladder does not perform it.
        NotFoundError
            There is no such incident.
        UnderstudyError
            A step cannot say what it would do.
        """
        rung, steps = self._rung(action), repertoire.ACTIONS[action]
        run = self._run(action, incident, parameters)
        plan = plan_of(run, steps, rung)
        by_hand: tuple[str, ...] = ()
        if isinstance(self._target, OperatedByHand):
            record = self._store.known_good()
            git = (record.document.get("git") or {}) if record else {}
            revision = git.get("tag") or git.get("revision")
            by_hand = self._target.commands_for(action, known_good=self._known_good, revision=revision)
        return {
            "environment": self._environment,
            "target": self._target.name,
            "action": action,
            "rung": rung.rung,
            "title": rung.title,
            "rollback_type": rung.rollback_type,
            "approvals": rung.approvals,
            "time_box_s": rung.time_box_s,
            "steps": list(plan.steps),
            "plan_sha256": plan.sha256 if incident else None,
            "by_hand": list(by_hand),
        }

    async def probe(
        self, action: ActionName, *, incident: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> list[Probed]:
        """Look at every step of ``action``, and take those that only check; nothing is changed.

        Raises
        ------
        ConfigurationError
            The ladder does not perform it.
        """
        rung = self._rung(action)
        run = self._run(action, incident, parameters)
        boxes: dict[str, float] = rung.steps.model_dump()
        return [
            await _probe(run, step, boxes[step.name])
            for step in repertoire.ACTIONS[action]
            if step.name != "evidence"
        ]

    def _rung(self, action: ActionName) -> Rung:
        rung = self._playbook.rung_of(action)
        if rung is None or not self._engine.performs(action):
            raise ConfigurationError(
                f"The ladder has no rung for {action}: {self._playbook.cures[action].instruction}"
            )
        return rung

    def _run(
        self, action: ActionName, incident: str | None, parameters: Mapping[str, Any] | None
    ) -> Restoration:
        """Return the tools of an attempt that is not begun."""
        now = self._clock.now()
        if incident is None:
            finding = request_finding(action, reason="a dry run", now=now).document()
            row = IncidentRow("dry-run", self._environment, IncidentState.OPEN, "A dry run", now, now)
            return replace(self._prepare(row, 1, finding), parameters=dict(parameters or {}))
        row, entries = self._own(incident), self._store.entries(incident)
        agenda = agenda_of(entries, repertoire.complete)
        standing = next((s for s in agenda.actions if s.action == action), None)
        finding = dict(standing.finding) if standing else entries[0].body["finding"]
        attempt = standing.attempts + 1 if standing else 1
        chosen = parameters or (standing.parameters if standing else None) or {}
        return replace(
            self._prepare(row, attempt, finding),
            findings=tuple(joined_findings(entries)),
            parameters=dict(chosen),
        )

    def _own(self, incident: str) -> IncidentRow:
        """Return an incident of this environment: what one of another needs is not done to this one."""
        row = self._store.incident(incident)
        if row.environment != self._environment:
            raise ConflictError(
                f"{row.id} is an incident of {row.environment}, not of {self._environment}: "
                f"--env {row.environment}"
            )
        return row

    # --- doing it -------------------------------------------------------------------------------------------

    async def request(
        self,
        action: ActionName,
        *,
        reason: str,
        incident: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> IncidentRow:
        """Ask for ``action`` in the open incident, or in one of its own.

        Raises
        ------
        ConfigurationError
            The ladder does not perform it.
        ConflictError
            There is no reason, or the incident is over.
        """
        self._rung(action)
        mode = await self._mode()
        parameters = await self._aged(parameters or {})
        return request_action(
            self._store,
            self._environment,
            action,
            person=self._person,
            reason=reason,
            now=self._clock.now(),
            incident=incident,
            parameters=parameters,
            facts=lambda: {
                **self._engine.facts(),
                "environment": self._environment,
                "owner": self._playbook.owner,
                "known_good": self._known_good,
                "mode_at_start": mode,
                "verdicts": {},
            },
        )

    def under_way(
        self, action: ActionName, *, incident: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str | None:
        """Return the incident in which a person asked for just this and which is still at it, or None.

        One whose request failed is not: to ask again is to try again.
        """
        row = self._own(incident) if incident else self._store.open_incident_of(self._environment)
        if row is None or row.state in TERMINAL_STATES:
            return None
        agenda = agenda_of(self._store.entries(row.id), repertoire.complete)
        requests = [chain for chain in agenda.chains if chain.finding.get("trigger") == REQUEST]
        if not requests or requests[-1].resolved or requests[-1].finding.get("check") != action:
            return None
        if requests[-1].parameters.get("backup") != (parameters or {}).get("backup"):
            return None
        return row.id if self.standing(row.id) in {None, "waits"} else None

    async def _aged(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return them with the age of the backup that is named, so that whoever approves sees it."""
        database = self._target.database
        if "backup" not in parameters or database is None:
            return parameters
        try:
            known = {one.id: one.created_at for one in await database.backups()}
        except UnderstudyError:
            return parameters  # the precheck says what is wrong
        at = known.get(parameters["backup"])
        if at is None:
            return parameters
        hours = (self._clock.now() - at).total_seconds() / 3600
        return {**parameters, "backup_age": f"{hours:.1f} h when asked for, from {at.isoformat()}"}

    async def _mode(self) -> str | None:
        """Return the durable mode, as far as the target can tell."""
        try:
            return (await self._target.read_env([MODE_VARIABLE])).get(MODE_VARIABLE)
        except UnderstudyError:
            return None

    async def carry_out(
        self, incident: str, *, told: Callable[[JournalEntry], None] = lambda _: None
    ) -> Standing:
        """Let the guard carry an incident out, or do it here while no guard holds the environment.

        Returns once it is done, has failed, or waits for persons.

        Parameters
        ----------
        told
            Called with each entry of the incident's journal that is new.

        Raises
        ------
        ConflictError
            It is an incident of another environment.
        """
        self._own(incident)
        seq = self._store.head()
        holder = f"{socket.gethostname()}:{os.getpid()}:restore-{secrets.token_hex(4)}"
        while True:
            self._book.lease = self._store.acquire(
                self._environment, holder, lifetime_s=self._playbook.limits.lease_s
            )
            if self._book.lease is not None:
                await self._tend(incident, seq, told)
            seq = self._tell(incident, seq, told)
            found = self.standing(incident)
            if found is not None:
                return found
            await self._clock.sleep(LOOK_EVERY_S)

    async def _tend(self, incident: str, seq: int, told: Callable[[JournalEntry], None]) -> None:
        """Run the incident under the lease that is held, and give it back."""
        work = asyncio.create_task(self._engine.tend(incident))
        keeper = asyncio.create_task(self._keep_lease())
        try:
            while not work.done():
                await asyncio.wait({work, keeper}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                seq = self._tell(incident, seq, told)
                if keeper.done() and not work.done():
                    keeper.result()
            await work
        except LeaseLostError as error:
            log.warning("lease_lost", reason=error.message)  # a guard took over: it goes on
        finally:
            for task in (work, keeper):
                task.cancel()
            await asyncio.gather(work, keeper, return_exceptions=True)
            await let_go(self._target)
            if self._book.lease is not None:
                self._store.release(self._book.lease)
                self._book.lease = None

    async def _keep_lease(self) -> None:
        lifetime_s = self._playbook.limits.lease_s
        while self._book.lease is not None:
            await self._clock.sleep(lifetime_s / 3)
            self._book.lease = self._store.renew(self._book.lease, lifetime_s=lifetime_s)

    def _tell(self, incident: str, seq: int, told: Callable[[JournalEntry], None]) -> int:
        for entry in self._store.entries_after(seq, incident=incident):
            seq = entry.seq
            told(entry)
        return seq

    def standing(self, incident: str) -> Standing | None:
        """Return how the newest request of an incident, or the whole of it, stands; None while it runs."""
        row, entries = self._store.incident(incident), self._store.entries(incident)
        state = IncidentState(row.state)
        if state is IncidentState.ABORTED:
            return "failed"
        if state in TERMINAL_STATES:
            return "done"
        if state in {IncidentState.OPEN, IncidentState.RESTORING} or self._engine.due(incident):
            return None
        return _standing_of(agenda_of(entries, repertoire.complete), entries, self._clock.now())


def _standing_of(agenda: Agenda, entries: list[JournalEntry], now: datetime) -> Standing:
    requests = [chain for chain in agenda.chains if chain.finding.get("trigger") == REQUEST]
    if requests:
        newest = requests[-1]
        if newest.resolved:
            return "done"
        actions = set(newest.actions)
    else:
        if agenda.finished:
            return "done"
        actions = {standing.action for standing in agenda.actions if not standing.done}
    waits = any(plan.action in actions and plan.waits(now) for plan in plans_of(entries).values())
    return "waits" if waits else "failed"


async def _probe(run: Restoration, step: Step, box_s: float) -> Probed:
    words = {
        Progress.DONE: "done",
        Progress.ABSENT: "to do",
        Progress.HALF: "to do",
        Progress.PENDING: "pending",
    }
    try:
        async with asyncio.timeout(box_s):
            if step.name in PROBED and not step.changes:
                evidence = dict(await step.act(run, f"probe:{step.name}") or {})
                return Probed(step.name, "done", str(evidence.get("detail") or "passes"), evidence)
            sighting = await step.look(run, f"probe:{step.name}")
    except TimeoutError:
        return Probed(step.name, "failed", f"no answer within {box_s:g} s", {})
    except StepError as error:
        return Probed(step.name, "failed", error.message, error.evidence)
    except UnderstudyError as error:
        return Probed(step.name, "failed", error.message, {})
    return Probed(step.name, words[sighting.progress], sighting.detail, sighting.evidence)


@asynccontextmanager
async def by_hand(
    home: Path,
    settings: Settings,
    environment: Environment,
    store: GuardStore,
    clock: Clock,
    *,
    person: str,
    redactor: Redactor,
    policy: Path | None = None,
) -> AsyncIterator[ByHand]:
    """Put together what a person needs, as the guard of ``home`` would have it.

    Raises
    ------
    ConfigurationError
        The policy or a setting is not usable.
    """
    playbook, policy_file = load_policy(
        policy or settings.playbook_file or playbook_file(), window_s=settings.understudy_guard_window_s
    )
    if environment.owner:
        playbook = playbook.model_copy(update={"owner": environment.owner})
    connector = Connector(product_url(home, settings))
    target = target_of(environment, home, settings, clock)

    def write_report(incident: str) -> None:
        write_report_of(store, incident, home / "reports", now=clock.now(), redactor=redactor)

    try:
        yield ByHand(
            store=store,
            target=target,
            playbook=playbook,
            policy=policy_file,
            prepare=preparation(
                home=home,
                settings=settings,
                store=store,
                target=target,
                connect=connector,
                clock=clock,
                stale_after_s=playbook.limits.source_stale_after_s,
            ),
            clock=clock,
            environment=environment.name.value,
            known_good=settings.known_good_provider,
            person=person,
            before_end=write_report,
        )
    finally:
        await connector.close()
