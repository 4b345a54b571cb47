"""Modal's five URLs: the life of a job, the voice of each request, the redirect of slow designs."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.integration.standins.account import Account, austen
from understudy.audio.wav import duration_ms, is_silent, read_wav
from understudy.voicebox.client import Voicebox
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

DESIGN = {"text": "4 7 1 9 3 0", "language": "English", "instruct": "a calm, deep male narrator"}


def order(text: str = "4 7 1 9 3 0", reference: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """A submit's body."""
    encoded = base64.b64encode(reference if reference is not None else austen()).decode()
    body = {
        "text": text,
        "language": "English",
        "ref_audio_base64": encoded,
        "ref_text": "and mister john dashwood",
    }
    return {**body, "max_new_tokens": 4096, **changes}


async def submit(account: Account, body: dict[str, Any] | None = None) -> str:
    answer = await account.post("/job-submit", body or order())
    assert answer.status == 200
    return str(answer.json()["job_id"])


async def status_of(account: Account, job_id: str) -> dict[str, Any]:
    answer = await account.get("/job-status", params={"job_id": job_id})
    assert answer.status == 200
    return answer.json()


async def ended(account: Account, eventually, job_id: str, status: str) -> dict[str, Any]:
    async def reached() -> bool:
        return (await status_of(account, job_id))["status"] == status

    await eventually(reached, what=f"{job_id} is {status}")
    return await status_of(account, job_id)


async def test_a_job_is_submitted_polled_and_read_twice(account: Account, eventually) -> None:
    job_id = await submit(account)
    status = await ended(account, eventually, job_id, "completed")
    assert status["result_ready"] is True
    assert status["elapsed_seconds"] >= 0.05
    assert "error" not in status
    first, second = [await account.get("/job-result", params={"job_id": job_id}) for _ in range(2)]
    assert first.status == second.status == 200
    assert first.headers["Content-Type"] == "audio/wav"
    wav = first.body
    assert wav == second.body
    assert 1_500 < duration_ms(read_wav(wav)) < 5_000
    assert digit_error_rate("471930", await hear_digits(wav)) <= 0.2


async def test_the_voice_is_that_of_the_request(account: Account, eventually) -> None:
    box = Voicebox()
    try:
        designed = await account.post(
            "/voice-design",
            {**DESIGN, "instruct": "a cheerful young woman", "text": "One two three four five six."},
        )
        references = {"man": austen(names="austen-*.wav"), "woman": designed.body}
        pitches = {}
        for who, reference in references.items():
            job_id = await submit(account, order("One two three four five.", reference))
            await ended(account, eventually, job_id, "completed")
            result = await account.get("/job-result", params={"job_id": job_id})
            pitches[who] = (await box.measure(result.body)).pitch_hz
            assert pitches[who] == pytest.approx((await box.measure(reference)).pitch_hz, rel=0.15)
        assert pitches["woman"] > pitches["man"] * 1.5
    finally:
        await box.stop()


async def test_a_job_takes_as_long_as_the_gpu_it_pretends_to_be(open_account, eventually) -> None:
    late_s = []
    async with open_account(modal_real_time_factor=0.5, modal_overhead_s=0.2) as account:
        for _ in range(5):  # a busy machine delays some of them, and not each
            job_id = await submit(account)
            status = await ended(account, eventually, job_id, "completed")
            wav = (await account.get("/job-result", params={"job_id": job_id})).body
            late_s.append(status["elapsed_seconds"] - 0.2 - 0.5 * duration_ms(read_wav(wav)) / 1000)
            assert late_s[-1] > -0.001
            if late_s[-1] < 1.0:
                break
    assert min(late_s) < 1.0


async def test_jobs_beyond_the_containers_wait_in_the_queue(open_account, eventually) -> None:
    async with open_account(modal_containers=1, modal_overhead_s=30.0) as account:
        first, second = await submit(account), await submit(account)
        await ended(account, eventually, first, "running")
        assert (await status_of(account, second))["status"] == "queued"
        pending = await account.get("/job-result", params={"job_id": second})
        assert pending.status == 202
        await account.post("/job-cancel", {"job_id": first})
        await ended(account, eventually, second, "running")


async def test_cancel_is_idempotent_and_an_end_stays_the_end(open_account, eventually) -> None:
    async with open_account(modal_overhead_s=30.0, modal_containers=1) as account:
        running, queued = await submit(account), await submit(account)
        await ended(account, eventually, running, "running")
        for job_id in (queued, running, running):
            assert (await account.post("/job-cancel", {"job_id": job_id})).status == 200
        for job_id in (queued, running):
            status = await status_of(account, job_id)
            assert (status["status"], status["result_ready"]) == ("cancelled", False)
            assert (await account.get("/job-result", params={"job_id": job_id})).status == 410
        assert (await account.stats(account.modal))["jobs_cancelled"] == 2
    async with open_account() as account:
        done = await submit(account)
        await ended(account, eventually, done, "completed")
        assert (await account.post("/job-cancel", {"job_id": done})).status == 200
        assert (await status_of(account, done))["status"] == "completed"


