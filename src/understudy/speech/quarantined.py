"""What a tenant is told of what is in quarantine: the truth, where what is broken is what would be used."""

from __future__ import annotations

from understudy.errors import QuarantinedError
from understudy.store.voices import VoiceRow

BROKEN_BINDING = "missing_provider_metadata"
BROKEN_RECORDING = "unreadable_references"

LOST_AUDIO = "The audio was lost through a fault on our side; generate it again."
LOST_BINDING = (
    "What the speech provider knows this voice by was lost on our side. Clone it again, design it again, or "
    "ask the operator to carry it over."
)
DAMAGED_RECORDING = (
    "The stored recording of this voice is damaged on our side, and it is spoken from it now. Clone it again "
    "or design it again; the operators have it on record."
)


def require_recording(voice: VoiceRow) -> None:
    """Raise :class:`QuarantinedError` when the voice's recording is known to be unusable."""
    if BROKEN_RECORDING in voice.quarantined_for:
        raise QuarantinedError(DAMAGED_RECORDING)


def require_binding(voice: VoiceRow) -> None:
    """Raise :class:`QuarantinedError` when what a provider knew the voice by was lost."""
    if BROKEN_BINDING in voice.quarantined_for:
        raise QuarantinedError(LOST_BINDING)
