"""Signals in which all is well, for tests of one family at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from understudy.restoration.signals.readings import Signals, unseen
from understudy.store.mode import ModeRow

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
MODE = ModeRow("qwen", 7, "operator", "cutover", None, "qwen", NOW)


def signals(**parts: object) -> Signals:
    """Signals at :data:`NOW` in Qwen mode, with these parts; the rest is empty, and not blind."""
    empty = unseen(NOW, "")
    calm = {
        name: replace(getattr(empty, name), blind=None)
        for name in ("calls", "playback", "cost", "integrity", "security")
    }
    return replace(empty, mode=MODE, blind=None, **{**calm, **parts})
