"""What an incident still has to do, read out of its journal alone.

Each finding brings a chain of cures: the first that is performed here, and, once that has been given up or
did not help, the next. An action is begun once for all the findings that name it. A finding of which no cure
is performed here asks a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from understudy.restoration.orders import REQUEST
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Finding
from understudy.store.journal import JournalEntry

#: Actions about the very subjects of their findings: one that joins afterwards needs them once more.
FOR_EACH_FINDING: frozenset[ActionName] = frozenset(
    {"throttle_tenant", "quarantine_and_repair", "close_reads"}
)

Complete = Callable[[ActionName, Sequence[JournalEntry]], bool]


@dataclass(frozen=True, slots=True)
class Chain:
    """One finding and the actions that it has brought so far, the newest last.

    Parameters
    ----------
    seq, at
        Of the entry that brought the finding.
    active
        Those that may run: a later one that was begun ends the earlier ones.
    asks
        Whether a person must agree first, because the check says ``pause``.
    begun
        Whether any of its actions was begun for it.
    resolved
        Whether one of them is done.
    """

    key: str
    seq: int
    at: datetime
    finding: Mapping[str, Any]
    actions: tuple[ActionName, ...]
    active: tuple[ActionName, ...]
    asks: bool
    begun: bool
    resolved: bool
    requested_by: str | None
    parameters: Mapping[str, Any]

    @property
    def must(self) -> bool:
        """Whether the incident cannot be called mitigated without it."""
        return bool(self.actions) and not self.resolved and (not self.asks or self.begun)


@dataclass(frozen=True, slots=True)
class ActionStanding:
    """How far one action is, for the findings that still need it.

    Parameters
    ----------
    finding
        The document of the first finding that still needs it.
    attempts
        How often it was begun.
    spent
        How often it was tried in vain since it last succeeded, or a person said to go on.
    held
        The entry that ended the newest attempt without success, or None while it runs or is done.
    done
        Whether nothing needs it any more.
    asks
        Whether all the findings that need it are of checks that say ``pause``.
    resumed_at
        When a person said to go on, or asked for it, after it was held; it is tried again at once then.
    brought_seq
        Of the newest entry that brought a finding which needs it.
    """

    action: ActionName
    finding: Mapping[str, Any]
    attempts: int
    spent: int
    held: JournalEntry | None
    done: bool
    under_way: bool
    asks: bool = False
    requested_by: str = "guard"
    parameters: Mapping[str, Any] | None = None
    resumed_at: datetime | None = None
    brought_seq: int = 0

    def given_up(self, most_attempts: int) -> bool:
        """Whether automation does not try it again."""
        if self.held is None or self.resumed_at is not None:
            return False
        return bool(self.held.body["hopeless"]) or self.spent >= most_attempts

    def due(self, now: datetime, *, hold_retry_s: float, most_attempts: int) -> bool:
        """Whether it may be tried now; after a failure it waits, twice as long each time."""
        if self.done or self.under_way or self.given_up(most_attempts):
            return False
        if self.held is None or self.resumed_at is not None:
            return True
        return now >= self.held.at + timedelta(seconds=hold_retry_s * 2 ** max(0, self.spent - 1))


@dataclass(frozen=True, slots=True)
class Question:
    """A finding that a person must decide about."""

    key: str
    title: str
    detail: str
    instruction: str | None


@dataclass(frozen=True, slots=True)
class Agenda:
    """Actions in the order in which they were brought, and the findings behind them."""

    chains: tuple[Chain, ...]
    actions: tuple[ActionStanding, ...]
    questions: tuple[Question, ...]

    @property
    def left(self) -> list[ActionStanding]:
        """Actions whose newest attempt ended without success, and that are still needed."""
        return [standing for standing in self.actions if standing.held is not None and not standing.done]

    @property
    def finished(self) -> bool:
        """Whether something was done, and nothing that had to be is left."""
        return any(chain.resolved for chain in self.chains) and not any(c.must for c in self.chains)

    @property
    def asked(self) -> list[Mapping[str, Any]]:
        """The documents of the findings that only a person's decision brings further."""
        return [chain.finding for chain in self.chains if not chain.resolved and not chain.must]


@dataclass(frozen=True, slots=True)
class _Attempts:
    """One action's attempts in the journal."""

    number: int
    begun: JournalEntry | None
    done: bool
    last_done: JournalEntry | None
    held: JournalEntry | None
    spent: int


def agenda_of(entries: Sequence[JournalEntry], complete: Complete) -> Agenda:
    """Read an incident's journal.

    Parameters
    ----------
    complete
        Whether the outcomes of one attempt are all that the action needs.
    """
    brought = [entry for entry in entries if entry.kind in {"opened", "joined"}]
    names = dict.fromkeys(
        entry.body["action"]
        for entry in entries
        if entry.kind in {"opened", "joined", "escalated"} and entry.body.get("action") is not None
    )
    attempts: dict[ActionName, _Attempts] = {name: _attempts(name, entries, complete) for name in names}
    chains = tuple(_chain(entry, entries, attempts) for entry in brought)
    resumed = next((entry for entry in reversed(entries) if entry.kind == "resume"), None)
    return Agenda(
        chains=chains,
        actions=tuple(_standing(name, tried, chains, resumed) for name, tried in attempts.items()),
        questions=tuple(
            Question(
                key=entry.body["finding_key"],
                title=entry.body.get("title") or entry.body["finding"]["detail"],
                detail=entry.body["finding"]["detail"],
                instruction=entry.body.get("instruction"),
            )
            for entry, chain in zip(brought, chains, strict=True)
            if not chain.actions
        ),
    )


