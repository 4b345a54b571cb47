"""What a file has made so far: taking that away again, or narrowing it, takes nothing from anybody.

Only what was made for certain counts. ``if not exists`` makes nothing where the object was there before, and
a branch of a DO block may not run; so a block's scope ends with it, and a drop inside is a drop outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from understudy.migration_gate.verdicts import Reason

#: Tables, views, indexes and sequences share their names.
RELATION, COLUMN, FUNCTION, TYPE, SCHEMA, PART = "relation", "column", "function", "type", "schema", "part"
#: A relation whose rows are another's: what is done to them is done there.
WINDOW = "window"


class Scope:
    """Objects made by the statements before, by kind and name as written.

    Parameters
    ----------
    parent
        The block around this one.
    """

    def __init__(self, parent: Scope | None = None) -> None:
        self._made: set[tuple[str, str]] = set()
        self._parent = parent
        #: What each function made here does when it is called; by name without types.
        self.bodies: dict[str, tuple[Reason, ...]] = dict(parent.bodies) if parent else {}

    def inside(self) -> Scope:
        """Return the scope of a block in this one."""
        return Scope(self)

    def make(self, kind: str, name: str) -> None:
        """Note that ``name`` was not there before."""
        self._made.add((kind, name))

    def made(self, kind: str, name: str) -> bool:
        """Whether this file made it."""
        return (kind, name) in self._made or (self._parent is not None and self._parent.made(kind, name))

    def made_function(self, signature: str) -> bool:
        """Whether this file made the function; of a name without types, any of that name."""
        if "(" in signature:
            return self.made(FUNCTION, signature)
        here = any(kind == FUNCTION and name.split("(", 1)[0] == signature for kind, name in self._made)
        return here or (self._parent is not None and self._parent.made_function(signature))

    def drop(self, kind: str, name: str) -> None:
        """Note that it is gone: a second drop of the name would hit another object."""
        self._made.discard((kind, name))
        if self._parent is not None:
            self._parent.drop(kind, name)

    def knows(self, name: str) -> bool:
        """Whether a called function's body was read in this file."""
        return name in self.bodies

    def called(self, name: str) -> Sequence[Reason]:
        """Return what calling the function does."""
        return self.bodies[name]
