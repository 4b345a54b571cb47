"""The checks of the smoke run under way, as they end: for whoever watches, never for a decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from understudy.restoration.verification.evidence import CheckEvidence


class SmokeBoard:
    """Shows one run at a time."""

    def __init__(self) -> None:
        self._checks: dict[str, CheckEvidence] = {}
        self.running = False
        self.expected: str | None = None

    @property
    def checks(self) -> Mapping[str, CheckEvidence]:
        """Checks of the run that have ended, by name; empty while none runs."""
        return self._checks

    @contextmanager
    def showing(self, expected: str) -> Iterator[None]:
        """Show a run from its begin to its end; ``expected`` is the provider that is to serve."""
        self._checks, self.running, self.expected = {}, True, expected
        try:
            yield
        finally:
            self._checks, self.running = {}, False

    def saw(self, check: CheckEvidence) -> None:
        """Show one check that has ended."""
        self._checks[check.name] = check
