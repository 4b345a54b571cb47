"""What Firefox does differently: it plays MP3 while it comes in another container only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.browser.caller import Caller
from tests.browser.conftest import Account
from tests.browser.firefox import ENTER, TAB, Firefox, firefox, firefox_path
from tests.browser.orders import playback_told
from tests.browser.sound import Sound
from tests.browser.speaking import LONG_TEXT
from tests.browser.waiting import until
from understudy.demo.service import Service

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("paced_voice"),
    pytest.mark.skipif(
        firefox_path() is None,
        reason="Firefox is not installed: apt-get install firefox-esr, or set FIREFOX to its path",
    ),
]


@pytest_asyncio.fixture(loop_scope="session")
async def window(http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[Firefox]:
    """A window with a profile of its own."""
    async with firefox(http, tmp_path) as running:
        yield running


async def test_a_speech_is_heard_long_before_it_ends(
    paced_service: Service,
    http: aiohttp.ClientSession,
    window: Firefox,
    paced_account: Account,
    record_property: Callable[[str, object], None],
) -> None:
    await window.goto(f"{paced_service.api}/sign-in")
    # A password field has no role to be found by: it is the next one.
    await window.fill("textbox", "E-mail", f"{paced_account.email}{TAB}{paced_account.password}{ENTER}")
    # The only voice is chosen by itself.
    await window.press("link", "Speak")
    await window.fill("textbox", "Text", LONG_TEXT)
    await window.press("button", "Speak")
    sound = Sound(window)
    await sound.begins()
    await window.shown("heading", "Speaking")
    await window.shown("heading", "The speech is ready", within_s=60)
    times = await sound.stream_times()
    print(f"\nFirefox, {len(LONG_TEXT)} characters: {times}")
    record_property("first_audio_ms", times.first_playing_ms)
    assert times.share < 0.5
    await sound.ends(within_s=60)
    [row] = await Caller(http, paced_service.api, paced_account.tenant.access_token).generations()
    told = await until(
        lambda: playback_told(paced_service, row["id"]),
        lambda all_of_it: "ended" in all_of_it,
        what="its end",
    )
    # On a machine with ten other things to do it may well stall.
    assert [event for event in told if event != "stalled"] == ["started", "ended"]
    assert window.problems == []
