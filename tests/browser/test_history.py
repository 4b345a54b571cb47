"""What was spoken: found again, spoken again, kept, deleted, and brought back in time."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.orders import faults
from tests.browser.signing_in import sign_in
from tests.browser.speaking import keeps_text, shows_phase
from tests.browser.waiting import until
from understudy.demo.service import Service
from understudy.demo.tenant import RefusedError

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FIRST, SECOND, FAILED = "The curtain rises.", "The curtain falls.", "Nobody hears this."


def rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Speeches").get_by_role("listitem")


async def test_speeches_are_found_spoken_again_and_deleted(
    service: Service,
    browser: Browser,
    account: Account,
    http: aiohttp.ClientSession,
    voice: str,
) -> None:
    await account.tenant.speak(voice, FIRST)
    await account.tenant.speak(voice, SECOND)
    async with faults(http, service.dashscope, error_event=1):
        with pytest.raises(RefusedError):
            await account.tenant.speak(voice, FAILED)
    caller = Caller(http, service.api, account.tenant.access_token)
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        await page.get_by_role("link", name="History", exact=True).click()
        await expect(rows(page)).to_have_count(3)
        await expect(rows(page).first).to_contain_text(FAILED)
        await expect(rows(page).first).to_contain_text("Failed")
        await expect(
            rows(page).first.get_by_role("button", name=re.compile("^(Play|Download)"))
        ).to_have_count(0)

        await page.get_by_label("Search the texts").fill("CURTAIN rises")
        await expect(rows(page)).to_have_count(1)
        await expect(rows(page)).to_contain_text(FIRST)
        await expect(page).to_have_url(re.compile(r"search=CURTAIN"))
        await page.get_by_label("Search the texts").fill("no such words")
        await expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
        await page.get_by_role("button", name="Show everything").click()
        await expect(rows(page)).to_have_count(3)
        await page.get_by_label("Status").select_option("Failed")
        await expect(rows(page)).to_have_count(1)
        # The way back, and a load of the address, show the same.
        await page.reload()
        await expect(rows(page)).to_have_count(1)
        await page.get_by_label("Status").select_option("Any status")
        await expect(rows(page)).to_have_count(3)

        row = rows(page).filter(has_text=SECOND)
        async with page.expect_download() as downloading:
            await row.get_by_role("button", name=f"Download “{SECOND}”").click()
        assert (await (await downloading.value).path()).stat().st_size > 1000

        await row.get_by_role("button", name=f"Delete “{SECOND}”").click()
        await expect(rows(page)).to_have_count(2)
        await page.get_by_role("button", name="Undo").click()
        await expect(rows(page)).to_have_count(3)
        assert len(await caller.generations()) == 3
        await rows(page).filter(has_text=FAILED).get_by_role("button", name="Delete “").click()
        await expect(rows(page)).to_have_count(2)
        await until(caller.generations, lambda kept: len(kept) == 2, what="a deletion that was not undone")

        await rows(page).filter(has_text=FIRST).get_by_role("button", name="Speak again: “").click()
        await expect(page.get_by_role("combobox", name="Voice")).to_have_value("Ann")
        await keeps_text(page, FIRST)
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
        assert len(await caller.generations()) == 3
