"""An operator at three in the morning: what they see of a drill, and of a guard that is gone."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import visit
from tests.browser.orders import listener
from tests.browser.signing_in import give_key
from tests.browser.watched_drill import WatchedDrill, told
from understudy.drilling.place import Place

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_drill_is_watched_from_green_to_closed(watched: WatchedDrill) -> None:
    assert watched.states == ["Mitigated", "Closed"]
    assert watched.document["state"] == "CLOSED"
    assert watched.checklist == "8 of 8"
    tones = [one["tone"] for one in watched.sentences]
    assert "fail" in tones
    assert tones.index("pass") < tones.index("fail")
    texts = [one["text"] for one in watched.sentences]
    assert any(text.startswith("Speech is safe") for text in texts)
    # "Speech is failing on Qwen", or at once the incident's own title.
    assert any(one["tone"] == "fail" and "qwen" in one["text"].lower() for one in watched.sentences)
    # The sentence never says that all is well while the incident is not mitigated.
    between = texts[tones.index("fail") : next((i for i, t in enumerate(texts) if "serves since" in t), None)]
    assert not any(text.startswith("Speech is safe") for text in between)


async def test_what_happens_is_on_the_screen_within_a_second(
    watched: WatchedDrill, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(watched.to_screen_ms) >= 5
    with capsys.disabled():
        print(f"\njournal entry to screen: {told(watched)}")
    middle = watched.to_screen_ms[len(watched.to_screen_ms) // 2]
    assert middle < 1000


async def test_the_story_is_in_the_journals_order(
    watched: WatchedDrill, stage: Place, browser: Browser
) -> None:
    async with visit(browser, stage.service.guard) as window:
        await give_key(window.page, stage.approvers[0], path=f"/operations/incidents/{watched.incident}")
        await expect(window.page.locator("[data-seq]").first).to_be_visible()
        shown = [
            int(seq or 0)
            for seq in await window.page.locator("[data-seq]").evaluate_all(
                "all => all.map(e => e.dataset.seq)"
            )
        ]
        assert len(shown) > 10
        assert all(first < second for first, second in pairwise(shown))


async def test_a_wrong_key_opens_nothing(stage: Place, browser: Browser) -> None:
    async with visit(browser, stage.service.guard) as window:
        await window.page.goto("/operations/")
        await window.page.get_by_label("Operator's key", exact=True).fill("ugk_" + "x" * 40)
        await window.page.get_by_role("button", name="Open the console").click()
        await expect(window.page.get_by_text("The guard does not know this key.")).to_be_visible()
        assert await window.page.evaluate("sessionStorage.length") == 0


async def test_a_key_that_is_revoked_closes_the_console(stage: Place, browser: Browser) -> None:
    async with visit(browser, stage.service.guard) as window:
        key = json.loads(await stage.command("guard-keys", "create", "leaves", "--json"))["key"]
        await give_key(window.page, key)
        await stage.command("guard-keys", "revoke", "leaves")
        await expect(window.page.get_by_text("The guard takes your key no more")).to_be_visible(
            timeout=30_000
        )


async def test_a_page_without_its_guard_says_so_and_comes_back(
    watched: WatchedDrill, stage: Place, browser: Browser, http: aiohttp.ClientSession
) -> None:
    guard = stage.service.guard
    process = listener(guard)
    async with visit(browser, guard) as window:
        await give_key(window.page, stage.approvers[0])
        headline = window.page.locator("[data-tone]")
        await expect(headline).to_have_attribute("data-present", "true")
        # Stopped, not dead: connections stay open and say nothing more.
        os.kill(process, signal.SIGSTOP)
        try:
            await expect(headline).to_have_attribute("data-present", "false", timeout=30_000)
            await expect(window.page.get_by_text("Unknown since").first).to_be_visible()
        finally:
            os.kill(process, signal.SIGCONT)
        await expect(headline).to_have_attribute("data-present", "true", timeout=30_000)
        window.problems.clear()
