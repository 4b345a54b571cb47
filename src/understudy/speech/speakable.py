"""Which voice can be spoken by which provider."""

from __future__ import annotations

from understudy.errors import UnservedError
from understudy.providers.base import Provider, VoiceBinding
from understudy.settings import Settings
from understudy.speech.quarantined import require_binding, require_recording
from understudy.store.voices import VoiceRow

GUIDANCE = (
    "This voice cannot be spoken by the active speech provider yet. Clone it again, design it again, "
    "or ask the operator to carry it over."
)


def binding_of(voice: VoiceRow, provider: Provider, settings: Settings) -> VoiceBinding:
    """Return how ``provider`` knows ``voice``.

    A provider that enrols needs a binding to the very model configured (it is fixed when the voice is made)
    and of the same region: its own, or one that was carried over. Any other speaks from the stored reference
    and its transcript.

    Raises
    ------
    QuarantinedError
        What it would be spoken from was lost or damaged on our side.
    UnservedError
        With guidance: this provider cannot speak this voice.
    """
    if settings.voice_carry_over == "off" and voice.tts_provider != provider.name:
        raise UnservedError(GUIDANCE)
    if not provider.capabilities.needs_enrolment:
        require_recording(voice)
        if not (voice.reference_object_key and voice.reference_transcript):
            raise UnservedError("This voice has no stored recording to speak from. Clone it again.")
        # What another provider calls it is nothing to this one.
        return VoiceBinding(provider=provider.name)
    configured = target_models(settings).get(voice.provider_voice_kind or "")
    fits = (
        voice.provider_voice_id
        and voice.provider_target_model == configured
        and voice.provider_region in {None, settings.dashscope_region}
    )
    if not fits:
        require_binding(voice)
        raise UnservedError(GUIDANCE)
    return VoiceBinding(
        provider=provider.name,
        voice_id=voice.provider_voice_id,
        target_model=voice.provider_target_model,
        kind=voice.provider_voice_kind,
        region=voice.provider_region,
        request_id=voice.provider_request_id,
        metadata=voice.provider_metadata or {},
    )


def target_models(settings: Settings) -> dict[str, str]:
    """The one model that a voice of each kind (``vc`` cloned, ``vd`` designed) must be bound to."""
    return {"vc": settings.qwen_vc_target_model, "vd": settings.qwen_vd_target_model}
