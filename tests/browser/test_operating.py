"""Every order of the console, pressed against one real guard; each test brings it to where it starts from."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import accessible
from tests.browser.chromium import Scheme, visit
from tests.browser.orders import listener
from tests.browser.rehearsal import (
    PATIENCE_MS,
    Rehearsal,
    button,
    console,
    ordered,
    plan_digits,
    posts,
    rehearsing,
)
from tests.browser.signing_in import give_key

SCHEMES: tuple[Scheme, ...] = ("light", "dark")

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rehearsal(
    tmp_path_factory: pytest.TempPathFactory, recording_bytes: bytes
) -> AsyncIterator[Rehearsal]:
    """A service of these tests alone: their orders would disturb everybody else's."""
    async with rehearsing(tmp_path_factory.mktemp("rehearsal"), recording_bytes) as running:
        await running.healthy("qwen")
        yield running


async def both_schemes(page: Page) -> list[str]:
    """What axe finds in the page as it stands, light and dark."""
    found = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {one}" for one in await accessible.violations(page)]
    return found


# --- looking only -------------------------------------------------------------------------------------------


async def test_the_machines_key_looks_and_orders_nothing(rehearsal: Rehearsal, browser: Browser) -> None:
    async with visit(browser, rehearsal.service.guard) as window:
        page = window.page
        await give_key(page, rehearsal.service.operator_token)
        await expect(page.locator("[data-tone=pass]")).to_be_visible()
        await expect(page.get_by_text("may look only")).to_be_visible()
        await expect(button(page, "Step back to Modal by hand")).to_be_disabled()
        await expect(page.get_by_text("Sign in with a key of yours to act.")).to_be_visible()


async def test_a_freeze_is_on_the_overview_with_who_and_why(rehearsal: Rehearsal, browser: Browser) -> None:
    async with console(browser, rehearsal, "ada") as window:
        headline = window.page.locator("[data-tone]").first
        await expect(headline).to_have_attribute("data-tone", "pass")
        await rehearsal.command("freeze", "on", "--reason", "rehearsing a restore")
        await expect(headline).to_have_attribute("data-tone", "fail")
        await expect(headline).to_contain_text("writes are frozen since")
        await expect(headline).to_contain_text(re.compile(r" by \w+: rehearsing a restore\."))
        await rehearsal.command("freeze", "off", "--reason", "rehearsed")
        await expect(headline).to_have_attribute("data-tone", "pass")
        await expect(headline).not_to_contain_text("frozen")
    await rehearsal.audited("rehearsing a restore", "rehearsed")


# --- what takes longer than a request -----------------------------------------------------------------------


async def test_a_backup_is_made_and_proven_from_the_page(rehearsal: Rehearsal, browser: Browser) -> None:
    async with console(browser, rehearsal, "ada", "known-good") as window:
        page = window.page
        await expect(page.get_by_text("No backup has been made yet")).to_be_visible()
        await ordered(page, "Back up now", reason="before the rehearsal")
        job = page.locator("section[data-state]")
        await expect(job.get_by_text("Asked for by ada")).to_be_visible()
        await expect(job).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
        row = page.get_by_role("region", name="Backups").get_by_role("row").nth(1)
        await expect(row.get_by_text("Proven", exact=True)).to_be_visible()
        proven = await row.locator("time").nth(2).get_attribute("datetime")

        prove = row.get_by_role("button", name=re.compile("^Prove the backup"))
        await ordered(page, str(await prove.get_attribute("aria-label")), action="Prove", reason="once more")
        await expect(job.get_by_text("Proof of")).to_be_visible()
        await expect(job).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
        await expect(row.get_by_text("Proven", exact=True)).to_be_visible()
        await expect(row.locator("time").nth(2)).not_to_have_attribute("datetime", str(proven))
    await rehearsal.audited("before the rehearsal", "once more", person="ada")


async def test_a_drill_is_begun_and_stopped_from_the_page(rehearsal: Rehearsal, browser: Browser) -> None:
    async with console(browser, rehearsal, "ben", "drills") as window:
        page = window.page
        run = page.get_by_role("button", name=re.compile("^Run the drill: ")).first
        await ordered(
            page, str(await run.get_attribute("aria-label")), action="Run the drill", reason="practice"
        )
        job = page.locator("section[data-state]")
        await expect(job).to_have_attribute("data-state", "running")
        await expect(job.get_by_role("log").get_by_role("listitem").first).to_contain_text(
            "A service of its own"
        )
        await expect(run).to_be_disabled()
        await ordered(page, "Stop it", reason="enough seen")
        await expect(job).to_have_attribute("data-state", "stopped", timeout=PATIENCE_MS)
        await expect(run).to_be_enabled()
    await rehearsal.audited("practice", "enough seen", person="ben")