def _attempts(action: ActionName, entries: Sequence[JournalEntry], complete: Complete) -> _Attempts:
    mine = [entry for entry in entries if entry.body.get("action") == action]
    begun = [entry for entry in mine if entry.kind == "begun"]
    last_done = None
    for entry in begun:
        number = entry.body["attempt"]
        later = [e for e in mine if e.seq > entry.seq and e.body.get("attempt") == number]
        failed = any(e.kind == "held" for e in later)
        if not failed and complete(action, [e for e in later if e.kind == "outcome"]):
            last_done = entry
    done = bool(begun) and last_done is begun[-1]
    held = next((entry for entry in reversed(mine) if entry.kind == "held"), None)
    if held is not None and begun and begun[-1].seq > held.seq:
        held = None  # it runs again, or is done
    since = last_done.seq if last_done else 0
    since = max([since, *(entry.seq for entry in entries if entry.kind == "resume")])
    spent = sum(entry.kind == "held" and entry.seq > since for entry in mine)
    return _Attempts(len(begun), begun[-1] if begun else None, done, last_done, held, spent)


def _chain(
    entry: JournalEntry, entries: Sequence[JournalEntry], attempts: Mapping[ActionName, _Attempts]
) -> Chain:
    body, key = entry.body, entry.body["finding_key"]
    finding = body["finding"]
    by_hand = finding.get("trigger") == REQUEST
    begun_after: dict[ActionName, int] = {body["action"]: entry.seq} if body.get("action") else {}
    for later in entries:
        if later.kind == "escalated" and later.body.get("finding_key") == key:
            begun_after.setdefault(later.body["action"], later.seq)
    actions = tuple(begun_after)
    first_active, resolved, begun = 0, False, False
    for index, action in enumerate(actions):
        tried = attempts[action]
        again = by_hand or action in FOR_EACH_FINDING
        seq = tried.last_done.seq if tried.last_done else 0
        resolved = resolved or (tried.last_done is not None and (not again or seq > entry.seq))
        if tried.begun is not None and (not again or tried.begun.seq > entry.seq):
            begun = True
            if tried.begun.seq > begun_after[action]:
                first_active = index
    return Chain(
        key=key,
        seq=entry.seq,
        at=entry.at,
        finding=finding,
        actions=actions,
        active=actions[first_active:],
        asks=finding.get("mode") == "pause",
        begun=begun,
        resolved=resolved,
        requested_by=body.get("requested_by"),
        parameters=body.get("parameters") or {},
    )


def _standing(
    action: ActionName, tried: _Attempts, chains: Sequence[Chain], resumed: JournalEntry | None
) -> ActionStanding:
    open_chains = [chain for chain in chains if action in chain.active and not chain.resolved]
    brought = [chain for chain in chains if action in chain.actions]
    first = (open_chains or brought)[0]
    # The guard's own findings ask for it before any person does: then nobody's agreement is excluded.
    own = [chain for chain in open_chains if chain.requested_by is None and not chain.asks]
    by_hand = [chain for chain in open_chains if chain.requested_by is not None]
    requested_by = by_hand[-1].requested_by if by_hand and not own else None
    done = not open_chains
    # An attempt that has begun is carried to its end, whatever else came of its finding meanwhile.
    under_way = tried.begun is not None and not tried.done and tried.held is None
    held_seq = tried.held.seq if tried.held is not None else None
    after_held = resumed is not None and held_seq is not None and resumed.seq > held_seq
    # Who asks after it was given up wants it tried again, with what they name now.
    asked = by_hand[-1] if by_hand and held_seq is not None and by_hand[-1].seq > held_seq else None
    return ActionStanding(
        action=action,
        finding=first.finding,
        attempts=tried.number,
        spent=tried.spent,
        held=tried.held,
        done=done and not under_way,
        under_way=under_way,
        asks=bool(open_chains) and all(chain.asks for chain in open_chains),
        requested_by=requested_by or "guard",
        parameters=by_hand[-1].parameters if by_hand else {},
        resumed_at=resumed.at if resumed is not None and after_held else asked.at if asked else None,
        brought_seq=max((chain.seq for chain in open_chains), default=0),
    )


def action_for(
    finding: Finding, *, known_good: str, performed: Callable[[ActionName], bool]
) -> ActionName | None:
    """Return what the engine does about ``finding``: its first cure that a rung performs, or None.

    Where the check says ``pause`` it is what the engine proposes. An env switch cures nothing where the
    known-good provider itself fails.
    """
    if finding.mode == "shadow":
        return None
    return next(cures_that_help(finding.cures, finding.provider, known_good, performed), None)


def next_cure(chain: Chain, *, known_good: str, performed: Callable[[ActionName], bool]) -> ActionName | None:
    """Return the cure after those that a chain has tried, or None where there is no other."""
    cures: list[ActionName] = list(chain.finding.get("cures") or ())
    last = chain.actions[-1]
    rest = cures[cures.index(last) + 1 :] if last in cures else []
    provider = chain.finding.get("provider")
    return next(cures_that_help(rest, provider, known_good, performed), None)


def cures_that_help(
    cures: Iterable[ActionName],
    provider: str | None,
    known_good: str,
    performed: Callable[[ActionName], bool],
) -> Iterator[ActionName]:
    """Yield the cures that a rung performs and that can help."""
    return (
        cure for cure in cures if performed(cure) and not (cure == "env_switch" and provider == known_good)
    )


def instruction_for(
    finding: Finding,
    *,
    known_good: str,
    instructions: Mapping[ActionName, str],
) -> str | None:
    """Return what the policy tells a person to do about ``finding``, for its first cure that can help."""
    cures: Iterable[ActionName] = finding.cures
    if finding.provider == known_good:
        cures = [cure for cure in cures if cure != "env_switch"]
    return next((instructions[cure] for cure in cures if cure in instructions), None)
