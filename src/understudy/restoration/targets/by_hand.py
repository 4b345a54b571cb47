"""What a person types who does a restoration by hand, for targets that are operated by commands."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class OperatedByHand(Protocol):
    """A target whose actions are commands that a person can type."""

    def commands_for(self, action: str, *, known_good: str, revision: str | None) -> tuple[str, ...]:
        """Shell lines of one action, in order; ``#`` begins a remark, ``<...>`` is to be filled in.

        Parameters
        ----------
        action
            As in the ladder: ``env_switch``, ``code_rollback``, ...; one with nothing to type gives no line.
        known_good
            The provider to step back to.
        revision
            The known-good branch, tag or commit; None where none is recorded.
        """
        ...
