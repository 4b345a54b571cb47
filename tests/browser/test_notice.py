"""What people are told while operators have paused something: one plain sentence, as long as it is so."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.orders import in_force
from tests.browser.speaking import SHORT_TEXT, keeps_text, open_speak, shows_phase, speak
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REFUSED = "Changes are paused for maintenance; nothing was changed, try again later."


async def test_a_write_freeze_is_told_and_goes(
    service: Service, browser: Browser, account: Account, voice: str
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        await page.clock.install()
        await open_speak(page, account, voice, "Ann")
        notice = page.get_by_role("main").get_by_role("status").filter(has_text="paused")
        await expect(notice).to_have_count(0)
        async with in_force(service, ("freeze", "on"), ("freeze", "off")):
            # The page asks by itself, every ten seconds by its own clock.
            await page.clock.fast_forward(11_000)
            await expect(notice).to_have_count(1)
            sentence = (await notice.inner_text()).strip()
            print(f"\nthe notice: {sentence}")
            for jargon in ("503", "freeze", "Qwen", "Modal", "database", "incident"):
                assert jargon not in sentence
            await speak(page, SHORT_TEXT)
            await expect(page.get_by_role("alert")).to_have_text(REFUSED)
            await keeps_text(page, SHORT_TEXT)
            # What is only read is there all the while.
            await page.get_by_role("link", name="Voices", exact=True).click()
            await expect(page.get_by_role("heading", name="Ann", exact=True)).to_be_visible()
            await page.get_by_role("link", name="Speak", exact=True).click()
        await page.clock.fast_forward(31_000)
        await expect(notice).to_have_count(0)
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
