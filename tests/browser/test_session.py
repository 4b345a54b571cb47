"""A session that ends, is renewed, or cannot be: what was written is never lost by it."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.orders import faults, mode
from tests.browser.signing_in import sign_in
from tests.browser.sound import Sound
from tests.browser.speaking import LONG_TEXT, SHORT_TEXT, keeps_text, open_speak, shows_phase, speak, write
from tests.browser.waiting import until
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The token is as old as if the page had been open for an hour.
_EXPIRE = """() => {
  const kept = JSON.parse(localStorage.getItem("understudy.session"));
  kept.expires_at = Math.floor(Date.now() / 1000) - 1;
  localStorage.setItem("understudy.session", JSON.stringify(kept));
}"""
_TOKEN = "JSON.parse(localStorage.getItem('understudy.session')).access_token"


async def expire(page: Page) -> None:
    await page.evaluate(_EXPIRE)


async def test_a_session_that_ended_asks_for_the_password_over_the_page(
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
        await write(page, SHORT_TEXT)

        # Somebody signs out everywhere, from another device.
        await Caller(http, service.api, account.tenant.access_token).sign_out_everywhere()
        await expire(page)
        dialog = page.get_by_role("dialog", name="Your session has ended")
        await expect(dialog).to_be_visible()
        await expect(dialog.get_by_label("E-mail")).to_have_value(account.email)
        await expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
        await keeps_text(page, SHORT_TEXT)

        await dialog.get_by_label("Password", exact=True).fill("not the password")
        await dialog.get_by_role("button", name="Sign in", exact=True).click()
        await expect(dialog.get_by_text("The e-mail address or the password is not right.")).to_be_visible()
        await dialog.get_by_label("Password", exact=True).fill(account.password)
        await page.keyboard.press("Enter")
        await expect(dialog).to_have_count(0)
        await keeps_text(page, SHORT_TEXT)

        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
        await sound.begins()


async def test_a_form_that_is_sent_as_the_session_ends_is_sent_once_it_is_back(
    service: Service, browser: Browser, account: Account, http: aiohttp.ClientSession
) -> None:
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        await page.goto("/design")
        await page.get_by_label("What the voice is like").fill("A calm old man, a little hoarse.")
        await page.get_by_label("What it says in the preview").fill(SHORT_TEXT)
        await Caller(http, service.api, account.tenant.access_token).sign_out_everywhere()
        # The service refuses the token before the page knows of it.
        await page.route(
            re.compile(r"/api/(?!notice|languages|config)"),
            lambda route: route.fulfill(status=401, json={"detail": "Invalid or expired token"}),
        )
        await page.get_by_role("button", name="Hear a preview").click()
        dialog = page.get_by_role("dialog", name="Your session has ended")
        await expect(dialog).to_be_visible()
        await page.unroute_all()
        await dialog.get_by_label("Password", exact=True).fill(account.password)
        await dialog.get_by_role("button", name="Sign in", exact=True).click()
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_label("What the voice is like")).to_have_value(
            "A calm old man, a little hoarse."
        )
        await page.get_by_role("button", name=re.compile("^Hear a")).click()
        await expect(page.get_by_role("button", name="Play Preview 1")).to_be_visible(timeout=30_000)


async def test_an_issuer_that_is_away_signs_nobody_out(
    service: Service, browser: Browser, account: Account, voice: str
) -> None:
    tries: list[str] = []

    async def away(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) % 2:
            await route.abort("connectionrefused")
        else:
            await route.fulfill(status=502, body="<h1>Bad gateway</h1>")

    async with visit(browser, service.api) as window:
        page = window.page
        await open_speak(page, account, voice, "Ann")
        await write(page, SHORT_TEXT)
        before = await page.evaluate(_TOKEN)
        await page.route(re.compile(r"/auth/v1/token"), away)
        await expire(page)

        async def tried() -> int:
            return len(tries)

        await until(tried, lambda times: times >= 2, what="a second try to renew the session")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("navigation", name="Studio")).to_be_visible()
        await keeps_text(page, SHORT_TEXT)

        await page.unroute_all()

        async def token() -> str:
            found: str = await page.evaluate(_TOKEN)
            return found

        await until(token, lambda now: now != before, what="a renewed session")
        await page.get_by_role("button", name="Speak", exact=True).click()
        await shows_phase(page, "The speech is ready")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_reload_keeps_what_was_written(service: Service, browser: Browser, account: Account) -> None:
    fields = {
        "/clone": {"Name": "Ophelia", "What is said in the recording": "Lord, we know what we are."},
        "/design": {"What the voice is like": "Bright, quick and young.", "What it says": SHORT_TEXT},
    }
    async with visit(browser, service.api) as window:
        page = window.page
        await sign_in(page, account.email, account.password)
        for path, form in fields.items():
            await page.goto(path)
            for label, text in form.items():
                await page.get_by_label(label).first.fill(text)
            # Within the moment in which it is written down.
            await page.reload()
            for label, text in form.items():
                await expect(page.get_by_label(label).first).to_have_value(text)


async def test_what_is_being_made_outlives_the_page(
    paced_service: Service,
    browser: Browser,
    paced_account: Account,
    http: aiohttp.ClientSession,
    paced_voice: str,
) -> None:
    async with mode(paced_service, "modal"), visit(browser, paced_service.api) as window:
        page = window.page
        await open_speak(page, paced_account, paced_voice, "Ann")
        await expect(page.get_by_text("/ 10,000")).to_be_visible()
        row = page.get_by_role("listitem").filter(has_text=LONG_TEXT)
        async with faults(http, paced_service.modal, result_202_forever=1):
            await speak(page, LONG_TEXT)
            await shows_phase(page, "Making the speech")
            await page.reload()
            await expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()
            await expect(row.get_by_text("Being made", exact=True)).to_be_visible()
            await expect(row.get_by_role("progressbar", name="Progress")).to_be_visible()
            await keeps_text(page, LONG_TEXT)
        await expect(row.get_by_text("Ready", exact=True)).to_be_visible()
        await row.get_by_role("button", name="Play “").click()
        await expect(row.get_by_role("button", name="Pause “")).to_be_visible()
