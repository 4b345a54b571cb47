"""Ways into both apps, as a person takes them."""

from __future__ import annotations

from playwright.async_api import Page, expect


async def sign_in(page: Page, email: str, password: str, *, path: str = "/sign-in") -> None:
    """Sign in at the studio, and wait for the page behind it."""
    await page.goto(path)
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.locator("#main")).to_be_visible()


async def give_key(page: Page, key: str, *, path: str = "/operations/") -> None:
    """Give the console an operator's key, and wait for the page behind it."""
    await page.goto(path)
    await page.get_by_label("Operator's key", exact=True).fill(key)
    await page.get_by_role("button", name="Open the console").click()
    await expect(page.locator("#main")).to_be_visible()
