"""A service for an operator's rehearsal: tenants who speak, three keys, and a policy without waiting."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp
import jwt
import yaml
from playwright.async_api import Browser, Locator, Page, Request, expect

from tests.browser.chromium import Visit, visit
from tests.browser.orders import order
from tests.browser.signing_in import give_key
from tests.browser.waiting import until
from understudy.clock import SystemClock
from understudy.demo.service import Service, running_service
from understudy.demo.tenant import Tenant
from understudy.demo.traffic import Tally, traffic
from understudy.drilling.policy import quickened
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.rollout.cutover import in_cohort

SHARE = 50
#: So many tenants on each side of the share speak all the time.
SPEAKERS = 2
PERSONS = ("ada", "ben", "cleo")
#: Longer than any order took at a load of ten.
PATIENCE_MS = 90_000
WINDOW_S = 5
#: Away from known-good, until a person thaws them: no test needs more.
MOVES = 2


def rehearsal_policy(folder: Path) -> Path:
    """Nothing opens or closes by itself, and the stages of a cutover are decided by a handful of calls."""
    policy = quickened()
    for trigger in policy["triggers"].values():
        for check in trigger.values():
            if isinstance(check, dict) and "mode" in check:
                check["mode"] = "shadow"
    policy["closing"]["minimum_evidence"] = 100_000
    stages = [{"percent": percent, "hold_s": 0, "exclude_percent": 45} for percent in (SHARE, 100)]
    policy["cutover"] |= {"stages": stages, "watched_s": 60}
    # Means of so few calls differ by chance where the machine has much to do: they bring nobody back.
    policy["cutover"]["guardrails"] |= {
        "minimum_calls": 3,
        "latency_ratio": 100,
        "first_audio_ratio": 100,
        "first_audio_ms": 120_000,
    }
    policy["cutover"]["limits"] |= {"spacing_s": 0, "moves": MOVES}
    path = folder / "rehearsal.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False, allow_unicode=True), "utf-8")
    return path


@dataclass
class Rehearsal:
    """A running service, the keys of three persons, and what its tenants have heard."""

    service: Service
    http: aiohttp.ClientSession
    keys: dict[str, str]
    tally: Tally

    async def command(self, *arguments: str) -> str:
        """Run one of our commands on this service."""
        return await order(self.service, *arguments)

    async def healthy(self, provider: str, calls: int = 12) -> None:
        """Wait until the newest ``calls`` all spoke, at ``provider``."""

        async def spoken() -> bool:
            newest = list(self.tally.ended)[-calls:]
            return len(newest) == calls and all(spoke and at == provider for _, at, spoke in newest)

        await until(spoken, what=f"healthy speech of {provider}", within_s=PATIENCE_MS / 1000)

    async def ask(self, person: str, path: str, body: dict[str, object]) -> dict[str, object]:
        """Order something beside the browser, with a person's key."""
        status, document = await self._post(person, path, body)
        assert status < 300, document
        return document

    async def refused(self, person: str, path: str, body: dict[str, object]) -> str:
        """Order what the guard refuses, and return why."""
        status, document = await self._post(person, path, body)
        assert status == 409, document
        return str(document["detail"])

    async def _post(self, person: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {self.keys[person]}"}
        async with self.http.post(self.service.guard + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def on(self, provider: str) -> None:
        """Let everybody speak there, with no cutover on and every move away still to be made."""
        reason = "where a test starts from"
        await self.ask("ada", "/mode/thaw", {"reason": reason})
        await self.command("mode", "set", provider, "--durable", "--reason", reason)
        await self.ask("ada", "/mode/thaw", {"reason": reason})
        await self.healthy(provider)

    @asynccontextmanager
    async def stayer(self, recording: bytes) -> AsyncIterator[None]:
        """A tenant whose only voice, just used, speaks nowhere but on Modal; the voice is gone afterwards."""
        tenant = Tenant(self.http, self.service.api, "Stayer")
        await tenant.sign_up()
        voice = await tenant.clone("Stays", recording, "She read on.")
        assert (await tenant.speak(voice, "one two three")).provider == "modal"
        try:
            yield
        finally:
            headers = {"Authorization": f"Bearer {tenant.access_token}"}
            url = f"{self.service.api}/api/voices/{voice}"
            async with self.http.delete(url, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    async def writes_go(self) -> None:
        """Wait until the guard has seen that nothing holds writes or billed creates any more."""

        async def held() -> list[object]:
            status = await self.service.guard_document(self.http, "/status")
            return [status["writes_frozen"], *status["valves_closed"]]

        await until(held, lambda found: found == [None], what="writes that are let go again")

    async def audited(self, *reasons: str, person: str | None = None) -> None:
        """Each of these reasons stands in the audit, under the name of who gave it."""
        query = f"?limit=200{f'&person={person}' if person else ''}"
        document = await self.service.guard_document(self.http, f"/audit{query}")
        told = [entry["reason"] for entry in document["entries"]]
        assert set(reasons) <= set(told), told


async def _tenants(
    service: Service, http: aiohttp.ClientSession, recording: bytes
) -> list[tuple[Tenant, str]]:
    """Sign tenants up until both sides of the share have their speakers; give each a voice."""
    sides: dict[bool, list[Tenant]] = {True: [], False: []}
    while any(len(side) < SPEAKERS for side in sides.values()):
        tenant = Tenant(http, service.api, "Rehearsal")
        await tenant.sign_up()
        claims = jwt.decode(tenant.access_token, options={"verify_signature": False})
        side = sides[in_cohort(UUID(claims["sub"]), SHARE)]
        if len(side) < SPEAKERS:
            side.append(tenant)
    tenants = [tenant for side in sides.values() for tenant in side]
    return [(tenant, await tenant.clone("Reader", recording, "She read on.")) for tenant in tenants]


async def _key(service: Service, name: str) -> str:
    return str(json.loads(await order(service, "guard-keys", "create", name, "--json"))["key"])


@asynccontextmanager
async def rehearsing(folder: Path, recording: bytes) -> AsyncIterator[Rehearsal]:
    """Start it in Qwen mode under live speech; stop it and remove its database at the end."""
    settings = {
        "PLAYBOOK_FILE": str(rehearsal_policy(folder)),
        "PROBES": "off",
        "BACKUP_INTERVAL_S": "0",
        "BUDGET_CREATES_HOUR": "0",
        "BUDGET_CREATES_TENANT_HOUR": "0",
    }
    async with (
        running_service(folder / "home", mode="qwen", window_s=WINDOW_S, settings=settings) as service,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(total=60)
        ) as http,
    ):
        tenants = await _tenants(service, http, recording)
        made = await asyncio.gather(*(_key(service, name) for name in PERSONS))
        # As a drill leaves it: a cutover wants one.
        now = SystemClock().now().isoformat()
        append_row(service.home, DrillRow(now, "success_rate", "local", True, "env_switch", True, True, 0, 0))
        async with traffic(tenants) as tally:
            yield Rehearsal(service, http, dict(zip(PERSONS, made, strict=True)), tally)


# --- what an operator does on the page ----------------------------------------------------------------------


@asynccontextmanager
async def console(
    browser: Browser, rehearsal: Rehearsal, person: str, path: str = ""
) -> AsyncIterator[Visit]:
    """A window of one person at a page of the console."""
    async with visit(browser, rehearsal.service.guard) as window:
        await give_key(window.page, rehearsal.keys[person], path=f"/operations/{path}")
        yield window


def button(where: Page | Locator, name: str) -> Locator:
    """The button of exactly this name."""
    return where.get_by_role("button", name=name, exact=True)


async def ordered(
    page: Page, name: str, *, action: str | None = None, reason: str | None = None, typed: str | None = None
) -> None:
    """Press an order, say why, type what must be typed, and confirm it; the dialog must accept it.

    Parameters
    ----------
    action
        What the button in the dialog says, where it is not ``name``.
    """
    await button(page.locator("#main"), name).first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    confirm = button(dialog, action or name)
    if typed is not None:
        await expect(confirm).to_be_disabled()
        await dialog.get_by_label(f"Type {typed} to confirm").fill(typed)
    if reason is not None:
        # Without a reason nothing is sent.
        if await dialog.get_by_text("optional", exact=True).count() == 0:
            await confirm.click()
            await expect(dialog.get_by_text(re.compile(r"^(Say why|Write what you know)"))).to_be_visible()
        await dialog.get_by_role("textbox").first.fill(reason)
    await confirm.click()
    await expect(dialog).to_be_hidden()


async def plan_digits(page: Page) -> str:
    """The first digits of the plan that waits on this incident's page, as it asks for them."""
    label = page.locator("label", has_text=re.compile(r"^Type [0-9a-f]{12} or local$"))
    return str(await label.text_content()).split()[1]


def posts(window: Visit) -> list[Request]:
    """Every POST that this window sends from now on, as it is sent."""
    sent: list[Request] = []
    window.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    return sent
