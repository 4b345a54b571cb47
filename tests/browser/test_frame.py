"""What every page stands on: how it is served, and what its policy keeps out."""

from __future__ import annotations

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import visit
from understudy.demo.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_both_apps_are_served_under_a_policy_without_unsafe_inline(
    service: Service, http: aiohttp.ClientSession
) -> None:
    for address in (f"{service.api}/", f"{service.guard}/operations/incidents"):
        async with http.get(address) as answer:
            html = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        assert len(nonce) >= 20
        assert html.count(nonce) >= 1
        assert "__CSP_NONCE__" not in html


async def test_a_nonce_is_used_once(service: Service, http: aiohttp.ClientSession) -> None:
    policies = set()
    for _ in range(3):
        async with http.get(f"{service.api}/") as answer:
            policies.add(answer.headers["Content-Security-Policy"])
    assert len(policies) == 3


async def test_assets_are_kept_for_good_and_an_unknown_page_is_json(
    service: Service, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{service.api}/") as answer:
        html = await answer.text()
    script = html.partition('src="')[2].partition('"')[0]
    async with http.get(f"{service.api}{script}", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
    async with http.get(f"{service.api}/no-such-page") as answer:
        assert answer.status == 404
        assert set(await answer.json()) == {"detail"}


async def test_injected_markup_runs_nothing(service: Service, browser: Browser) -> None:
    async with visit(browser, service.api) as window:
        await window.page.goto("/sign-in")
        await expect(window.page.get_by_label("E-mail")).to_be_visible()
        await window.has_no_problem()
        ran = await window.page.evaluate(
            """() => new Promise((resolve) => {
              window.ran = false;
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
              const image = document.createElement("img");
              image.setAttribute("onerror", "window.ran = true");
              image.src = "/assets/none.png";
              document.body.append(image);
              image.addEventListener("error", () => setTimeout(() => resolve(window.ran), 0));
            })"""
        )
        assert ran is False
        assert await window.violations(), "the policy that was meant to stop it said nothing"
        window.problems.clear()
        await window.page.evaluate("window.__violations.length = 0")