@pytest.mark.parametrize(
    "changes",
    [
        {"language": "Klingon"},
        {"ref_audio_base64": "###"},
        {"ref_audio_base64": base64.b64encode(b"no audio").decode()},
    ],
)
async def test_a_job_that_cannot_be_done_fails_with_a_reason(
    account: Account, eventually, changes: dict[str, Any]
) -> None:
    job_id = await submit(account, order(**changes))
    status = await ended(account, eventually, job_id, "failed")
    assert status["error"]
    assert status["result_ready"] is False
    assert (await account.get("/job-result", params={"job_id": job_id})).status == 500


async def test_the_same_request_id_is_the_same_job(account: Account, eventually) -> None:
    first = await submit(account, order(request_id="task-1"))
    again = await submit(account, order(request_id="task-1"))
    other = await submit(account, order(request_id="task-2"))
    assert first == again != other
    for job_id in (first, other):
        await ended(account, eventually, job_id, "completed")
    assert await submit(account, order(request_id="task-1")) == first


async def test_results_outlive_the_process_and_expire(open_account, eventually) -> None:
    async with open_account() as account:
        job_id = await submit(account, order(request_id="task-1"))
        await ended(account, eventually, job_id, "completed")
        wav = (await account.get("/job-result", params={"job_id": job_id})).body
    async with open_account() as account:
        assert (await account.get("/job-result", params={"job_id": job_id})).body == wav
        assert await submit(account, order(request_id="task-1")) == job_id
    async with open_account(modal_result_lifetime_s=1e-6) as account:
        assert (await account.get("/job-result", params={"job_id": job_id})).status == 410
        status = await status_of(account, job_id)
        assert (status["status"], status["result_ready"]) == ("failed", False)


async def test_an_unknown_job_is_not_found(account: Account) -> None:
    for path in ("/job-status", "/job-result"):
        assert (await account.get(path, params={"job_id": "fc-unknown"})).status == 404
        assert (await account.get(path)).status == 404
    assert (await account.post("/job-cancel", {"job_id": "fc-unknown"})).status == 404


@pytest.mark.parametrize("missing", ["text", "language", "ref_audio_base64", "ref_text"])
async def test_a_submit_without_a_field_is_refused(account: Account, missing: str) -> None:
    body = {name: value for name, value in order(reference=b"x").items() if name != missing}
    assert (await account.post("/job-submit", body)).status == 422
    assert (await account.stats(account.modal))["jobs_submitted"] == 0


async def test_bodies_that_are_no_objects_are_refused(account: Account) -> None:
    for path in ("/job-submit", "/job-cancel", "/voice-design"):
        for body in (b"{", b"[]", b"\xff"):
            async with account.session.post(account.modal + path, data=body) as answer:
                assert answer.status == 422
    assert (await account.post("/voice-design", {**DESIGN, "language": "Klingon"})).status == 422


async def test_the_proxy_wants_its_headers(open_account) -> None:
    async with open_account(modal_key="wk-1", modal_secret="ws-1") as account:
        for headers in ({}, {"Modal-Key": "wk-1"}, {"Modal-Key": "wk-1", "Modal-Secret": "ws-2"}):
            answer = await account.post("/job-submit", order(reference=b"x"), headers=headers)
            assert (answer.status, answer.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
        right = {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}
        assert (await account.post("/voice-design", DESIGN, headers=right)).status == 200
        assert (await account.stats(account.modal))["designs"] == 1


async def test_a_design_is_heard(account: Account) -> None:
    answer = await account.post("/voice-design", DESIGN)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
    assert digit_error_rate("471930", await hear_digits(answer.body)) <= 0.2


async def test_a_slow_design_is_a_chain_of_redirects(open_account) -> None:
    async with open_account(modal_design_overhead_s=0.6, modal_redirect_after_s=0.1) as account:
        answer = await account.post("/voice-design", DESIGN, allow_redirects=False)
        assert answer.status == 303
        location = answer.headers["Location"]
        assert location.startswith("/voice-design?")
        seen = set()
        while (answer := await account.get(location, allow_redirects=False)).status != 200:
            seen.add(answer.status)
            location = answer.headers.get("Location", location)
        assert seen == {202, 303}
        assert not is_silent(read_wav(answer.body))
        assert (await account.get(location)).status == 200
        assert (await account.stats(account.modal))["designs"] == 1
    async with open_account() as account:
        assert (
            await account.get("/voice-design", params={"__modal_function_call_id": "fc-no"})
        ).status == 404


async def test_many_jobs_at_once_keep_their_own_words(account: Account, eventually) -> None:
    texts = ["1 2 3 4 5 6", "6 5 4 3 2 1", "9 0 9 0 9 0"]
    jobs = [await submit(account, order(text)) for text in texts]
    for text, job_id in zip(texts, jobs, strict=True):
        await ended(account, eventually, job_id, "completed")
        wav = (await account.get("/job-result", params={"job_id": job_id})).body
        assert digit_error_rate(text, await hear_digits(wav)) <= 0.2
        assert read_wav(wav).rate == 24_000