async def test_the_playbook_shows_the_policy_and_simulates_it(rehearsal: Rehearsal, browser: Browser) -> None:
    async with console(browser, rehearsal, "ben", "playbook") as window:
        page = window.page
        families = ("Success rate", "Realtime failures", "Playback", "Cost", "Data integrity", "Security")
        for number, family in enumerate(families, 1):
            await expect(page.get_by_role("heading", name=f"{number}. {family}")).to_be_visible()
        for rung in ("Fast rollback via env switch", "Database restore"):
            await expect(page.get_by_text(rung).first).to_be_visible()
        await ordered(page, "Simulate")
        job = page.locator("section[data-state]")
        await expect(job).to_have_attribute("data-state", "running")
        await expect(job.get_by_text("Asked for by ben")).to_be_visible()
        await ordered(page, "Stop it", reason="enough seen")
        await expect(button(page, "Simulate again")).to_be_visible()


# --- the cutover --------------------------------------------------------------------------------------------


async def test_a_cutover_is_led_from_the_page(rehearsal: Rehearsal, browser: Browser) -> None:
    await rehearsal.on("modal")
    async with console(browser, rehearsal, "ada", "cutover") as window:
        page = window.page
        await expect(page.get_by_role("heading", name="No cutover is on")).to_be_visible()
        await expect(page.get_by_text("Stages of the policy")).to_be_visible()
        await rehearsal.command("cutover", "start", "--owner", "ada", "--reason", "release 14")
        await expect(page.get_by_role("heading", name="50 % of tenants speak through Qwen")).to_be_visible()
        await expect(page.locator("li[aria-current=step]")).to_contain_text("50 %")
        for side in ("control", "candidate"):
            calls = page.locator(f"[data-side={side}]").first
            await expect(calls.get_by_text(re.compile(r"^[1-9]\d*$"))).to_be_visible(timeout=PATIENCE_MS)
        assert await both_schemes(page) == []

        await ordered(page, "Pause", reason="lunch")
        await expect(page.get_by_role("heading", name="Paused: 50 % of tenants stay on Qwen")).to_be_visible()
        await expect(page.get_by_text(re.compile("^ada, .*: lunch$"))).to_be_visible()
        await ordered(page, "Resume", reason="after lunch")
        await expect(page.get_by_role("heading", name="50 % of tenants speak through Qwen")).to_be_visible()
        await ordered(page, "Bring everybody back", reason="a rehearsal of the way back")
        await expect(page.get_by_role("heading", name="Everybody is back on Modal")).to_be_visible()
        await expect(page.get_by_role("heading", name="Begin another one")).to_be_visible()
    await rehearsal.audited("lunch", "after lunch", "a rehearsal of the way back", person="ada")


async def test_moves_that_were_frozen_are_thawed_from_the_page(
    rehearsal: Rehearsal, browser: Browser
) -> None:
    await rehearsal.on("modal")
    await rehearsal.command("cutover", "start", "--owner", "ada", "--reason", "release 16")
    again: dict[str, object] = {"reason": "to and fro"}
    await rehearsal.ask("ada", "/cutover/pause", again)
    await rehearsal.ask("ada", "/cutover/resume", again)
    await rehearsal.ask("ada", "/cutover/pause", again)
    assert "FROZEN now" in await rehearsal.refused("ada", "/cutover/resume", again)
    async with console(browser, rehearsal, "ben", "cutover") as window:
        page = window.page
        frozen = page.get_by_text(re.compile(r"Moves away are frozen: resuming cutover \d+ would have been"))
        await expect(frozen).to_be_visible()
        await expect(page.get_by_text("0 of 2 left in 6 h")).to_be_visible()
        await expect(button(page, "Resume")).to_be_disabled()
        await expect(page.get_by_text("Resume: Moves away are FROZEN: ")).to_be_visible()
        assert await both_schemes(page) == []
        await ordered(page, "Thaw moves", reason="the way there and back is known now")
        await expect(frozen).to_be_hidden()
        await expect(page.get_by_text("2 of 2 left in 6 h")).to_be_visible()
        await ordered(page, "Resume", reason="moves are thawed")
        await expect(page.get_by_text("1 of 2 left in 6 h")).to_be_visible()
        await ordered(page, "Bring everybody back", reason="thawed, and moved once more")
        await expect(page.get_by_role("heading", name="Everybody is back on Modal")).to_be_visible()
    await rehearsal.audited("the way there and back is known now", "moves are thawed", person="ben")


