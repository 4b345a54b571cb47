"""The local speech engine behind the stand-ins: espeak-ng, matched in pitch and timbre to a reference.

It is **not** neural cloning: what comes out is espeak-ng's robotic voice, moved to the reference's median
pitch and, moderately, to its formants. Enough to prove that the right voice, text and bytes travelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from understudy.voicebox.shape import VoiceShape, shape_from_description

if TYPE_CHECKING:
    from understudy.voicebox.client import Voicebox

__all__ = ["VoiceShape", "Voicebox", "shape_from_description"]


def __getattr__(name: str) -> Any:
    """Load the client when it is first asked for: the engine's own process has no use for it."""
    if name != "Voicebox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from understudy.voicebox.client import Voicebox  # noqa: PLC0415  (see above)

    return Voicebox
