"""Everything by the keyboard alone, and always to be seen where it is."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.chromium import visit
from tests.browser.conftest import Account
from tests.browser.sound import Sound
from tests.browser.speaking import LONG_TEXT, shows_phase, text_field
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MOST_STOPS = 60
# An outline or a ring of its own, or one of what holds it.
_SEEN = """() => {
  let element = document.activeElement;
  if (element === null || element === document.body || element.id === "main") return "";
  const name = element.getAttribute("aria-label") ?? element.textContent ?? "";
  const { width, height } = element.getBoundingClientRect();
  if (width === 0 || height === 0) return `${element.tagName} ${name}: has no size`;
  for (let depth = 0; element !== null && depth < 3; depth += 1, element = element.parentElement) {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
    if (outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 1) return "";
    if (boxShadow !== "none") return "";
  }
  return `${document.activeElement.tagName} ${name}: has the focus and does not show it`;
}"""


async def go_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until the focus is there; at every stop on the way it can be seen."""
    await expect(target).to_be_visible()
    for _ in range(MOST_STOPS):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press(key)
        assert await page.evaluate(_SEEN) == ""
    raise AssertionError(f"{key} does not lead to {target}")


async def test_sign_in_speak_pause_and_answer_a_question(
    paced_service: Service, browser: Browser, paced_account: Account, recording_bytes: bytes
) -> None:
    await paced_account.tenant.clone("Ann", recording_bytes, "She read on.")
    async with visit(browser, paced_service.api) as window:
        page = window.page
        sound = await Sound.of(page)
        await page.goto("/")
        await expect(page.get_by_label("E-mail")).to_be_focused()
        await page.keyboard.type(paced_account.email)
        await go_to(page, page.get_by_label("Password", exact=True))
        await page.keyboard.type(paced_account.password)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("navigation", name="Studio")).to_be_visible()

        # The voice is chosen from a list that opens, moves and closes by keys.
        voice = page.get_by_role("combobox", name="Voice")
        await go_to(page, voice)
        await page.keyboard.press("ArrowDown")
        await expect(page.get_by_role("option", name=re.compile("^Ann"))).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("listbox")).to_be_hidden()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(voice).to_have_value("Ann")

        await go_to(page, text_field(page))
        # It is still being made at the last of the stops, where it is cancelled.
        await page.keyboard.insert_text(" ".join([LONG_TEXT] * 3))
        await page.keyboard.press("Control+Enter")
        await sound.begins()

        player = page.get_by_role("region", name="Player")
        await go_to(page, player.get_by_role("button", name="Pause", exact=True))
        await page.keyboard.press("Enter")
        await expect(player.get_by_role("button", name="Play", exact=True)).to_be_focused()
        standing = await sound.standing()
        assert standing is not None
        assert standing["paused"]
        await page.keyboard.press("Space")
        await expect(player.get_by_role("button", name="Pause", exact=True)).to_be_visible()
        await sound.advances()
        await go_to(page, page.get_by_role("main").get_by_role("button", name="Cancel"), key="Shift+Tab")
        await page.keyboard.press("Enter")
        await shows_phase(page, "Cancelled")
        await expect(page.get_by_role("button", name="Speak", exact=True)).to_be_focused()

        # A dialog keeps the focus, is left by Escape, and gives the focus back.
        await go_to(page, page.get_by_role("link", name="Account"), key="Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
        everywhere = page.get_by_role("main").get_by_role("button", name="Sign out everywhere")
        await go_to(page, everywhere)
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Sign out everywhere?")
        await expect(dialog).to_be_visible()
        for _ in range(6):
            assert await dialog.evaluate("element => element.contains(document.activeElement)")
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement === document.body"):
                # The browser's own bar is a stop on the way around.
                await page.keyboard.press("Tab")
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(everywhere).to_be_focused()