async def test_whoever_is_left_behind_is_so_for_a_reason(
    rehearsal: Rehearsal, browser: Browser, recording_bytes: bytes
) -> None:
    await rehearsal.on("modal")
    async with (
        rehearsal.stayer(recording_bytes),
        console(browser, rehearsal, "ben", "cutover") as window,
    ):
        page, dialog = window.page, window.page.get_by_role("dialog")
        await rehearsal.command(
            *("cutover", "start", "--max-cost", "1", "--owner", "ada", "--reason", "release 17")
        )
        move = button(page, "Move everybody")
        await expect(move).to_be_enabled(timeout=PATIENCE_MS)
        await expect(page.get_by_text("The last stage would leave it behind.")).to_be_visible()
        await move.click()
        await dialog.get_by_label("Reason").fill("all others speak there")
        await button(dialog, "Move everybody").click()
        await expect(dialog.get_by_text("Say why these tenants may be left behind")).to_be_visible()
        await expect(dialog.get_by_text("1 tenant uses voices that do not speak at qwen")).to_be_visible()
        await dialog.get_by_label("Why may they be left behind?").fill("it left us in spring")
        await button(dialog, "Move everybody").click()
        await expect(dialog).to_be_hidden()
        both = "all others speak there; left behind: it left us in spring"
        await expect(page.get_by_text(both).first).to_be_visible()
        complete = page.get_by_role("heading", name="Complete: everybody speaks through Qwen")
        await expect(complete).to_be_visible(timeout=PATIENCE_MS)
    await rehearsal.audited(both, person="ben")


async def test_a_cutover_goes_on_to_everybody_and_is_switched_back(
    rehearsal: Rehearsal, browser: Browser
) -> None:
    await rehearsal.on("modal")
    await rehearsal.command("cutover", "start", "--owner", "ada", "--reason", "release 15")
    async with console(browser, rehearsal, "ben", "cutover") as window:
        page = window.page
        on = button(page, "Move everybody")
        await expect(on).to_be_enabled(timeout=PATIENCE_MS)
        await ordered(page, "Move everybody", reason="the first half was clean")
        complete = page.get_by_role("heading", name="Complete: everybody speaks through Qwen")
        await expect(complete).to_be_visible(timeout=PATIENCE_MS)
        another = page.get_by_role("heading", name="Begin another one")
        await expect(another).to_be_hidden()
        await ordered(page, "Switch everybody back", reason="the invoices say otherwise")
        await expect(page).to_have_url(re.compile("/operations/incidents/.+"))
        await expect(page.get_by_text("8 of 8 proven")).to_be_visible(timeout=PATIENCE_MS)
        await rehearsal.healthy("modal")
        await ordered(page, "Close by hand", reason="Modal serves everybody")
        await expect(page.get_by_text("Closed", exact=True).first).to_be_visible()
        await page.get_by_role("link", name="Cutover").click()
        await expect(another).to_be_visible()
        await expect(page.get_by_role("heading", name="Everybody is back on Modal")).to_be_visible()
    await rehearsal.audited("the first half was clean", "the invoices say otherwise", person="ben")


# --- incidents ----------------------------------------------------------------------------------------------


