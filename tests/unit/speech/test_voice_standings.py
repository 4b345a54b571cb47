"""How far a voice's carry-over is, as its tenant reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from understudy.settings import Settings
from understudy.speech.voice_standings import CarryOver, carry_over_of
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.unit


def voice(**changes: Any) -> VoiceRow:
    empty: dict[str, Any] = dict.fromkeys(VoiceRow.__slots__)
    known = {
        "id": uuid4(),
        "user_id": uuid4(),
        "created_at": datetime(2026, 11, 29, tzinfo=UTC),
        "reference_object_key": "a/b/reference.wav",
        "reference_transcript": "One.",
        "tts_provider": "modal",
        "quarantined_for": [],
    }
    return VoiceRow(**{**empty, **known, **changes})


@pytest.mark.parametrize(
    ("changes", "state", "speaks", "said"),
    [
        ({}, None, False, CarryOver.NEEDED),
        ({}, "intended", False, CarryOver.PENDING),
        ({}, "failed", False, CarryOver.FAILED),
        # Its binding was for another model, or was lost.
        ({}, "done", False, CarryOver.NEEDED),
        ({"provider_metadata": {"carried_over": {}}}, "done", True, CarryOver.DONE),
        ({"tts_provider": "qwen"}, None, True, CarryOver.NOT_NEEDED),
        ({"reference_transcript": ""}, None, False, CarryOver.IMPOSSIBLE),
        ({"quarantined_for": ["unreadable_references"]}, "failed", False, CarryOver.IMPOSSIBLE),
    ],
)
def test_a_carry_over_is_said_as_it_stands(
    changes: dict[str, Any], state: str | None, speaks: bool, said: CarryOver
) -> None:
    assert carry_over_of(voice(**changes), Settings(), enrols=True, speaks=speaks, state=state) is said


def test_where_nothing_enrols_nothing_is_carried_and_where_it_is_off_nothing_can_be() -> None:
    nowhere = carry_over_of(voice(), Settings(), enrols=False, speaks=False, state=None)
    off = carry_over_of(voice(), Settings(voice_carry_over="off"), enrols=True, speaks=False, state="failed")
    assert (nowhere, off) == (CarryOver.NOT_NEEDED, CarryOver.IMPOSSIBLE)
