"""What players report of streamed speech: the signal that only a client can give."""

from __future__ import annotations

from collections.abc import Sequence

from understudy.speech.context import Caller, SpeechContext
from understudy.store import playback
from understudy.store.playback import PlaybackEvent


async def keep_events(ctx: SpeechContext, caller: Caller, events: Sequence[PlaybackEvent]) -> int:
    """Keep events of the caller's own generations, each once; return how many of these were new.

    Events of anything else are left out, whatever it is: whether another tenant's exists is not told.
    """
    async with ctx.database.service() as conn:
        return await playback.insert_events(conn, caller.user_id, events)
