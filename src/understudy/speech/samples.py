"""A voice in one request: its recording comes along instead of being uploaded first."""

from __future__ import annotations

import contextlib

from understudy.errors import NotFoundError, ValidationError
from understudy.speech import references, replays, voices
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.voices import Consent, VoiceDraft
from understudy.store.buckets import BUCKETS, REFERENCES
from understudy.store.voices import VoiceRow


async def clone_of_sample(
    ctx: SpeechContext,
    caller: Caller,
    *,
    sample: bytes,
    content_type: str,
    draft: VoiceDraft,
    consent: Consent | None,
) -> VoiceRow:
    """Store ``sample`` and make the voice of it, by the rules of upload and finalize.

    Parameters
    ----------
    content_type
        What the sender calls it. A type that uploads may not have is no obstacle: the bytes are decoded.

    Raises
    ------
    ValidationError, ConflictError, ProviderError, VoiceNotCreatedError
        As :func:`understudy.speech.voices.finalize_clone`.
    """
    if len(sample) > references.MAX_UPLOAD_BYTES:
        raise ValidationError("Audio file exceeds 10 MB.")
    draft.checked()
    if content_type not in BUCKETS[REFERENCES].content_types:
        sample, content_type = await references.normalise(sample), references.CONTENT_TYPE
    voice_id = replays.fresh_id(caller, "voice")
    if caller.claim is not None:
        # The same request again: what was uploaded for its voice must stay what the voice was made of.
        with contextlib.suppress(NotFoundError):
            return await voices.find_voice(ctx, caller, voice_id)
    key = references.reference_key(caller.user_id, voice_id)
    await ctx.objects.put(REFERENCES, key, sample, content_type)
    try:
        return await voices.finalize_clone(ctx, caller, voice_id, draft, consent)
    except ValidationError:
        # Nobody knows this id, so nobody can try it again. After any other failure the recording stays for
        # whoever reconciles what the provider made of it; if nobody does, abandoned uploads are removed.
        await references.discard_upload(ctx, caller.user_id, voice_id)
        raise
