"""``understudy voices`` as an operator types it: killed in the middle, resumed, nothing paid twice, heard."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.integration.speech.conftest import MakeStudio, Studio
from tests.integration.speech.test_worker_command import environment
from tests.integration.store.test_db_command import understudy
from understudy.providers.prices import PRICES
from understudy.providers.qwen.provider import QwenProvider
from understudy.resources import samples_dir
from understudy.speech import voices
from understudy.speech.context import Caller
from understudy.speech.voices import VoiceDraft
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.voices import VoiceRow
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

DIGITS = "four seven one nine three zero"
KEY = "sk-standin-intl-0001"
COUNT = 9


@pytest_asyncio.fixture
async def dashscope(tmp_path: Path) -> AsyncIterator[str]:
    """The stand-in of DashScope, with real speech."""
    async with running_standins(tmp_path / "standins", StandInSettings()) as addresses:
        yield addresses.dashscope


async def real_voice(studio: Studio) -> tuple[Caller, VoiceRow]:
    caller = await studio.caller()
    draft = VoiceDraft("Austen", "English", "what she said")
    ticket = await voices.start_upload(studio.ctx, caller, draft)
    await studio.upload(caller, ticket.voice_id, (samples_dir() / "austen-0890.wav").read_bytes())
    return caller, await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, draft)


async def billed(dashscope: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(dashscope + "/_stats") as answer:
        return int((await answer.json())["clone_creates"])


async def carry(env: Mapping[str, str], *words: str) -> dict[str, Any]:
    answer = await understudy("voices", "carry-over", "--to", "qwen", *words, "--json", **env)
    assert answer.out, answer.err
    return {**json.loads(answer.out), "code": answer.code}


@pytest.mark.timeout(300)
async def test_carried_over_through_a_kill_billed_once_each_and_heard(
    make_studio: MakeStudio, dashscope: str
) -> None:
    async with make_studio(dashscope_api_key=SecretStr(KEY), dashscope_base_url=dashscope) as studio:
        owned = [await real_voice(studio) for _ in range(COUNT)]
        env = environment(studio, DASHSCOPE_API_KEY=KEY, DASHSCOPE_BASE_URL=dashscope)

        dry = await carry(env, "--max-cost", "0.05", "--dry-run")
        assert (len(dry["voices"]), dry["within_budget"], dry["code"]) == (COUNT, 5, 0)
        assert dry["cost_microusd"] == COUNT * PRICES.clone_create
        assert await billed(dashscope) == 0

        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "understudy.cli.app", "voices", "carry-over", "--max-cost", "5",
            env={**env, "PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

        async def under_way() -> bool:
            rows = await studio.sql("SELECT state FROM understudy.carry_overs")
            states = [row["state"] for row in rows]
            return states.count("done") >= 2 and "intended" in states

        await studio.until(under_way, "two carried, one in the making", within_s=60)
        running.kill()
        await running.wait()

        resumed = await carry(env, "--max-cost", "5")
        assert (resumed["complete"], resumed["code"], resumed["left"]) == (True, 0, 0)
        assert await billed(dashscope) == COUNT
        again = await carry(env, "--max-cost", "5")
        assert (again["carried"], again["found"], again["spent_microusd"]) == (0, 0, 0)
        assert await billed(dashscope) == COUNT
        bound = await studio.sql("SELECT DISTINCT provider_voice_id FROM public.voices")
        assert len(bound) == COUNT
        calls = [row for row in await studio.calls() if row["operation"] == "enroll"]
        assert (len(calls), {row["cost_microusd"] for row in calls}) == (COUNT, {PRICES.clone_create})

        provider = QwenProvider(studio.ctx.settings)
        studio.ctx.providers["qwen"] = provider
        try:
            await studio.flip("qwen")
            caller, voice = owned[-1]
            async with studio.working():
                task = await studio.ended((await studio.speak(caller, voice, DIGITS)).id)
            assert (task.status, task.provider) == ("completed", "qwen"), task.error
        finally:
            await provider.close()
        spoken = await studio.ctx.objects.get(GENERATIONS, f"{task.user_id}/{task.generation_id}.wav")
        assert digit_error_rate(DIGITS, await hear_digits(spoken)) <= 0.2

        covered = await understudy("voices", "coverage", "--on", "qwen", "--json", **env)
        assert json.loads(covered.out)["share"] == 1.0
        assert json.loads(covered.out)["live_covered"] == COUNT


async def test_the_budget_is_spent_to_the_last_enrolment_and_the_exit_code_says_the_rest(
    make_studio: MakeStudio, dashscope: str
) -> None:
    async with make_studio(dashscope_api_key=SecretStr(KEY), dashscope_base_url=dashscope) as studio:
        for _ in range(3):
            await real_voice(studio)
        env = environment(studio, DASHSCOPE_API_KEY=KEY, DASHSCOPE_BASE_URL=dashscope)
        answer = await carry(env, "--max-cost", "0.02")
        assert (answer["carried"], answer["left"], answer["halted"], answer["code"]) == (2, 1, "budget", 1)
        assert answer["spent_microusd"] == answer["budget_microusd"] == 20_000
        assert await billed(dashscope) == 2
        for wrong in ("-1", "five", "0.0000001", "nan"):
            refused = await understudy("voices", "carry-over", "--max-cost", wrong, **env)
            assert (refused.code, "--max-cost" in refused.err) == (1, True)


async def test_the_check_fails_for_a_voice_that_a_switch_back_would_lose(studio: Studio) -> None:
    (_, kept), (_, lost) = await real_voice(studio), await real_voice(studio)
    env = environment(studio)
    sound = await understudy("voices", "check", "--json", **env)
    assert (sound.code, json.loads(sound.out)["checked"]) == (0, 2), sound.err
    await studio.ctx.objects.delete(REFERENCES, lost.reference_object_key or "")
    told = await understudy("voices", "check", "--json", **env)
    (violation,) = json.loads(told.out)["violations"]
    assert (told.code, violation["voice_id"], violation["problem"]) == (1, str(lost.id), "recording_missing")
    for_people = await understudy("voices", "check", **env)
    assert (for_people.code, str(lost.id) in for_people.out) == (1, True)
    assert str(kept.id) not in for_people.out
