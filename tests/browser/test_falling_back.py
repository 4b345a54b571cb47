"""Speech that cannot be heard as it is made: a broken stream, the provider that has none, a refusal."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.orders import calm, faults, in_force, mode
from tests.browser.sound import Sound
from tests.browser.speaking import (
    FELL_BACK,
    LONG_TEXT,
    SHORT_TEXT,
    keeps_text,
    open_speak,
    shows_phase,
    speak,
    text_field,
    write,
)
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TOO_LONG_FOR_QWEN = "The play begins at eight. " * 90


async def calm_when_it_falls_back(page: Page, http: aiohttp.ClientSession, panel: str) -> None:
    """The stream meets the fault; what is asked for in its place does not."""

    async def passing(route: Route) -> None:
        await calm(http, panel)
        await route.continue_()

    await page.route(re.compile(r"/api/generate$"), passing)


@pytest.mark.parametrize("fault", ["error_event", "error_after_audio"])
async def test_a_broken_stream_ends_in_one_sentence_and_in_speech(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    http: aiohttp.ClientSession,
    paced_voice: str,
    fault: str,
) -> None:
    async with (
        visit(browser, paced_service.api) as window,
        faults(http, paced_service.dashscope, **{fault: 1.0}),
    ):
        page = window.page
        sound = await Sound.of(page)
        await calm_when_it_falls_back(page, http, paced_service.dashscope)
        await open_speak(page, paced_account, paced_voice, "Ann")
        await speak(page, SHORT_TEXT)
        await expect(page.get_by_role("main").get_by_role("status").filter(has_text=FELL_BACK)).to_have_count(
            1
        )
        await expect(page.get_by_role("alert")).to_have_count(0)
        await shows_phase(page, "The speech is ready", within_s=40)
        await expect(page.get_by_text(FELL_BACK)).to_have_count(1)
        if await page.get_by_role("region", name="Player").count() == 0:
            await page.get_by_role("button", name="Play from the start").click()
        await sound.begins()
        await sound.advances()
        await keeps_text(page, SHORT_TEXT)
        rows = await Caller(http, paced_service.api, paced_account.tenant.access_token).generations()
        assert [row["status"] for row in rows] == ["completed", "failed"]


async def test_a_provider_that_does_not_stream_shows_progress_and_loses_no_text(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    http: aiohttp.ClientSession,
    paced_voice: str,
) -> None:
    async with visit(browser, paced_service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await open_speak(page, paced_account, paced_voice, "Ann")
        await write(page, TOO_LONG_FOR_QWEN)
        await expect(page.get_by_text("2,340 / 2,000")).to_be_visible()
        await expect(page.get_by_role("alert").filter(has_text="340 characters too long")).to_be_visible()
        await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_disabled()

        async with mode(paced_service, "modal"):
            await expect(page.get_by_text("2,340 / 10,000")).to_be_visible()
            await keeps_text(page, TOO_LONG_FOR_QWEN)
            await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_enabled()

            async with faults(http, paced_service.modal, result_202_forever=1):
                await speak(page, SHORT_TEXT)
                await expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
                await shows_phase(page, "Making the speech")
                await expect(page.get_by_text("the speech will be up to a minute long")).to_be_visible()
            await shows_phase(page, "The speech is ready")
            await expect(page.get_by_text(FELL_BACK)).to_have_count(0)
            await sound.begins()
            await sound.advances()
            await write(page, TOO_LONG_FOR_QWEN)
        await expect(page.get_by_text("2,340 / 2,000")).to_be_visible()
        await keeps_text(page, TOO_LONG_FOR_QWEN)


async def test_a_switch_that_the_page_has_not_heard_of_is_no_failure(
    paced_service: Service, browser: Browser, paced_account: Account, paced_voice: str
) -> None:
    async with visit(browser, paced_service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await open_speak(page, paced_account, paced_voice, "Ann")
        await write(page, SHORT_TEXT)
        await expect(page.get_by_text("25 / 2,000")).to_be_visible()
        # From here on this page is told what was so before.
        before = await page.evaluate("fetch('/api/languages').then(answer => answer.json())")
        await page.route("**/api/languages", lambda route: route.fulfill(json=before))
        async with mode(paced_service, "modal"):
            await page.get_by_role("button", name="Speak", exact=True).click()
            await shows_phase(page, "The speech is ready")
            await expect(page.get_by_text(FELL_BACK)).to_have_count(1)
            await expect(page.get_by_role("alert")).to_have_count(0)
            await sound.begins()


async def test_a_refusal_counts_down_until_it_may_be_tried_again(
    paced_service: Service, browser: Browser, paced_account: Account, paced_voice: str
) -> None:
    async with visit(browser, paced_service.api) as window:
        page = window.page
        await page.clock.install()
        await open_speak(page, paced_account, paced_voice, "Ann")
        async with in_force(paced_service, ("valve", "close", "generation"), ("valve", "open", "generation")):
            await speak(page, SHORT_TEXT)
            await expect(page.get_by_role("alert")).to_have_text(
                "Speech generation is paused by the operators; try again later."
            )
            await expect(page.get_by_text(re.compile(r"^You can try again in [1-6]?\d s\.$"))).to_be_visible()
            await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_disabled()
            await page.clock.fast_forward(30_000)
            await expect(page.get_by_text(re.compile(r"^You can try again in [12]?\d s\.$"))).to_be_visible()
            await keeps_text(page, SHORT_TEXT)
        await page.clock.fast_forward(31_000)
        await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_enabled()
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")


async def test_one_that_is_still_made_is_told_of_and_can_be_cancelled_there(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    http: aiohttp.ClientSession,
    paced_voice: str,
) -> None:
    caller = Caller(http, paced_service.api, paced_account.tenant.access_token)
    async with mode(paced_service, "modal"), visit(browser, paced_service.api) as window:
        page = window.page
        await open_speak(page, paced_account, paced_voice, "Ann")
        await expect(page.get_by_text("/ 10,000")).to_be_visible()
        async with faults(http, paced_service.modal, slow=1, slow_s=60):
            await caller.post(
                "/api/generate", {"voice_id": paced_voice, "text": LONG_TEXT, "language": "English"}
            )
            await speak(page, SHORT_TEXT)
            await expect(page.get_by_role("alert")).to_have_text(
                "You have 1 generation(s) in progress, and at most 1 at a time; "
                "wait for one to finish or cancel it."
            )
            await expect(text_field(page)).to_have_value(SHORT_TEXT)
            other = page.get_by_role("listitem").filter(has_text=LONG_TEXT)
            await expect(other.get_by_role("progressbar", name="Progress")).to_be_visible()
            await other.get_by_role("button", name="Cancel “").click()
            await expect(other.get_by_text("Cancelled", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
        await expect(page.get_by_role("alert")).to_have_count(0)
