"""The connection goes, or the service does: the page says so, keeps what was written, and goes on."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.orders import api_process, kill_api, playback_told
from tests.browser.signing_in import sign_in
from tests.browser.sound import Sound
from tests.browser.speaking import (
    FELL_BACK,
    SHORT_TEXT,
    keeps_text,
    open_speak,
    shows_phase,
    speak,
    write,
)
from tests.browser.waiting import until
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

#: A few seconds of speech.
TEXT = "The lights go down, the music stops, and somebody coughs in the third row of the balcony."
OFFLINE = "You are offline. What you wrote stays here; everything continues when the connection is back."
UNKNOWN = (
    "The service did not answer, so it is not known whether the speech was begun. "
    "Press Speak again: it will not be made twice."
)


async def page_is_here(page: Page, name: str) -> None:
    """Wait until a page that was not gone to yet was loaded all the same."""

    async def here() -> bool:
        loaded: bool = await page.evaluate(
            "name => performance.getEntriesByType('resource').some(one => one.name.includes(`/${name}-`))",
            name,
        )
        return loaded

    await until(here, what=f"the code of the page {name}")


async def test_without_a_connection_nothing_written_is_lost(
    service: Service,
    browser: Browser,
    account: Account,
    http: aiohttp.ClientSession,
    voice: str,
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await open_speak(page, account, voice, "Ann")
        await write(page, "Before.")
        await page_is_here(page, "Voices")
        await window.context.set_offline(True)
        await expect(page.get_by_role("status").filter(has_text=OFFLINE)).to_be_visible()
        await speak(page, SHORT_TEXT)
        await expect(page.get_by_role("alert")).to_have_text(UNKNOWN)
        await keeps_text(page, SHORT_TEXT)
        # Another page is there, too, and what was written is there on the way back.
        await page.get_by_role("link", name="Voices", exact=True).click()
        await expect(page.get_by_role("heading", name="Voices", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Speak", exact=True).click()
        await keeps_text(page, SHORT_TEXT)

        await window.context.set_offline(False)
        await expect(page.get_by_text(OFFLINE)).to_have_count(0)
        await expect(page.get_by_role("combobox", name="Voice")).to_have_value("Ann")
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await sound.begins()
        rows = await Caller(http, service.api, account.tenant.access_token).generations()
        assert [row["text"] for row in rows] == [SHORT_TEXT]


async def test_a_page_that_cannot_be_loaded_is_waited_for(
    service: Service, browser: Browser, account: Account
) -> None:
    refused: list[str] = []

    async def refuse(route: Route) -> None:
        refused.append(route.request.url)
        await route.abort("connectionrefused")

    async with visit(browser, service.api) as window:
        page = window.page
        # Nothing is loaded ahead in a browser that is never idle.
        await page.add_init_script("window.requestIdleCallback = () => 0")
        await sign_in(page, account.email, account.password)
        await expect(page.get_by_role("heading", name="You have no voice yet")).to_be_visible()
        await page.route(re.compile("/assets/|/design$"), refuse)
        await page.get_by_role("link", name="Design", exact=True).click()

        async def tries() -> int:
            return len(refused)

        await until(tries, lambda times: times >= 2, what="a second try")
        await expect(page.get_by_role("navigation", name="Studio")).to_be_visible()
        await expect(page.get_by_text("This page broke.")).to_have_count(0)
        await page.unroute_all()
        await expect(page.get_by_role("heading", name="Design a voice")).to_be_visible()


async def test_a_service_that_dies_amid_a_speech_is_waited_for(
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
        _, restarts = await api_process(paced_service)
        await speak(page, TEXT)
        await sound.begins()
        killed = await kill_api(paced_service)
        await expect(page.get_by_text(FELL_BACK)).to_be_visible()
        # Nobody does anything: the supervisor starts it again, and the page goes on.
        fresh, times = await until(
            lambda: api_process(paced_service),
            lambda now: now[0] not in {0, killed},
            what="an api that was started again",
        )
        assert fresh != killed
        assert times > restarts
        await shows_phase(page, "The speech is ready", within_s=60)
        await expect(page.get_by_role("alert")).to_have_count(0)
        await keeps_text(page, TEXT)
        await page.get_by_role("link", name="History", exact=True).click()
        await expect(
            page.get_by_role("listitem").filter(has_text=TEXT).filter(has_text="Ready")
        ).to_have_count(1)
        # What was heard of the first one is known, and that it ended before its time.
        rows = await Caller(http, paced_service.api, paced_account.tenant.access_token).generations()
        assert [row["status"] for row in rows] == ["completed", "failed"]
        told = await until(
            lambda: playback_told(paced_service, rows[1]["id"]),
            lambda kinds: "ended_early" in kinds,
            what="the player's word that it ended early",
        )
        assert told[0] == "started"
