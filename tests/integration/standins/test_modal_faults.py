"""Every fault of Modal's panel on the wire, each by what a plain client sees."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.integration.standins.account import Account
from tests.integration.standins.test_modal import DESIGN, ended, order, status_of, submit
from understudy.audio.wav import duration_ms, is_silent, read_wav
from understudy.errors import ValidationError
from understudy.standins.faults import MODAL_FAULTS
from understudy.standins.jobs import GPU_LOST
from understudy.standins.modal import UNKNOWN_POLLS, UNKNOWN_WORD

pytestmark = pytest.mark.integration

BROKEN = (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)
#: How long a hanging answer is waited for.
PATIENCE = aiohttp.ClientTimeout(total=0.3)


async def completed(account: Account, eventually, text: str = "4 7 1 9 3 0") -> str:
    job_id = await submit(account, order(text))
    await ended(account, eventually, job_id, "completed")
    return job_id


async def test_submit_500_strikes_what_hands_work_in(account: Account) -> None:
    await account.faults(account.modal, submit_500=1.0)
    assert (await account.post("/job-submit", order(reference=b"x"))).status == 500
    assert (await account.post("/voice-design", DESIGN)).status == 500
    stats = await account.stats(account.modal)
    assert (stats["jobs_submitted"], stats["designs"], stats["faults_injected"]["submit_500"]) == (0, 0, 2)


async def test_a_truncated_result_says_more_than_it_holds(account: Account, eventually) -> None:
    job_id = await submit(account)
    await ended(account, eventually, job_id, "completed")
    await account.faults(account.modal, result_truncated=1.0)
    answer = await account.get("/job-result", params={"job_id": job_id})
    assert answer.status == 200
    with pytest.raises(ValidationError, match="shorter"):
        read_wav(answer.body)
    await account.faults(account.modal, result_truncated=0.0)
    read_wav((await account.get("/job-result", params={"job_id": job_id})).body)


async def test_a_reset_result_breaks_the_body(account: Account, eventually) -> None:
    job_id = await submit(account)
    await ended(account, eventually, job_id, "completed")
    await account.faults(account.modal, reset_result=1.0)
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        await account.get("/job-result", params={"job_id": job_id})
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        await account.post("/voice-design", DESIGN)


async def test_the_panel_needs_no_proxy_headers_and_lists_every_fault(open_account) -> None:
    async with open_account(modal_key="wk-1", modal_secret="ws-1") as account:
        await account.faults(account.modal, submit_500=0.5, slow_s=2)
        answer = await account.get("/_faults")
        assert answer.json() == {**dict.fromkeys(MODAL_FAULTS, 0.0), "submit_500": 0.5, "slow_s": 2.0}


async def test_a_submit_that_hangs_or_resets_has_started_its_job(account: Account, eventually) -> None:
    for fault, wrong in (("submit_hang", TimeoutError), ("submit_reset", BROKEN)):
        body = order(request_id=f"task-{fault}")
        await account.faults(account.modal, **{fault: 1.0})
        with pytest.raises(wrong):
            await account.post("/job-submit", body, timeout=PATIENCE)
        await account.faults(account.modal, **{fault: 0.0})
        before = await account.stats(account.modal)
        job_id = await submit(account, body)
        await ended(account, eventually, job_id, "completed")
        after = await account.stats(account.modal)
        assert after["jobs_submitted"] == before["jobs_submitted"] + 1
    assert after["jobs_completed"] == 2  # four submits, two jobs


async def test_status_faults(account: Account, eventually) -> None:
    job_id = await completed(account, eventually)
    await account.faults(account.modal, status_500=1.0)
    assert (await account.get("/job-status", params={"job_id": job_id})).status == 500
    await account.faults(account.modal, status_500=0.0, status_hang=1.0)
    with pytest.raises(TimeoutError):
        await account.get("/job-status", params={"job_id": job_id}, timeout=PATIENCE)
    await account.faults(account.modal, status_hang=0.0)
    assert (await status_of(account, job_id))["status"] == "completed"


async def test_an_unknown_word_is_said_for_a_while_of_each_job(account: Account, eventually) -> None:
    jobs = [await completed(account, eventually) for _ in range(2)]
    await account.faults(account.modal, status_unknown=1.0)
    for job_id in jobs:
        said = [await status_of(account, job_id) for _ in range(UNKNOWN_POLLS + 2)]
        assert [one["status"] for one in said] == [UNKNOWN_WORD] * UNKNOWN_POLLS + ["completed"] * 2
        assert [one["result_ready"] for one in said] == [False] * UNKNOWN_POLLS + [True] * 2


async def test_a_slow_job_takes_so_much_longer_and_can_be_cancelled(account: Account, eventually) -> None:
    await account.faults(account.modal, slow=1.0, slow_s=0.5)
    job_id = await submit(account)
    status = await ended(account, eventually, job_id, "completed")
    assert status["elapsed_seconds"] >= 0.55
    await account.faults(account.modal, slow_s=600)
    job_id = await submit(account)
    await ended(account, eventually, job_id, "running")
    assert (await account.post("/job-cancel", {"job_id": job_id})).status == 200
    assert (await status_of(account, job_id))["status"] == "cancelled"


async def test_a_job_that_fails_says_why(account: Account, eventually) -> None:
    await account.faults(account.modal, job_failed=1.0)
    job_id = await submit(account)
    status = await ended(account, eventually, job_id, "failed")
    assert (status["error"], status["result_ready"]) == (GPU_LOST, False)
    assert (await account.get("/job-result", params={"job_id": job_id})).status == 500


async def test_a_result_may_stay_202_or_be_gone(account: Account, eventually) -> None:
    job_id = await completed(account, eventually)
    await account.faults(account.modal, result_202_forever=1.0)
    for _ in range(4):
        assert (await status_of(account, job_id))["result_ready"] is True
        assert (await account.get("/job-result", params={"job_id": job_id})).status == 202
    await account.faults(account.modal, result_202_forever=0.0, result_410=1.0)
    assert (await account.get("/job-result", params={"job_id": job_id})).status == 410
    await account.faults(account.modal, result_410=0.0)
    assert (await account.get("/job-result", params={"job_id": job_id})).status == 200


async def test_a_fate_is_rolled_once_for_each_job(account: Account, eventually) -> None:
    jobs = [await completed(account, eventually, f"{n}") for n in range(8)]
    await account.faults(account.modal, result_202_forever=0.5, seed=11)
    rounds = [
        [(await account.get("/job-result", params={"job_id": job})).status for job in jobs] for _ in range(3)
    ]
    assert rounds[0] == rounds[1] == rounds[2]
    assert set(rounds[0]) == {200, 202}


async def test_a_silent_result_is_as_long_as_the_speech(account: Account, eventually) -> None:
    job_id = await completed(account, eventually)
    whole = read_wav((await account.get("/job-result", params={"job_id": job_id})).body)
    await account.faults(account.modal, result_silent=1.0)
    silent = read_wav((await account.get("/job-result", params={"job_id": job_id})).body)
    assert is_silent(silent)
    assert duration_ms(silent) == duration_ms(whole)
    assert is_silent(read_wav((await account.post("/voice-design", DESIGN)).body))


async def test_a_hanging_result_never_answers(account: Account, eventually) -> None:
    job_id = await completed(account, eventually)
    await account.faults(account.modal, result_hang=1.0)
    with pytest.raises(TimeoutError):
        await account.get("/job-result", params={"job_id": job_id}, timeout=PATIENCE)
    with pytest.raises(TimeoutError):
        await account.post("/voice-design", DESIGN, timeout=PATIENCE)


async def test_a_hanging_answer_does_not_hold_up_the_end(open_account, eventually) -> None:
    async with open_account() as account:
        await account.faults(account.modal, submit_hang=1.0)
        hanging = asyncio.create_task(account.post("/job-submit", order()))

        async def reached() -> bool:
            return (await account.stats(account.modal))["faults_injected"]["submit_hang"] == 1

        await eventually(reached, what="the submit hangs")
        stopping_s = time.monotonic()
    with pytest.raises(BROKEN):
        await hanging
    assert time.monotonic() - stopping_s < 4.0


async def test_a_redirect_loop_has_no_end(account: Account) -> None:
    await account.faults(account.modal, redirect_loop=1.0)
    answer = await account.post("/voice-design", DESIGN, allow_redirects=False)
    location = answer.headers["Location"]
    for _ in range(40):
        assert answer.status == 303
        assert answer.headers["Location"] == location
        answer = await account.get(location, allow_redirects=False)
    assert (await account.stats(account.modal))["designs"] == 0
    await account.faults(account.modal, redirect_loop=0.0)
    assert (await account.post("/voice-design", DESIGN)).status == 200
