"""A voice from words: describe, hear, change the words, keep; and the list that it then stands in."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.signing_in import sign_in
from tests.browser.waiting import until
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WARM = "A warm, unhurried woman in her fifties, a little husky."
CALM = "A calm young man who speaks slowly and clearly."


async def describe(page: Page, words: str) -> None:
    await page.get_by_label("What the voice is like").fill(words)
    await page.get_by_label("What it says in the preview").fill("Good evening, and welcome to the theatre.")
    await page.get_by_role("button", name=re.compile("^Hear (a|another) preview$")).click()


async def test_a_voice_is_designed_refined_kept_and_found_again(
    service: Service, browser: Browser, account: Account
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        await page.goto("/design")
        await expect(
            page.get_by_text(re.compile(r"Each preview costs \$0\.\d+, kept or not"))
        ).to_be_visible()

        await describe(page, WARM)
        await expect(page.get_by_role("button", name="Play Preview 1")).to_be_visible(timeout=30_000)

        # The words go back into the form, are changed, and make another preview; the first one stays.
        await page.get_by_label("What the voice is like").fill("something else meanwhile")
        await page.get_by_role("button", name="Change these words").click()
        await expect(page.get_by_label("What the voice is like")).to_have_value(WARM)
        await describe(page, CALM)
        await expect(page.get_by_role("button", name="Play Preview 2")).to_be_visible(timeout=30_000)
        await expect(page.get_by_role("button", name="Play Preview 1")).to_be_visible()

        await page.get_by_role("button", name="Play Preview 2").click()
        await expect(page.get_by_role("button", name="Pause Preview 2")).to_be_visible()

        await page.get_by_role("button", name="Keep this voice").first.click()
        await page.get_by_label("Name").fill("Evening voice")
        await page.get_by_role("dialog").get_by_role("button", name="Keep this voice").click()
        await expect(page.get_by_text("“Evening voice” is one of your voices now.").first).to_be_visible()

        # What was made is the service's: the page may be loaded again.
        await page.reload()
        await expect(page.get_by_text("Kept", exact=True)).to_have_count(1)
        await expect(page.get_by_label("What the voice is like")).to_have_value(CALM)

        await page.get_by_role("link", name="Voices").click()
        await expect(page.get_by_role("heading", name="Evening voice")).to_be_visible()
        await page.get_by_label("Search voices by name").fill("no such voice")
        await expect(page.get_by_role("heading", name="No voice matches")).to_be_visible()
        await page.get_by_role("button", name="Show all voices").click()
        await expect(page.get_by_role("heading", name="Evening voice")).to_be_visible()
        await page.get_by_label("Kind").select_option("uploaded")
        await expect(page.get_by_role("heading", name="No voice matches")).to_be_visible()


@pytest.mark.usefixtures("voice")
async def test_a_deleted_voice_comes_back_when_it_is_undone_in_time(
    service: Service, browser: Browser, account: Account, http: aiohttp.ClientSession
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        await page.goto("/voices")
        await page.get_by_role("button", name="Delete Ann").click()
        await expect(page.get_by_role("heading", name="Ann", exact=True)).to_have_count(0)
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_role("heading", name="Ann", exact=True)).to_be_visible()

        # Deleted and left: the page tells the service as it goes.
        await page.get_by_role("button", name="Delete Ann").click()
        await expect(page.get_by_role("heading", name="Ann", exact=True)).to_have_count(0)
        await page.goto("about:blank")
        caller = Caller(http, service.api, account.tenant.access_token)
        await until(lambda: caller.get("/api/voices"), lambda kept: kept["voices"] == [], what="a deletion")
        await page.goto("/voices")
        await expect(page.get_by_role("heading", name="You have no voice yet")).to_be_visible()


async def test_a_form_that_is_not_filled_says_what_is_missing(
    service: Service, browser: Browser, account: Account
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        await page.goto("/design")
        await page.get_by_role("button", name="Hear a preview").click()
        await expect(page.get_by_text("Describe the voice first.")).to_be_visible()
        await page.get_by_label("What the voice is like").fill("x" * 501)
        await expect(page.get_by_text("At most 500 characters.")).to_be_visible()
        await expect(page.get_by_text("501 / 500")).to_be_visible()
