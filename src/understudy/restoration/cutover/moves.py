"""Moves away from the known-good provider: one at a time, few in some hours, then FROZEN.

Kept in the guard's store, so that no restart and no restored database forgets them. A move towards known-good
is never asked here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from understudy.clock import Clock
from understudy.errors import MoveRefusedError
from understudy.restoration.playbook.cutover_policy import CutoverLimits
from understudy.store.guard import GuardStore

#: Moves, and thaws, that are kept to be shown.
KEPT = 50
_THAW = 'understudy mode thaw --reason "..."'


@dataclass(frozen=True, slots=True)
class Move:
    """One move away; ``at`` is ISO 8601, UTC. One that a thaw has ``forgiven`` counts no more."""

    at: str
    what: str
    actor: str
    forgiven: bool = False

    @property
    def moment(self) -> datetime:
        """When it was."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Nobody moves away until a person thaws it."""

    at: str
    why: str


@dataclass(frozen=True, slots=True)
class Thaw:
    """Who let moves be made again, and why; earlier moves do not count any more."""

    at: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class MoveRecord:
    """Everything that is remembered.

    Parameters
    ----------
    counted_epoch
        Newest epoch of the mode that was looked at for a move by the environment; ``None`` before the first.
    """

    moves: tuple[Move, ...] = ()
    frozen: Frozen | None = None
    thaws: tuple[Thaw, ...] = ()
    counted_epoch: int | None = None

    @classmethod
    def read(cls, text: str | None) -> MoveRecord:
        """Read what :meth:`text` wrote; nothing is an empty record."""
        known = json.loads(text or "{}")
        return cls(
            moves=tuple(Move(**move) for move in known.get("moves", ())),
            frozen=Frozen(**known["frozen"]) if known.get("frozen") else None,
            thaws=tuple(Thaw(**thaw) for thaw in known.get("thaws", ())),
            counted_epoch=known.get("counted_epoch"),
        )

    def text(self) -> str:
        """Return it as JSON."""
        kept = replace(self, moves=self.moves[-KEPT:], thaws=self.thaws[-KEPT:])
        return json.dumps(asdict(kept), sort_keys=True)


class MoveLimits:
    """The limits of one environment."""

    def __init__(self, store: GuardStore, limits: CutoverLimits, clock: Clock, environment: str) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._key = f"moves_away:{environment}"

    def record(self) -> MoveRecord:
        """Return everything that is remembered."""
        return MoveRecord.read(self._store.meta(self._key))

    def frozen(self) -> Frozen | None:
        """Return why nobody may move away now, or None."""
        return self.record().frozen

    def next_at(self) -> datetime | None:
        """Return when the next move would be allowed, or None where it is now; FROZEN is not looked at."""
        now = self._clock.now()
        at = self._allowed_at(self.record())
        return at if at is not None and at > now else None

    def take(self, what: str, actor: str) -> None:
        """Put a move on record that is about to be made.

        Raises
        ------
        MoveRefusedError
            It comes too soon, or moves are FROZEN, or are from now on; nothing may be moved.
        """
        refusal: list[str] = []

        def decide(text: str | None) -> str:
            record, now = MoveRecord.read(text), self._clock.now()
            if record.frozen is not None:
                refusal.append(
                    f"Moves away from known-good are FROZEN since {_minute(record.frozen.at)}: "
                    f"{record.frozen.why}. A person thaws them: {_THAW}"
                )
                return record.text()
            counted = self._counted(record)
            if counted and now - counted[-1].moment < timedelta(seconds=self._limits.spacing_s):
                allowed = counted[-1].moment + timedelta(seconds=self._limits.spacing_s)
                refusal.append(
                    f"The last move away from known-good was {counted[-1].what} at "
                    f"{_minute(counted[-1].at)}; one in {self._limits.spacing_s / 60:g} min. Try again after "
                    f"{_minute(allowed.isoformat())}."
                )
                return record.text()
            if len(counted) >= self._limits.moves:
                why = (
                    f"{what} would have been move {len(counted) + 1} in {self._limits.period_s / 3600:g} h; "
                    f"{self._limits.moves} are allowed"
                )
                refusal.append(f"Moves away from known-good are FROZEN now: {why}. Thaw them: {_THAW}")
                return replace(record, frozen=Frozen(now.isoformat(), why)).text()
            return self._with(record, what, actor).text()

        self._store.revise(self._key, decide)
        if refusal:
            raise MoveRefusedError(refusal[0])

    def count(self, what: str, actor: str, *, epoch: int) -> str | None:
        """Count a move that a person made past these limits; never refused.

        Parameters
        ----------
        epoch
            Of the mode that it wrote; an epoch that was looked at before counts nothing.

        Returns
        -------
        str or None
            What to page; ``None`` where nothing new was counted.
        """
        said: list[str] = []
        known = self.record().counted_epoch
        if known is not None and epoch <= known:
            return None  # asked in every cycle; nothing is written

        def decide(text: str | None) -> str:
            record = MoveRecord.read(text)
            if record.counted_epoch is None or epoch <= record.counted_epoch:
                return replace(record, counted_epoch=max(epoch, record.counted_epoch or 0)).text()
            moved = replace(self._with(record, what, actor), counted_epoch=epoch)
            number = len(self._counted(moved))
            said.append(f"{what}: move {number} away from known-good in {self._limits.period_s / 3600:g} h")
            if number > self._limits.moves and moved.frozen is None:
                why = f"{what} was move {number}; {self._limits.moves} are allowed"
                moved = replace(moved, frozen=Frozen(self._clock.now().isoformat(), why))
                said.append(f"it stands, as a person's word does; further moves are FROZEN. Thaw: {_THAW}")
            return moved.text()

        self._store.revise(self._key, decide)
        return "; ".join(said) or None

    def looked_at(self, epoch: int) -> None:
        """Note that the mode of that epoch was no move by the environment."""

        def decide(text: str | None) -> str:
            record = MoveRecord.read(text)
            return replace(record, counted_epoch=max(epoch, record.counted_epoch or 0)).text()

        if (self.record().counted_epoch or -1) < epoch:
            self._store.revise(self._key, decide)

    def thaw(self, actor: str, reason: str) -> bool:
        """Let moves be made again, and start counting anew; returns whether they were FROZEN."""
        was: list[bool] = []

        def decide(text: str | None) -> str:
            record = MoveRecord.read(text)
            was.append(record.frozen is not None)
            thaw = Thaw(self._clock.now().isoformat(), actor, reason)
            moves = tuple(replace(move, forgiven=True) for move in record.moves)
            return replace(record, moves=moves, frozen=None, thaws=(*record.thaws, thaw)).text()

        self._store.revise(self._key, decide)
        return was[0]

    def _with(self, record: MoveRecord, what: str, actor: str) -> MoveRecord:
        move = Move(self._clock.now().isoformat(), what, actor)
        return replace(record, moves=(*record.moves, move))

    def _counted(self, record: MoveRecord) -> list[Move]:
        """Moves of the period, oldest first, that no thaw has forgiven."""
        since = self._clock.now() - timedelta(seconds=self._limits.period_s)
        return [move for move in record.moves if move.moment > since and not move.forgiven]

    def _allowed_at(self, record: MoveRecord) -> datetime | None:
        counted = self._counted(record)
        if not counted:
            return None
        spaced = counted[-1].moment + timedelta(seconds=self._limits.spacing_s)
        if len(counted) < self._limits.moves:
            return spaced
        fits = counted[-self._limits.moves].moment + timedelta(seconds=self._limits.period_s)
        return max(spaced, fits)


def _minute(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"
