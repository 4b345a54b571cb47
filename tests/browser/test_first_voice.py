"""The first minutes of a person who has just come: an account, a voice of the microphone, its first words."""

from __future__ import annotations

import re
import secrets

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.caller import caller_with_password
from tests.browser.chromium import visit
from tests.browser.orders import playback_told
from tests.browser.sound import Sound
from tests.browser.speaking import speak
from tests.browser.waiting import until
from understudy.audio.wav import duration_ms, write_wav
from understudy.demo.service import Service
from understudy.demo.story import MAX_ERROR_RATE, RECORDINGS
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DIGITS = "four seven one nine three eight"
TRANSCRIPT = RECORDINGS["austen-0870.wav"]


async def sign_up(page: Page) -> tuple[str, str]:
    email, password = f"first-{secrets.token_hex(4)}@studio.understudy.invalid", secrets.token_urlsafe(12)
    await page.goto("/")
    await page.get_by_role("link", name="Create an account").click()
    await expect(page.get_by_role("heading", name="Create an account")).to_be_visible()
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_role("heading", name="You have no voice yet")).to_be_visible()
    return email, password


async def record(page: Page) -> None:
    """Some seconds of what the microphone hears."""
    await page.get_by_role("button", name="Record", exact=True).click()
    await expect(page.get_by_role("heading", name="Read this aloud")).to_be_visible()
    await expect(page.get_by_role("meter", name="Level of the microphone")).to_be_visible()
    await expect(page.get_by_text("0:05 of")).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Stop").click()


async def test_from_nothing_to_a_voice_that_is_heard(
    service: Service, browser: Browser, http: aiohttp.ClientSession
) -> None:
    async with visit(browser, service.api, microphone=True) as window:
        page = window.page
        sound = await Sound.of(page)
        email, password = await sign_up(page)

        await page.get_by_role("link", name="Clone a voice").click()
        await page.get_by_label("Name", exact=True).fill("Ada")
        await page.get_by_label("What is said in the recording").fill(TRANSCRIPT)
        await record(page)
        await expect(page.get_by_role("heading", name="How it sounds")).to_be_visible()
        await expect(page.get_by_text(re.compile(r"^Fine: It is \d+(\.\d)? s long\.$"))).to_be_visible()
        await expect(page.get_by_text(re.compile(r"^Fine: Somebody speaks for about"))).to_be_visible()
        await expect(page.get_by_text("Cannot be sent")).to_have_count(0)
        await page.get_by_role("button", name="Make the voice").click()
        await expect(page.get_by_role("heading", name="Ada is ready")).to_be_visible(timeout=30_000)

        await page.get_by_role("link", name="Speak with Ada").click()
        await expect(page.get_by_role("combobox", name="Voice")).to_have_value("Ada")
        await page.get_by_label("Language").select_option("English")
        await speak(page, DIGITS)
        await sound.begins()
        await sound.advances()
        await expect(page.get_by_role("heading", name="The speech is ready")).to_be_visible()
        await sound.ends()

        caller = await caller_with_password(http, service.api, email, password)
        row = await caller.spoken(DIGITS)
        clip = await caller.audio(row["id"])
        heard = await hear_digits(write_wav(clip))
        print(f"\nheard back: {' '.join(heard)} in {duration_ms(clip) / 1000:.1f} s of audio")
        assert digit_error_rate(DIGITS, heard) <= MAX_ERROR_RATE, heard

        told = await until(
            lambda: playback_told(service, row["id"]),
            lambda kinds: "ended" in kinds,
            what="the player's word that it was heard to its end",
        )
        # A stall may be one of a machine with much to do.
        assert [kind for kind in told if kind != "stalled"] == ["started", "ended"]

        await page.get_by_role("link", name="History", exact=True).click()
        listed = page.get_by_role("listitem").filter(has_text=DIGITS)
        await expect(listed).to_have_count(1)
        await expect(listed).to_contain_text("Ada")
        await expect(listed).to_contain_text("Ready")
        await sound.forget()
        await listed.get_by_role("button", name=f"Play “{DIGITS}”").click()
        await expect(listed.get_by_role("button", name=f"Pause “{DIGITS}”")).to_be_visible()
        await sound.advances()
