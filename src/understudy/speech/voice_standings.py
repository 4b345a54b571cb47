"""Where a voice can be spoken, and how far its way to the provider is that speaks only what it enrolled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from understudy.errors import ConflictError
from understudy.providers.base import Provider
from understudy.settings import Settings
from understudy.speech.carrying import destination_of
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.quarantined import BROKEN_RECORDING
from understudy.speech.speakable import binding_of
from understudy.store import carry_over
from understudy.store.voices import VoiceRow


class CarryOver(StrEnum):
    """A voice's way to the provider that enrols."""

    NOT_NEEDED = "not_needed"
    """It was made there, or nothing enrols here."""
    NEEDED = "needed"
    """It can be carried over, and was not yet."""
    PENDING = "pending"
    """It was sent for, and what came of it is not known yet."""
    DONE = "done"
    FAILED = "failed"
    """The last try failed; the operators may try again."""
    IMPOSSIBLE = "impossible"
    """It has no recording to be made of, or this service carries none over."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One voice's.

    Parameters
    ----------
    speaks
        Names of the providers that can speak it as it is, in alphabetical order.
    guidance
        What the provider that serves the caller refuses it with; ``None``: it can be spoken now.
    """

    speaks: list[str]
    guidance: str | None
    carry_over: CarryOver
    has_preview: bool


async def standings_of(
    ctx: SpeechContext, caller: Caller, voices: Sequence[VoiceRow]
) -> dict[UUID, Standing]:
    """Return the standing of each of the caller's ``voices``, by id; no provider is asked."""
    active = ctx.provider(ctx.mode.view(caller.user_id).value)
    refusals = {
        voice.id: {name: _refusal(voice, provider, ctx.settings) for name, provider in ctx.providers.items()}
        for voice in voices
    }
    enrolling = next((one for one in ctx.providers.values() if one.capabilities.needs_enrolment), None)
    states: Mapping[UUID, str] = {}
    if enrolling is not None:
        away = [voice.id for voice in voices if refusals[voice.id][enrolling.name] is not None]
        if away:
            destination = destination_of(enrolling, ctx.settings)
            async with ctx.database.service() as conn:
                states = await carry_over.states_of(conn, destination, caller.user_id, away)
    return {
        voice.id: Standing(
            speaks=sorted(name for name, refusal in refusals[voice.id].items() if refusal is None),
            guidance=refusals[voice.id][active.name],
            carry_over=carry_over_of(
                voice,
                ctx.settings,
                enrols=enrolling is not None,
                speaks=enrolling is not None and refusals[voice.id][enrolling.name] is None,
                state=states.get(voice.id),
            ),
            has_preview=bool(voice.reference_object_key) and BROKEN_RECORDING not in voice.quarantined_for,
        )
        for voice in voices
    }


def carry_over_of(
    voice: VoiceRow, settings: Settings, *, enrols: bool, speaks: bool, state: str | None
) -> CarryOver:
    """Say how far a voice's carry-over is.

    Parameters
    ----------
    enrols
        Whether a provider is configured that speaks only voices it made.
    speaks
        Whether that one speaks this voice already.
    state
        Of its intent, as ``understudy.carry_overs`` holds it; ``None`` without one.
    """
    if not enrols:
        return CarryOver.NOT_NEEDED
    if speaks:
        carried = "carried_over" in (voice.provider_metadata or {})
        return CarryOver.DONE if carried else CarryOver.NOT_NEEDED
    if state == "intended":
        return CarryOver.PENDING
    usable = voice.reference_object_key and voice.reference_transcript
    if settings.voice_carry_over == "off" or not usable or BROKEN_RECORDING in voice.quarantined_for:
        return CarryOver.IMPOSSIBLE
    # What was done, and speaks no more, lost its binding or was made for another model: it can be done again.
    return CarryOver.FAILED if state == "failed" else CarryOver.NEEDED


def _refusal(voice: VoiceRow, provider: Provider, settings: Settings) -> str | None:
    try:
        binding_of(voice, provider, settings)
    except ConflictError as error:
        return error.message
    return None
