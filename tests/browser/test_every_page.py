"""Every page, on a desk and on a phone, light and dark: axe, width, quiet layout, policy, and its picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import accessible
from tests.browser.chromium import Device, Scheme, visit
from tests.browser.conftest import Account, new_account
from tests.browser.pictures import picture
from tests.browser.signing_in import give_key, sign_in
from tests.browser.watched_drill import WatchedDrill
from understudy.demo.service import Service
from understudy.drilling.place import Place

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STUDIO = ("generate", "voices", "clone", "design", "history", "usage", "account")
OPERATIONS = ("overview", "incidents", "incident", "cutover", "playbook", "drills", "known-good", "audit")
#: Chromium's own measure; 0.1 is what the web calls good, and nothing here is that restless.
SHIFT_AT_MOST = 0.02
SPOKEN = (
    "Good evening, and welcome to the theatre.",
    "The understudy knows every line, and waits in the wings.",
    "one two three four five six seven",
)

_SHIFTS = """
window.__shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""

looks = pytest.mark.parametrize(
    ("device", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def furnished(service: Service, http: aiohttp.ClientSession, recording_bytes: bytes) -> Account:
    """A tenant with voices and history, as after a first afternoon."""
    account = await new_account(http, service.api)
    voice = await account.tenant.clone("Ann reads", recording_bytes, "She read on.")
    await account.tenant.clone("The old narrator", recording_bytes, "She read on.")
    for text in SPOKEN:
        await account.tenant.speak(voice, text)
    return account


@looks
async def test_the_studios_pages(
    service: Service, browser: Browser, furnished: Account, device: Device, scheme: Scheme
) -> None:
    async with visit(browser, service.api, device=device, scheme=scheme) as window:
        await window.context.add_init_script(_SHIFTS)
        found: list[str] = []
        await window.page.goto("/sign-in")
        found += await _look(window.page, "studio", "sign-in", device, scheme)
        await sign_in(window.page, furnished.email, furnished.password)
        for name in STUDIO:
            await window.page.goto(f"/{name}")
            found += await _look(window.page, "studio", name, device, scheme)
        assert not found, "\n".join(found)


@looks
async def test_the_consoles_pages(
    stage: Place,
    browser: Browser,
    watched: WatchedDrill,
    device: Device,
    scheme: Scheme,
) -> None:
    async with visit(browser, stage.service.guard, device=device, scheme=scheme) as window:
        await window.context.add_init_script(_SHIFTS)
        found: list[str] = []
        await window.page.goto("/operations/")
        found += await _look(window.page, "operations", "sign-in", device, scheme)
        await give_key(window.page, stage.approvers[0])
        for name in OPERATIONS:
            path = {"overview": "", "incident": f"incidents/{watched.incident}"}.get(name, name)
            await window.page.goto(f"/operations/{path}")
            found += await _look(window.page, "operations", name, device, scheme)
        assert not found, "\n".join(found)


async def _look(page: Page, app: str, name: str, device: Device, scheme: Scheme) -> Sequence[str]:
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await _settled(page)
    found = await accessible.violations(page)
    wider = await accessible.overflows(page)
    if wider:
        found.append(f"wider than its window by {wider} px")
    shift: float = await page.evaluate("window.__shift")
    if shift > SHIFT_AT_MOST:
        found.append(f"its layout moved by {shift:.3f}")
    await picture(page, f"{app}-{name}-{device}-{scheme}")
    return [f"{app} {name}, {device}, {scheme}: {one}" for one in found]


async def _settled(page: Page) -> None:
    """Wait until nothing is being loaded into the page."""
    await expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    async with asyncio.timeout(10):
        await page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
