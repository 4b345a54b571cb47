"""What the product itself writes breaks no invariant, at no age: whole work, cut work, and work under way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.speech.conftest import MakeStudio, Studio
from tests.integration.speech.test_designs import preview, save
from understudy.speech import generations, tasks, voices
from understudy.store import invariants
from understudy.store.invariants import QUERIES

pytestmark = pytest.mark.integration


async def broken(studio: Studio) -> dict[str, tuple[str, ...]]:
    """Every invariant that does not hold, of rows of whatever age."""
    now = studio.ctx.clock.now() + timedelta(seconds=1)
    found = {}
    async with studio.ctx.database.service() as conn:
        for name in QUERIES:
            seen = await invariants.broken(
                conn, name, now=now, older_than_s=0.0, span_s=7200.0, timeout_s=5.0
            )
            if seen.count:
                found[name] = seen.sample
    return found


async def test_work_of_every_kind_breaks_no_invariant(make_studio: MakeStudio) -> None:
    async with make_studio(max_active_generations=10) as studio:
        caller = await studio.caller()
        born_at_modal = await studio.voice(caller)
        left_over = await studio.speak(caller, born_at_modal)
        await studio.flip("qwen")
        voice = await studio.voice(caller)
        spoken = [await studio.speak(caller, voice) for _ in range(2)]
        await save(studio, caller, await preview(studio, caller))  # its worker takes what waits, too
        for task in (left_over, *spoken):
            assert (await studio.ended(task.id)).status == "completed"
        await generations.delete_generation(studio.ctx, caller, (await studio.generation(spoken[0])).id)
        cancelled = await studio.speak(caller, voice)
        await tasks.cancel_task(studio.ctx, caller, cancelled.id)
        waiting = await studio.speak(caller, voice)
        assert await broken(studio) == {}
        await voices.delete_voice(studio.ctx, caller, voice.id)
        async with studio.working():
            await studio.ended(waiting.id)
        assert await broken(studio) == {}
        await studio.sql("UPDATE public.generations SET provider_model = NULL WHERE status = 'completed'")
        assert list(await broken(studio)) == ["missing_provider_metadata"]
