"""Preflight against the stand-ins: nothing is submitted, and each fault of a secret is told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from understudy.envfile import set_in_env_file
from understudy.lanes import fingerprint
from understudy.restoration.targets.local import LocalTarget
from understudy.restoration.targets.preflight import (
    MODAL_SECRETS,
    QWEN_PINS,
    PreflightCheck,
    check_key,
    check_modal,
    check_pins,
    preflight,
)
from understudy.settings import Settings, settings_from
from understudy.standins.app import StandInAddresses, running_standins
from understudy.standins.configuration import StandInSettings

KEY, CN_KEY = "sk-standin-intl-0001", "sk-standin-cn-0001"
#: Nobody listens there: port 9 (discard) takes no connection here.
NOBODY = "http://127.0.0.1:9/x"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standins(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StandInAddresses]:
    settings = StandInSettings(modal_key="wk-1", modal_secret="ws-1")  # type: ignore[arg-type]
    async with running_standins(tmp_path_factory.mktemp("standins"), settings) as addresses:
        yield addresses


pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


def values(standins: StandInAddresses, **changed: str) -> dict[str, str]:
    return {
        "MODAL_JOB_SUBMIT": f"{standins.modal}/job-submit",
        "MODAL_JOB_STATUS": f"{standins.modal}/job-status",
        "MODAL_JOB_RESULT": f"{standins.modal}/job-result",
        "MODAL_JOB_CANCEL": f"{standins.modal}/job-cancel",
        "MODAL_ENDPOINT_VOICE_DESIGN": f"{standins.modal}/voice-design",
        "MODAL_KEY": "wk-1",
        "MODAL_SECRET": "ws-1",
        "DASHSCOPE_BASE_URL": standins.dashscope,
        "DASHSCOPE_API_KEY": KEY,
    } | changed


def settings(standins: StandInAddresses, **changed: str) -> Settings:
    return settings_from(values(standins, **changed))


def failing(checks: tuple[PreflightCheck, ...]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.ok}


async def stats(address: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/_stats") as answer:
        return await answer.json()  # type: ignore[no-any-return]


async def test_all_is_in_order_and_nothing_was_submitted(standins: StandInAddresses) -> None:
    found = await preflight(settings(standins), environment="local")
    assert found.problems() == ()
    assert [check.name for check in found.checks] == [*MODAL_SECRETS, *QWEN_PINS, "region and key"]
    seen = await stats(standins.modal)
    assert (seen["jobs_submitted"], seen["designs"]) == (0, 0)


async def test_each_fault_of_a_secret_is_told_apart(standins: StandInAddresses) -> None:
    address = standins.modal
    for name, value, said in (
        ("MODAL_JOB_SUBMIT", "", "not set"),
        ("MODAL_JOB_SUBMIT", "modal.run/job-submit", "is not a URL"),
        ("MODAL_JOB_SUBMIT", "http://modal.example.com/submit", "only https is allowed"),
        ("MODAL_JOB_SUBMIT", NOBODY, "does not answer"),
        ("MODAL_JOB_SUBMIT", f"{address}/job-status", "HTTP 404 to GET, where only POST is taken"),
        ("MODAL_JOB_SUBMIT", f"{address}/gone", "HTTP 404 to GET"),
        ("MODAL_JOB_CANCEL", f"{address}/job-result", "where only POST is taken"),
        ("MODAL_JOB_STATUS", f"{address}/job-submit", "it takes no GET: another endpoint's address?"),
        ("MODAL_JOB_STATUS", f"{address}/gone", "HTTP 404 tells no status"),
        ("MODAL_JOB_RESULT", f"{address}/gone", "HTTP 404 for the result of a job that is not there"),
        ("MODAL_ENDPOINT_VOICE_DESIGN", f"{address}/gone", "where only POST is taken"),
    ):
        found = failing(await check_modal(settings(standins, **{name: value})))
        assert list(found) == [name], (value, found)
        assert said in found[name]
    refused = failing(await check_modal(settings(standins, MODAL_SECRET="ws-of-another-workspace")))
    assert list(refused) == list(MODAL_SECRETS)
    assert all("HTTP 401: it wants other proxy keys" in said for said in refused.values())


async def test_a_setting_that_is_not_pinned_is_named_with_its_pin(standins: StandInAddresses) -> None:
    pinned = settings_from(dict(QWEN_PINS))
    assert failing(check_pins(pinned, standins_allowed=False)) == {}
    for name in QWEN_PINS:
        changed = {
            "DASHSCOPE_BASE_URL": "https://dashscope.aliyuncs.com",
            "DASHSCOPE_REGION": "cn",
            "QWEN_MAX_TEXT_CHARS": "4000",
        }.get(name, f"{QWEN_PINS[name]}1")
        found = failing(check_pins(settings_from({**QWEN_PINS, name: changed}), standins_allowed=True))
        assert found == {name: f"{changed}, pinned is {QWEN_PINS[name]}"}
    loopback = settings(standins)
    assert list(failing(check_pins(loopback, standins_allowed=False))) == ["DASHSCOPE_BASE_URL"]
    assert failing(check_pins(loopback, standins_allowed=True)) == {}


async def test_a_key_of_another_lane_is_tried_nowhere(standins: StandInAddresses) -> None:
    before = await stats(standins.dashscope)
    recorded = f"intl:{fingerprint(KEY)},cn:{fingerprint(CN_KEY)}"
    found = await check_key(settings(standins, DASHSCOPE_API_KEY=CN_KEY, DASHSCOPE_KEY_FINGERPRINTS=recorded))
    assert not found.ok
    assert f"the key cn:{fingerprint(CN_KEY)} is on record as one of lane cn, not of intl" in found.detail
    assert await stats(standins.dashscope) == before
    unknown = await check_key(settings(standins, DASHSCOPE_API_KEY=CN_KEY))
    assert not unknown.ok
    assert CN_KEY not in f"{unknown.detail} {unknown.fix}"
    assert (await check_key(settings(standins, DASHSCOPE_API_KEY=""))).detail.startswith(
        "DASHSCOPE_API_KEY not set"
    )


async def test_what_the_deployment_has_is_compared(standins: StandInAddresses, tmp_path: Path) -> None:
    file, target = tmp_path / "understudy.env", LocalTarget(tmp_path)

    async def problems() -> list[str]:
        found = await preflight(settings(standins), environment="local", target=target, candidate=False)
        return [check.detail for check in found.problems()]

    assert "cannot be read" in (await problems())[0]
    set_in_env_file(file, dict(values(standins)))
    assert await problems() == []
    set_in_env_file(file, {"MODAL_JOB_SUBMIT": f"{standins.modal}/another"})
    assert await problems() == ["in force there is another value than here: MODAL_JOB_SUBMIT"]
    set_in_env_file(file, {"MODAL_JOB_SUBMIT": None})
    assert await problems() == ["not set there: MODAL_JOB_SUBMIT"]
