"""The distribution's Chromium, its fake microphone, and what a page may not do unseen."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

Scheme = Literal["light", "dark"]
Device = Literal["desktop", "phone"]

#: CSS pixels. The phone is the narrowest that is still common.
SIZES: dict[Device, tuple[int, int]] = {"desktop": (1440, 900), "phone": (390, 844)}

#: The machine has no network but loopback, and a browser that looks for one logs it many times a second.
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Said by Chromium for each answer that is not a success; tests look at answers themselves.
_EXPECTED = ("Failed to load resource",)

_REPORT_VIOLATIONS = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.__violations.push(`${event.violatedDirective}: ${event.blockedURI || "inline"}`);
});
"""


def chromium_path() -> str | None:
    """Where the browser is: ``CHROMIUM``, or the distribution's."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def started(microphone: Path) -> AsyncIterator[Browser]:
    """Start the browser; its microphone hears the WAV file ``microphone`` over and over."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(),
            args=[
                *_QUIET,
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}",
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One person's window: a context of its own, and what went wrong in it.

    Attributes
    ----------
    problems
        Errors of the console, exceptions of the page, and breaches of its content security policy.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.problems: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_EXPECTED):
            self.problems.append(f"console: {message.text}")

    async def violations(self) -> list[str]:
        """Breaches of the content security policy since the page was loaded."""
        found: list[str] = await self.page.evaluate("window.__violations ?? []")
        return found

    async def has_no_problem(self) -> None:
        """Fail naming everything that went wrong in this window."""
        found = [*self.problems, *await self.violations()]
        assert not found, "\n".join(found)


@asynccontextmanager
async def visit(
    browser: Browser,
    base_url: str,
    *,
    device: Device = "desktop",
    scheme: Scheme = "light",
    microphone: bool = False,
) -> AsyncIterator[Visit]:
    """Open a window with nothing remembered; at the end, nothing may have gone wrong in it."""
    width, height = SIZES[device]
    context = await browser.new_context(
        base_url=base_url,
        viewport={"width": width, "height": height},
        device_scale_factor=1,
        has_touch=device == "phone",
        color_scheme=scheme,
        permissions=["microphone"] if microphone else [],
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    await context.add_init_script(_REPORT_VIOLATIONS)
    context.set_default_timeout(15_000)
    page = await context.new_page()
    seen = Visit(context, page)
    try:
        yield seen
        await seen.has_no_problem()
    finally:
        await context.close()
