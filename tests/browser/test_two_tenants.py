"""Nothing of one person is ever shown to another: by link, by list, or of what the browser still holds."""

from __future__ import annotations

import json

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.caller import Caller
from tests.browser.chromium import visit
from tests.browser.conftest import Account, new_account
from tests.browser.signing_in import sign_in
from tests.browser.speaking import keeps_text, open_speak, text_field, write
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECRET_VOICE = "Cordelia of the first tenant"
SECRET_TEXT = "The wine is behind the third flat."
SECRET_DRAFT = "A draft that only its author may read."
SECRETS = (SECRET_VOICE, SECRET_TEXT, SECRET_DRAFT)

# Looks at every change of the page, however short it is to be seen; the list of words is the tab's.
_WATCH = """
const words = JSON.parse(sessionStorage.getItem("watch.words") ?? "[]");
const look = () => {
  const shown = document.documentElement?.outerHTML ?? "";
  const fields = [...document.querySelectorAll("input, textarea")].map(({ value }) => value).join(" ");
  for (const word of words) {
    if (!shown.includes(word) && !fields.includes(word)) continue;
    const before = sessionStorage.getItem("watch.seen") ?? "";
    sessionStorage.setItem("watch.seen", `${before}${location.pathname}: ${word}; `);
  }
};
if (words.length > 0) {
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document, all);
}
"""


async def watch_for(page: Page, words: tuple[str, ...]) -> None:
    """From the next load on, note where any of these words is shown."""
    await page.evaluate("words => sessionStorage.setItem('watch.words', words)", json.dumps(words))


async def seen(page: Page) -> str | None:
    noted: str | None = await page.evaluate("sessionStorage.getItem('watch.seen')")
    return noted


async def has_much(account: Account, recording: bytes) -> tuple[str, str]:
    """A voice and a speech of the account; their ids."""
    voice = await account.tenant.clone(SECRET_VOICE, recording, "She read on.")
    return voice, (await account.tenant.speak(voice, SECRET_TEXT)).generation_id


async def test_links_to_what_is_anothers_lead_nowhere(
    service: Service,
    browser: Browser,
    http: aiohttp.ClientSession,
    account: Account,
    recording_bytes: bytes,
) -> None:
    voice, generation = await has_much(account, recording_bytes)
    other = await new_account(http, service.api)
    await other.tenant.clone("Ben", recording_bytes, "He read on.")
    async with visit(browser, service.api) as window:
        page = window.page
        await page.add_init_script(_WATCH)
        await sign_in(page, other.email, other.password)
        await watch_for(page, SECRETS)

        await page.goto(f"/generate?voice_id={voice}&text=Hello")
        await expect(
            page.get_by_text("This voice is not there any more. Choose another one.")
        ).to_be_visible()
        await expect(page.get_by_role("combobox", name="Voice")).to_have_value("")
        await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_disabled()
        await page.goto(f"/generate?generation_id={generation}")
        await expect(page.get_by_text("Generation not found.", exact=True)).to_be_visible()
        await keeps_text(page, "Hello")
        await page.goto("/history?search=wine")
        await expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
        await page.goto("/history")
        await expect(page.get_by_role("heading", name="Nothing has been spoken yet")).to_be_visible()
        await page.goto("/voices?search=Cordelia")
        await page.goto("/voices")
        await expect(page.get_by_role("heading", name="Ben", exact=True)).to_be_visible()
        await expect(page.get_by_text("1 voice", exact=True)).to_be_visible()
        assert await seen(page) is None

    caller = Caller(http, service.api, other.tenant.access_token)
    for method, path in (
        ("GET", f"/api/voices/{voice}/preview"),
        ("GET", f"/api/generations/{generation}/audio?redirect=false"),
        ("POST", f"/api/generations/{generation}/regenerate"),
        ("DELETE", f"/api/generations/{generation}"),
        ("DELETE", f"/api/voices/{voice}"),
    ):
        assert await caller.status(method, path) == 404, f"{method} {path}"


async def test_the_next_person_at_the_same_browser_finds_nothing(
    service: Service,
    browser: Browser,
    http: aiohttp.ClientSession,
    account: Account,
    recording_bytes: bytes,
) -> None:
    voice, _ = await has_much(account, recording_bytes)
    other = await new_account(http, service.api)
    await other.tenant.clone("Ben", recording_bytes, "He read on.")
    async with visit(browser, service.api) as window:
        page = window.page
        await page.add_init_script(_WATCH)
        await open_speak(page, account, voice, SECRET_VOICE)
        await write(page, SECRET_DRAFT)
        await page.get_by_role("link", name="History", exact=True).click()
        await expect(page.get_by_text(SECRET_TEXT)).to_be_visible()
        await page.get_by_role("button", name=f"Play “{SECRET_TEXT}”").click()
        await expect(page.get_by_role("region", name="Player")).to_be_visible()
        await page.get_by_role("link", name="Voices", exact=True).click()
        await expect(page.get_by_role("heading", name=SECRET_VOICE)).to_be_visible()

        # The page is the same one all the way: what it holds in memory is held still.
        await watch_for(page, SECRETS)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.get_by_role("region", name="Player")).to_have_count(0)
        await page.evaluate(_WATCH)
        await page.go_back()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.get_by_label("E-mail").fill(other.email)
        await page.get_by_label("Password", exact=True).fill(other.password)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        for link, heading in (
            ("Voices", "Ben"),
            ("History", "Nothing has been spoken yet"),
            ("Usage", "Usage"),
            ("Speak", "Speak"),
        ):
            await page.get_by_role("link", name=link, exact=True).click()
            await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        await expect(text_field(page)).to_have_value("")
        await expect(page.get_by_role("combobox", name="Voice")).to_have_value("Ben")
        await page.get_by_role("combobox", name="Voice").click()
        await expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
        assert await seen(page) is None, await seen(page)

        # The first one's draft was kept for them, and for nobody else.
        await write(page, "What the second one wrote.")
        await page.get_by_role("button", name="Sign out").click()
        await sign_in(page, account.email, account.password, path="/sign-in?next=%2Fgenerate")
        await keeps_text(page, SECRET_DRAFT)
