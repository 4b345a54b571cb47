"""Voices as programs ask for them: by name, and in slices of a list."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from understudy.errors import ConflictError, ValidationError
from understudy.providers.base import Provider
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.pages import MAX_PER_PAGE
from understudy.speech.speakable import binding_of
from understudy.speech.voices import MAX_NAME_CHARS
from understudy.speech.wording import storable
from understudy.store import voices as rows
from understudy.store.voices import VoiceRow


async def named(ctx: SpeechContext, caller: Caller, name: str) -> Sequence[VoiceRow]:
    """Return the caller's voices of this name, whatever its case: none, the one, or two of several."""
    wanted = storable(name, "voice").strip()
    if not wanted or len(wanted) > MAX_NAME_CHARS:
        return ()
    async with ctx.database.tenant(caller.user_id) as conn:
        return await rows.find_named(conn, caller.user_id, wanted, limit=2)


async def listed_after(
    ctx: SpeechContext, caller: Caller, after: UUID | None, *, limit: int
) -> tuple[Sequence[VoiceRow], bool]:
    """Return at most ``limit`` of the caller's voices, newest first, and whether there are more.

    Parameters
    ----------
    after
        The last voice of the slice before; one that is not the caller's is followed by nothing.

    Raises
    ------
    ValidationError
        ``limit`` is not between 1 and 100.
    """
    if not 1 <= limit <= MAX_PER_PAGE:
        raise ValidationError(f"limit must be between 1 and {MAX_PER_PAGE}.")
    async with ctx.database.tenant(caller.user_id) as conn:
        found = await rows.voices_after(conn, caller.user_id, after, limit=limit + 1)
    return found[:limit], len(found) > limit


def speakable(ctx: SpeechContext, voice: VoiceRow, provider: Provider) -> bool:
    """Whether ``provider`` can speak ``voice`` as it is."""
    try:
        binding_of(voice, provider, ctx.settings)
    except ConflictError:
        return False
    return True
