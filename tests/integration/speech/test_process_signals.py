"""What stands on record of a billed design, and of admissions that the mode or a voice's coverage refused."""

from __future__ import annotations

import pytest

from tests.integration.speech.conftest import Studio
from understudy.errors import UnservedError
from understudy.speech import designs
from understudy.speech.erasing import erase_account

pytestmark = pytest.mark.integration


async def test_the_same_prompt_has_the_same_digest_until_its_tenant_is_erased(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    for text, instruct in (
        ("Good evening.", "A warm older man."),
        ("good   evening.", "a warm OLDER man. "),
        ("Good evening.", "A young woman."),
    ):
        await designs.start_preview(studio.ctx, caller, text=text, language="en", instruct=instruct)
    async with studio.working():
        await studio.until(lambda: _ended(studio, 3), "three designs")
    first, second, third = sorted(call["subject_digest"] for call in await studio.calls())
    assert len({first, second, third}) == 2
    assert len(first) == 64
    await erase_account(
        studio.ctx.database, studio.ctx.objects, studio.ctx.clock, caller.user_id, actor="test"
    )
    assert {call["subject_digest"] for call in await studio.calls()} == {None}


async def _ended(studio: Studio, calls: int) -> bool:
    return len(await studio.calls()) == calls


async def test_a_voice_that_the_provider_does_not_cover_is_a_refusal(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await studio.flip("qwen")
    with pytest.raises(UnservedError):
        await studio.speak(caller, voice)
    await studio.flip("modal")
    await studio.speak(caller, voice)
    await studio.ctx.signals.stop()
    counts = await studio.sql("select * from understudy.refusals order by mode_epoch")
    assert [(row["provider"], row["asked"], row["refused"]) for row in counts] == [
        ("qwen", 1, 1),
        ("modal", 1, 0),
    ]
