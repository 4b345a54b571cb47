"""An operator's window over a drill: green, broken, restored, proven, closed; with pictures and times."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import Visit, visit
from tests.browser.pictures import picture
from tests.browser.signing_in import give_key
from understudy.drilling.following import Following
from understudy.drilling.place import Place

#: Longer than any step took at a load of ten.
PATIENCE_MS = 90_000

#: Notes when each line of the story came to the screen, by the machine's clock, which is the guard's too.
_NOTE_LINES = """
window.__lines = {};
const note = () => {
  for (const line of document.querySelectorAll("[data-seq]")) {
    window.__lines[line.dataset.seq] ??= Date.now();
  }
};
new MutationObserver(() => requestAnimationFrame(note)).observe(document, {childList: true, subtree: true});
"""
_NOTE_SENTENCES = """
window.__sentences = [];
new MutationObserver(() => {
  const said = document.querySelector("[data-tone]");
  if (!said) return;
  const now = {tone: said.dataset.tone, text: said.querySelector("p").textContent};
  if (window.__sentences.at(-1)?.text !== now.text) window.__sentences.push(now);
}).observe(document, {childList: true, subtree: true, characterData: true, attributes: true});
"""


@dataclass
class WatchedDrill:
    """What the operator saw.

    Attributes
    ----------
    sentences
        The overview's sentence and its tone, each time it changed.
    states
        States of the incident, as its page showed them.
    to_screen_ms
        For each journal entry that was watched: from its time to the screen, in milliseconds.
    """

    incident: str
    sentences: list[dict[str, str]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    to_screen_ms: list[int] = field(default_factory=list)
    checklist: str = ""
    document: dict[str, Any] = field(default_factory=dict)


async def watch_drill(browser: Browser, stage: Place) -> WatchedDrill:
    """Break Qwen on ``stage`` and watch two windows, the overview and the incident, until it is closed."""
    guard = stage.service.guard
    key = stage.approvers[0]
    async with visit(browser, guard) as overview, visit(browser, guard) as second:
        await overview.context.add_init_script(_NOTE_SENTENCES)
        await second.context.add_init_script(_NOTE_LINES)
        await give_key(overview.page, key)
        await give_key(second.page, key, path="/operations/incidents")
        await expect(overview.page.locator("[data-tone=pass]")).to_be_visible(timeout=PATIENCE_MS)
        await picture(overview.page, "drill-1-healthy", compare=False)

        await stage.service.break_qwen(stage.http, garbage_frame=1.0)
        await expect(overview.page.locator("[data-tone=fail]")).to_be_visible(timeout=PATIENCE_MS)
        await picture(overview.page, "drill-2-failing", compare=False)

        following = Following(stage.service, stage.http, stage.approvers)
        assert await following.opened(60) is not None, "no incident opened"
        seen = WatchedDrill(following.incident)
        await _watch_incident(second, seen, stage)
        seen.sentences = await overview.page.evaluate("window.__sentences")
        seen.document = dict(await following.document())
        shown: dict[str, int] = await second.page.evaluate("window.__lines")
        seen.to_screen_ms = _latencies(seen.document["journal"], shown)
        return seen


async def _watch_incident(window: Visit, seen: WatchedDrill, stage: Place) -> None:
    page = window.page
    # The list shows it by itself; nobody loads the page again.
    await page.locator(f'a[href$="{seen.incident}"]').first.click(timeout=PATIENCE_MS)
    await page.evaluate(_NOTE_LINES)
    await picture(page, "drill-3-restoring", compare=False)
    await _state(page, seen, "Mitigated")
    await picture(page, "drill-4-verifying", compare=False)
    await stage.service.break_qwen(stage.http, garbage_frame=0.0)
    points = page.get_by_text("8 of 8").first
    await expect(points).to_be_visible(timeout=PATIENCE_MS)
    seen.checklist = "8 of 8"
    await picture(page, "drill-5-mitigated", compare=False)
    await _state(page, seen, "Closed")
    await picture(page, "drill-6-closed", compare=False)
    await page.get_by_role("tab", name="Report").click()
    await expect(page.get_by_text("Incident title").first).to_be_visible()
    await picture(page, "drill-7-report", compare=False)


async def _state(page: Page, seen: WatchedDrill, word: str) -> None:
    # The badge, not the time line, which names every state from the beginning.
    await expect(page.get_by_title(f"Incident: {word}").first).to_be_visible(timeout=PATIENCE_MS)
    seen.states.append(word)


def _latencies(journal: list[dict[str, Any]], shown: dict[str, int]) -> list[int]:
    """Milliseconds from each entry's time to the screen, of those that came while the page was open."""
    if not shown:
        return []
    opened_ms = min(shown.values())
    found = []
    for entry in journal:
        at_ms = round(datetime.fromisoformat(entry["at"]).timestamp() * 1000)
        seen_ms = shown.get(str(entry["seq"]))
        if seen_ms is not None and at_ms >= opened_ms:
            found.append(seen_ms - at_ms)
    return sorted(found)


def told(seen: WatchedDrill) -> str:
    """One line for the log of the run."""
    middle = seen.to_screen_ms[len(seen.to_screen_ms) // 2] if seen.to_screen_ms else None
    worst = seen.to_screen_ms[-1] if seen.to_screen_ms else None
    return json.dumps({"entries": len(seen.to_screen_ms), "p50_ms": middle, "worst_ms": worst})