async def test_one_button_steps_back_from_a_healthy_service(rehearsal: Rehearsal, browser: Browser) -> None:
    await rehearsal.on("qwen")
    async with console(browser, rehearsal, "ada") as window:
        page, sent = window.page, posts(window)
        await button(page, "Step back to Modal by hand").click()
        dialog = page.get_by_role("dialog")
        for step in ("precheck", "live override", "durable env", "redeploy", "read back", "verification"):
            await expect(dialog.get_by_text(step, exact=True)).to_be_visible()
        await expect(dialog.get_by_text("Nobody else must agree.")).to_be_visible()
        await button(dialog, "Cancel").click()
        assert sent == []
        await ordered(
            page,
            "Step back to Modal by hand",
            action="Step back to Modal",
            reason="a rehearsal",
            typed="modal",
        )
        await expect(page).to_have_url(re.compile("/operations/incidents/.+"))
        # What may not be ordered while it restores says why.
        await expect(page.get_by_text("It is being restored. Abort ends it").first).to_be_visible()
        await expect(button(page, "Close by hand")).to_be_disabled()
        await expect(page.get_by_text("Mitigated", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.get_by_text("8 of 8 proven")).to_be_visible(timeout=PATIENCE_MS)
        await expect(button(page, "Abort")).to_be_disabled()
        await expect(page.get_by_text("nothing runs that could be aborted")).to_be_visible()
        await ordered(page, "Close by hand", reason="Modal serves, and the rehearsal is over")
        await expect(page.get_by_text("Closed", exact=True).first).to_be_visible()
        await expect(page.get_by_role("heading", name="Orders")).to_be_hidden()
        assert len(sent) == 2
    await rehearsal.audited("a rehearsal", "Modal serves, and the rehearsal is over", person="ada")


async def test_a_plan_waits_for_two_persons(rehearsal: Rehearsal, browser: Browser) -> None:
    asked = await rehearsal.ask(
        "ben", "/restorations", {"action": "database_restore", "reason": "a rehearsal of the heaviest rung"}
    )
    path = f"incidents/{asked['incident']}"
    async with (
        console(browser, rehearsal, "ada", path) as ada,
        console(browser, rehearsal, "ben", path) as ben,
        console(browser, rehearsal, "cleo", path) as cleo,
    ):
        page, sent = ada.page, posts(ada)
        decide = page.get_by_role("heading", name=re.compile("^Read this plan and decide"))
        await expect(decide).to_be_visible()
        await expect(ben.page.get_by_text("you asked for it; somebody else must agree.")).to_be_visible()
        await expect(button(ben.page, "Agree to this plan")).to_be_hidden()
        await _the_machine_agrees_to_nothing(rehearsal, browser, path)

        await ordered(page, "Take it on")
        await expect(page.get_by_text("“Take it on” is in the journal")).to_be_visible()
        await expect(button(page, "Take it on")).to_be_disabled()
        await expect(page.get_by_text("You have taken it on already.")).to_be_visible()
        await ordered(page, "Add a note", reason="The disk of the second machine was full.")
        await expect(page.get_by_text("The disk of the second machine was full.").first).to_be_visible()
        await ordered(page, "Hold", reason="until cleo is here")
        await expect(page.get_by_text("ada holds it already.")).to_be_visible()

        await button(page, "Break the glass…").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await both_schemes(page) == []
        await button(page.get_by_role("dialog"), "Cancel").click()

        already = len(sent)
        word = page.get_by_label(re.compile(r"^Type [0-9a-f]{12} or local$"))
        digits = await plan_digits(page)
        await word.fill("staging")
        await button(page, "Agree to this plan").click()
        await expect(page.get_by_text("neither the plan's first 12 digits")).to_be_visible()
        assert len(sent) == already
        await word.fill(digits)
        await button(page, "Agree to this plan").dblclick()
        await expect(page.get_by_text("“Agree” is in the journal")).to_be_visible()
        assert [request.url.rpartition("/")[2] for request in sent[already:]] == ["approve"]
        for seen in (page, cleo.page):
            await expect(seen.get_by_text("1 of 2: ada")).to_be_visible()
        await expect(page.get_by_text("you have agreed to it already")).to_be_visible()
        line = cleo.page.locator("[data-seq]", has_text="Agreed")
        await expect(line).to_have_count(1)
        await expect(line).to_contain_text("ada")

        other = cleo.page.get_by_label(re.compile(r"^Type [0-9a-f]{12} or local$"))
        await other.fill("local")
        await button(cleo.page, "Agree to this plan").click()
        await expect(cleo.page.get_by_text("ada holds it (until cleo is here)")).to_be_visible()
        await expect(line).to_have_count(2)
        # What is held is the one thing that the overview asks for.
        await cleo.page.get_by_role("link", name="Overview").click()
        await expect(cleo.page.get_by_text("ada holds it: until cleo is here.").first).to_be_visible()
        await ordered(cleo.page, "Resume the incident", action="Resume the incident", reason="I am here")
        await expect(page.get_by_text("Restoring", exact=True).first).to_be_visible()
        await ordered(page, "Abort", reason="it was a rehearsal")
        await expect(page.get_by_text("Aborted", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    await rehearsal.writes_go()
    await rehearsal.audited("until cleo is here", "it was a rehearsal", person="ada")
    await rehearsal.audited("I am here", person="cleo")


async def test_one_person_breaks_the_glass(rehearsal: Rehearsal, browser: Browser) -> None:
    await rehearsal.on("modal")
    await rehearsal.command("backup", "create", "--reason", "to be restored on one's word")
    asked = await rehearsal.ask(
        "ben", "/restorations", {"action": "database_restore", "reason": "a rehearsal of an emergency"}
    )
    async with console(browser, rehearsal, "ada", f"incidents/{asked['incident']}") as window:
        page, sent = window.page, posts(window)
        await expect(page.get_by_text("0 of 2: nobody yet")).to_be_visible()
        await ordered(
            page,
            "Break the glass…",
            action="Break the glass",
            reason="nobody else can be reached",
            typed=await plan_digits(page),
        )
        said = "ada breaks the glass for database_restore: nobody else can be reached"
        line = page.locator("[data-seq]", has_text=said)
        await expect(line.get_by_text("Glass broken", exact=True)).to_be_visible()
        held = page.locator("[data-seq]", has_text="freeze writes, done")
        await expect(held).to_be_visible(timeout=PATIENCE_MS)
        await ordered(page, "Abort", reason="enough of it was seen")
        await expect(page.get_by_text("Aborted", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
        assert [request.url.rpartition("/")[2] for request in sent] == ["approve", "abort"]
        await page.get_by_role("tab", name="Report").click()
        review = "who acted alone (nobody else can be reached)"
        await expect(page.get_by_text(review).first).to_be_visible()
    await rehearsal.writes_go()
    await rehearsal.healthy("modal")
    await rehearsal.audited("nobody else can be reached", "enough of it was seen", person="ada")


async def _the_machine_agrees_to_nothing(rehearsal: Rehearsal, browser: Browser, path: str) -> None:
    async with visit(browser, rehearsal.service.guard) as window:
        await give_key(window.page, rehearsal.service.operator_token, path=f"/operations/{path}")
        await expect(window.page.get_by_text("this is the machine's own key")).to_be_visible()
        for name in ("Agree to this plan", "Break the glass…"):
            await expect(button(window.page, name)).to_be_hidden()


# --- what is kept of it, and what is not the present --------------------------------------------------------


async def test_the_audit_names_who_ordered_what(rehearsal: Rehearsal, browser: Browser) -> None:
    asked = await rehearsal.ask(
        "cleo", "/restorations", {"action": "database_restore", "reason": "cleo asks for it"}
    )
    await rehearsal.ask("ada", f"/incidents/{asked['incident']}/abort", {"reason": "ada ends it"})
    # More than one page of it.
    for _ in range(50):
        await rehearsal.ask("ben", "/mode/thaw", {"reason": "one of many"})
    async with console(browser, rehearsal, "ada", "audit") as window:
        page = window.page
        entries = page.locator("#main ol > li")
        await expect(entries.filter(has_text="one of many")).to_have_count(50)
        await button(page, "Older").click()
        for reason in ("ada ends it", "cleo asks for it"):
            await expect(entries.filter(has_text=reason)).to_have_count(1)
        await expect(button(page, "Newer")).to_be_enabled()
        await button(page, "Newer").click()
        await expect(entries.filter(has_text="one of many")).to_have_count(50)
        await page.goto("/operations/audit")
        await entries.first.get_by_role("button", name="ben", exact=True).click()
        await expect(page).to_have_url(re.compile(r"[?&]person=ben"))
        await expect(page.get_by_label("By whom")).to_have_value("ben")
        await button(page, "Mine").click()
        await expect(page.get_by_label("By whom")).to_have_value("ada")
        await expect(entries.filter(has_text="ada ends it")).to_have_count(1)
        await expect(entries.filter(has_text="one of many")).to_have_count(0)
        await page.get_by_label("By whom").fill("cleo")
        await expect(entries.filter(has_text="cleo asks for it")).to_have_count(1)
        await expect(entries.filter(has_text="ada ends it")).to_have_count(0)
        await entries.filter(has_text="cleo asks for it").get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Request: database restore")).to_be_visible()


async def test_what_is_old_can_be_read(rehearsal: Rehearsal, browser: Browser) -> None:
    guard = listener(rehearsal.service.guard)
    async with console(browser, rehearsal, "ada") as window:
        page, found = window.page, list[str]()
        headline = page.locator("[data-present]")
        await expect(headline).to_have_attribute("data-present", "true")
        # Stopped, not dead: connections stay open and say nothing more.
        os.kill(guard, signal.SIGSTOP)
        try:
            await expect(headline).to_have_attribute("data-present", "false", timeout=PATIENCE_MS)
            await expect(page.locator("[data-stale]").first).to_be_visible()
            found += await both_schemes(page)
            # axe takes what is half transparent for what it cannot judge.
            faded = "all => all.filter((one) => getComputedStyle(one).opacity !== '1').length"
            assert await page.locator("[data-stale] > *").evaluate_all(faded) == 0
        finally:
            os.kill(guard, signal.SIGCONT)
        await expect(headline).to_have_attribute("data-present", "true", timeout=PATIENCE_MS)
        assert found == []
        window.problems.clear()
