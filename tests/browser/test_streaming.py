"""Speech that is heard while it is made: measured at the pace of a person who speaks."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.sound import Sound
from tests.browser.speaking import LONG_TEXT, keeps_text, open_speak, shows_phase, speak
from tests.browser.waiting import until
from understudy.audio.decode import decode_upload
from understudy.audio.wav import duration_ms
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

#: Seconds that so many characters take a person, from hasty to slow.
PLAUSIBLE_S = (len(LONG_TEXT) / 30, len(LONG_TEXT) / 6)


async def test_it_is_heard_long_before_it_ends_can_be_paused_sought_in_and_kept(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    paced_voice: str,
    record_property: Callable[[str, object], None],
) -> None:
    assert len(LONG_TEXT) >= 200
    async with visit(browser, paced_service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await open_speak(page, paced_account, paced_voice, "Ann")
        await speak(page, LONG_TEXT)
        await sound.begins()
        await expect(page.get_by_role("heading", name="Speaking", exact=True)).to_be_visible()
        player = page.get_by_role("region", name="Player")
        await expect(player.get_by_text("Live", exact=True)).to_be_visible()
        await expect(player.get_by_role("button", name="Download")).to_be_disabled()

        # Paused and gone back while more of it still comes.
        await sound.advances(1.0)
        await player.get_by_role("button", name="Pause", exact=True).click()
        await expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
        standing = await sound.standing()
        assert standing is not None
        assert standing["paused"]
        await player.get_by_role("slider", name="Position").fill("0.2")
        await until(sound.position, lambda at: at < 0.5, what="the jump back")
        await player.get_by_role("button", name="Play", exact=True).click()
        await sound.advances(0.5)

        await shows_phase(page, "The speech is ready", within_s=40)
        times = await sound.stream_times()
        print(f"\n{len(LONG_TEXT)} characters: {times}")
        record_property("first_audio_ms", times.first_playing_ms)
        record_property("last_byte_ms", times.last_byte_ms)
        assert times.share < 0.5
        await expect(page.get_by_text("First sound after")).to_be_visible()

        async with page.expect_download() as downloading:
            await player.get_by_role("button", name="Download").click()
        download = await downloading.value
        assert download.suggested_filename.endswith(".mp3")
        data = (await download.path()).read_bytes()
        assert data[:4] != b"RIFF"
        seconds = duration_ms(await decode_upload(data)) / 1000
        print(f"kept as {download.suggested_filename!r}: {len(data)} bytes, {seconds:.1f} s")
        assert PLAUSIBLE_S[0] < seconds < PLAUSIBLE_S[1]
        assert times.last_byte_ms > 0.5 * seconds * 1000, "the stand-in did not keep its pace"


async def test_a_cancelled_speech_ends_everywhere_and_leaves_the_text(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    http: aiohttp.ClientSession,
    paced_voice: str,
) -> None:
    caller = Caller(http, paced_service.api, paced_account.tenant.access_token)
    async with visit(browser, paced_service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await open_speak(page, paced_account, paced_voice, "Ann")
        await speak(page, LONG_TEXT)
        await sound.begins()
        await page.get_by_role("main").get_by_role("button", name="Cancel", exact=True).click()
        await shows_phase(page, "Cancelled")
        await expect(page.get_by_role("region", name="Player")).to_have_count(0)
        await keeps_text(page, LONG_TEXT)
        await expect(page.get_by_role("alert")).to_have_count(0)
        await until(
            caller.generations,
            lambda rows: [row["status"] for row in rows] == ["cancelled"],
            what="a generation that is cancelled",
        )
        # The next one is spoken as if nothing had been.
        await speak(page, "Once more.")
        await shows_phase(page, "The speech is ready")
