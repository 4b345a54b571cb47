"""What each command is to an environment: where it makes sense, and whether it changes anything there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Where(Enum):
    """Where a command makes sense."""

    ANYWHERE = auto()
    """It works from outside, or on the guard's home of the environment."""
    PRODUCT = auto()
    """It works through the tables of our own API; another service's database does not have them."""
    MACHINE = auto()
    """It is about this machine's own processes or files."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One command.

    Parameters
    ----------
    changes
        It changes the environment, so production wants a person's word first.
    only_with
        Options of which one must be given for it to change anything; empty where it always does.
    never_with
        Options that keep it from changing anything.
    """

    where: Where = Where.ANYWHERE
    changes: bool = False
    only_with: tuple[str, ...] = ()
    never_with: tuple[str, ...] = ()

    def will_change(self, given: dict[str, object]) -> bool:
        """Whether it changes something when it is called with the options ``given``."""
        if not self.changes or any(given.get(name) for name in self.never_with):
            return False
        return not self.only_with or any(given.get(name) for name in self.only_with)


_READS, _ACTS = Scope(), Scope(changes=True)
_LOOKS_IN, _WRITES_IN = Scope(Where.PRODUCT), Scope(Where.PRODUCT, changes=True)
_HERE = Scope(Where.MACHINE)

#: Command, as it is typed after ``understudy``.
SCOPES: dict[str, Scope] = {
    "demo": _HERE,
    "up": _HERE,
    "status": _READS,
    "doctor": _READS,
    "serve": _LOOKS_IN,
    "worker": _LOOKS_IN,
    "guard": _READS,
    "standins": _HERE,
    "smoke": _READS,
    "environments": _READS,
    "preflight": _READS,
    "recover local": _HERE,
    "db migrate": _WRITES_IN,
    "db status": _LOOKS_IN,
    "db reset": _HERE,
    "migrations check": _READS,
    "stabilization status": _LOOKS_IN,
    "stabilization sign-off": _ACTS,
    "cutover plan": _LOOKS_IN,
    "cutover start": _WRITES_IN,
    "cutover next": _WRITES_IN,
    "cutover pause": _WRITES_IN,
    "cutover resume": _WRITES_IN,
    "cutover return": _WRITES_IN,
    "cutover status": _LOOKS_IN,
    "drill": _READS,
    "mode show": _LOOKS_IN,
    "mode set": _WRITES_IN,
    "mode history": _LOOKS_IN,
    "mode thaw": _WRITES_IN,
    "freeze on": _WRITES_IN,
    "freeze off": _WRITES_IN,
    "freeze status": _LOOKS_IN,
    "users add": _WRITES_IN,
    "operators grant": _WRITES_IN,
    "operators revoke": _WRITES_IN,
    "operators list": _LOOKS_IN,
    "keys create": _WRITES_IN,
    "keys list": _LOOKS_IN,
    "keys revoke": _WRITES_IN,
    "voices check": _LOOKS_IN,
    "voices coverage": _LOOKS_IN,
    "voices carry-over": Scope(Where.PRODUCT, changes=True, never_with=("dry_run",)),
    "usage": _LOOKS_IN,
    "budget show": _LOOKS_IN,
    "budget set": _WRITES_IN,
    "budget clear": _WRITES_IN,
    "valve show": _LOOKS_IN,
    "valve close": _WRITES_IN,
    "valve open": _WRITES_IN,
    "reads close": _WRITES_IN,
    "reads open": _WRITES_IN,
    "reads status": _LOOKS_IN,
    "quarantine list": _LOOKS_IN,
    "quarantine release": _WRITES_IN,
    "collect": Scope(Where.PRODUCT, changes=True, never_with=("dry_run",)),
    "reconcile creates": _LOOKS_IN,
    "erase": _WRITES_IN,
    "backup create": _READS,
    "backup list": _READS,
    "backup verify": _READS,
    "backup prune": _ACTS,
    "incident list": _READS,
    "incident show": _READS,
    "incident watch": _READS,
    "incident ack": _READS,
    "incident note": _READS,
    "incident report": _READS,
    "incident verify": _READS,
    "incident followups": _READS,
    "incident close": _ACTS,
    "incident approve": _ACTS,
    "incident abort": _ACTS,
    "incident hold": _ACTS,
    "incident resume": _ACTS,
    "restore": Scope(changes=True, only_with=("live",)),
    "guard-keys create": _ACTS,
    "guard-keys list": _READS,
    "guard-keys revoke": _ACTS,
    "known-good record": _ACTS,
    "known-good show": _READS,
    "known-good list": _READS,
    "releases list": _HERE,
    "releases build": _HERE,
    "releases deploy": _HERE,
    "probes status": _READS,
    "probes run": _READS,
    "probes clean": _WRITES_IN,
    "playbook lint": _READS,
    "playbook show": _READS,
    "playbook schema": _READS,
    "playbook fields": _READS,
    "playbook simulate": _READS,
    "playbook replay": _LOOKS_IN,
    "openapi api": _READS,
    "openapi guard": _READS,
}
