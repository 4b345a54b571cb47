"""The page where a text is spoken, as a person uses it."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Account
from tests.browser.signing_in import sign_in

#: More than 200 characters: a quarter of a minute of speech.
LONG_TEXT = (
    "It was a bright morning in the theatre, and nobody had yet found the key to the second dressing room. "
    "The understudy waited at the door with her coat on, read her lines again from the beginning, and "
    "listened to the rain on the roof above the empty stage."
)
SHORT_TEXT = "The play begins at eight."
FELL_BACK = (
    "Live playback was interrupted, so the speech is being made in one piece. "
    "It will appear here when it is ready."
)


def text_field(page: Page) -> Locator:
    """Where the text is written."""
    return page.get_by_label("Text", exact=True)


async def open_speak(page: Page, account: Account, voice_id: str, name: str) -> None:
    """Sign in, and choose the voice."""
    await sign_in(page, account.email, account.password)
    await page.goto(f"/generate?voice_id={voice_id}")
    await expect(page.get_by_role("combobox", name="Voice")).to_have_value(name)


async def write(page: Page, text: str) -> None:
    """Write what the voice is to say."""
    await text_field(page).fill(text)


async def speak(page: Page, text: str) -> None:
    """Write a text, and let it be spoken."""
    await write(page, text)
    await page.get_by_role("button", name="Speak", exact=True).click()


async def shows_phase(page: Page, phase: str, *, within_s: float = 25) -> None:
    """Wait until the page says how far the last speech is."""
    await expect(page.get_by_role("heading", name=phase, exact=True)).to_be_visible(timeout=within_s * 1000)


async def keeps_text(page: Page, text: str) -> None:
    """What was written is still there."""
    await expect(text_field(page)).to_have_value(text)
