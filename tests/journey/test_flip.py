"""A flip under load, in real processes: nothing lost, nothing spoken twice, nothing billed twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from tests.integration.api.processes import environment, start_on
from tests.integration.conftest import (  # noqa: F401  (fixtures)
    create_user,
    database,
    database_urls,
    postgres_server,
)
from tests.integration.speech.conftest import MakeStudio, Studio, make_studio  # noqa: F401  (fixtures)
from understudy.audio.wav import read_wav
from understudy.providers.qwen.provider import QwenProvider
from understudy.resources import samples_dir
from understudy.rollout.mode import set_mode
from understudy.speech import voices
from understudy.speech.context import Caller
from understudy.speech.plausible import check_speech
from understudy.speech.voices import VoiceDraft
from understudy.standins.app import StandInAddresses, running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.api_keys import create_key
from understudy.store.buckets import GENERATIONS
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.journey

TEXT = "four seven one nine three zero"
TENANTS = 10
APIS = 2
WORKERS = 2
DRAIN_S = 0.5
#: Speech arrives at half its own pace, so a flip meets it in the middle.
PACE = StandInSettings(dashscope_real_time_factor=0.8, modal_overhead_s=0.1, modal_containers=16)
MODAL_PATHS = {
    "modal_job_submit": "/job-submit",
    "modal_job_status": "/job-status",
    "modal_job_result": "/job-result",
    "modal_job_cancel": "/job-cancel",
    "modal_endpoint_voice_design": "/voice-design",
}


@dataclass
class Heard:
    """What one client of a stream saw."""

    status: int = 0
    task_id: UUID | None = None
    provider: str = ""
    size: int = 0
    whole: bool = False
    detail: str = ""


@dataclass
class Stage:
    """Two api processes, two workers, both stand-ins, and tenants with a voice each."""

    studio: Studio
    standins: StandInAddresses
    bases: list[str]
    logs: list[Path]
    tenants: list[tuple[Caller, VoiceRow, dict[str, str]]] = field(default_factory=list)

    async def stats(self, address: str) -> dict[str, int]:
        async with aiohttp.ClientSession() as http, http.get(address + "/_stats") as answer:
            return dict(await answer.json())


@asynccontextmanager
async def stage(make: MakeStudio, folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        standins = await stack.enter_async_context(running_standins(folder / "standins", PACE))
        studio = await stack.enter_async_context(
            make(
                tts_provider_mode="qwen",
                jwt_secret=SecretStr("j" * 32),
                dashscope_api_key=SecretStr("sk-standin-intl-0001"),
                dashscope_base_url=standins.dashscope,
                max_active_generations=1000,
                # Few at once, so that the flip finds most of them waiting.
                worker_concurrency=4,
                flip_drain_deadline_s=DRAIN_S,
                modal_poll_interval_s=0.1,
                **{name: standins.modal + path for name, path in MODAL_PATHS.items()},
            )
        )
        provider = QwenProvider(studio.ctx.settings)
        stack.push_async_callback(provider.close)
        studio.ctx.providers["qwen"] = provider
        bases = []
        for number in range(APIS):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            process = await start_on(studio.ctx.settings, folder / f"api-{number}.log", listener, uuid4())
            stack.push_async_callback(_end, process.process)
            bases.append("http://{}:{}".format(*listener.getsockname()))
        for number in range(WORKERS):
            log = stack.enter_context((folder / f"worker-{number}.log").open("wb"))
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "understudy.cli.app", "worker", "--name", f"worker-{number}"),
                env={**environment(studio.ctx.settings), "PATH": os.environ["PATH"]},
                stderr=log,
            )
            stack.push_async_callback(_end, worker)
        built = Stage(studio, standins, bases, sorted(folder.glob("*-?.log")))
        for _ in range(TENANTS):
            caller = await studio.caller()
            built.tenants.append((caller, await _voice(studio, caller), await _key(studio, caller)))

        async def all_there() -> bool:
            rows = await studio.sql("SELECT kind FROM understudy.processes WHERE mode_value = 'qwen'")
            kinds = Counter(row["kind"] for row in rows)
            # One more worker: the studio's own reader calls itself that.
            return (kinds["api"], kinds["worker"]) == (APIS, WORKERS + 1)

        await studio.until(all_there, "every process reports", within_s=60)
        yield built


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _voice(studio: Studio, caller: Caller) -> VoiceRow:
    draft = VoiceDraft("Austen", "English", "what she said")
    ticket = await voices.start_upload(studio.ctx, caller, draft)
    await studio.upload(caller, ticket.voice_id, (samples_dir() / "austen-0890.wav").read_bytes())
    return await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, draft)


async def _key(studio: Studio, caller: Caller) -> dict[str, str]:
    now = studio.ctx.clock.now()
    async with studio.ctx.database.service() as conn:
        _, key = await create_key(conn, user_id=caller.user_id, name="load", at=now, expires_at=None)
    return {"Authorization": f"Bearer {key}"}


async def stream(
    http: aiohttp.ClientSession, base: str, voice: VoiceRow, headers: dict[str, str], heard: Heard
) -> None:
    """Listen to one stream to its end, whatever that is."""
    body = {"voice_id": str(voice.id), "text": TEXT, "language": "English"}
    async with http.post(f"{base}/api/generate/stream", json=body, headers=headers) as answer:
        heard.status = answer.status
        if answer.status != 200:
            heard.detail = str((await answer.json())["detail"])
            return
        heard.task_id = UUID(answer.headers["X-Task-Id"])
        heard.provider = answer.headers["X-Provider"]
        try:
            async for piece in answer.content.iter_any():
                heard.size += len(piece)
            heard.whole = True
        except aiohttp.ClientPayloadError:
            heard.whole = False


async def flip_under_load(built: Stage, *, streams: int, queued: int) -> None:
    studio = built.studio
    turns = itertools.cycle(built.tenants)
    admitted: list[TaskRow] = []
    for _ in range(queued):
        caller, voice, _headers = next(turns)
        admitted.append(await studio.speak(caller, voice, text=TEXT))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as http:
        heard = [Heard() for _ in range(streams)]
        listening = []
        for number, ear in enumerate(heard):
            _, voice, headers = next(turns)
            base = built.bases[number % len(built.bases)]
            listening.append(asyncio.create_task(stream(http, base, voice, headers, ear)))

        def half_speak() -> bool:
            return sum(ear.status == 200 for ear in heard) * 2 >= streams

        await studio.until(half_speak, "half of the streams are past their commit point", within_s=60)
        in_force = await flip(built)
        await asyncio.gather(*listening)

    async def all_ended() -> bool:
        rows = await studio.sql("SELECT id FROM public.tasks WHERE status IN ('pending', 'processing')")
        return not rows

    await studio.until(all_ended, "every task terminal", within_s=120 + queued)
    await reconcile(built, admitted, heard, in_force)


async def flip(built: Stage) -> dict[str, float]:
    """Switch to Modal; return the milliseconds until it was in force in each process, by its own log."""
    row = await set_mode(built.studio.ctx.database, "modal", actor="test", reason="flip under load")
    in_force: dict[str, float] = {}

    def everywhere() -> bool:
        for log in built.logs:
            for line in log.read_text().splitlines():
                said = json.loads(line) if line.startswith("{") else {}
                if said.get("event") == "mode_in_force" and said.get("epoch") == row.epoch:
                    at = datetime.fromisoformat(said["timestamp"])
                    in_force[log.stem] = round((at - row.changed_at).total_seconds() * 1000, 1)
        return len(in_force) == len(built.logs)

    await built.studio.until(everywhere, "in force in every process", within_s=10)
    return in_force


async def reconcile(
    built: Stage, admitted: list[TaskRow], heard: list[Heard], in_force: dict[str, float]
) -> None:
    """Compare tasks, audio, ledger and the stand-ins' own counters."""
    studio = built.studio
    calls = [row for row in await studio.calls() if row["operation"] == "speak"]
    good = [row for row in calls if row["outcome"] == "ok"]
    ended = [await studio.task(task.id) for task in admitted]
    failures = [(task.provider, task.error, task.metadata) for task in ended if task.status != "completed"]
    assert failures == []
    for task in ended:
        audio = await studio.ctx.objects.get(GENERATIONS, f"{task.user_id}/{task.generation_id}.wav")
        check_speech(read_wav(audio), TEXT, provider=task.provider)
        (call,) = [row for row in good if row["task_id"] == task.id]
        assert (call["provider"], call["mode_epoch"], call["billable"]) == (
            task.provider,
            task.mode_epoch,
            True,
        )
    streamed = await check_streams(studio, heard, good)

    # Paid once: one call that counts a task, and the ledger has the very cost of it.
    twice = [task_id for task_id, number in Counter(row["task_id"] for row in good).items() if number > 1]
    assert twice == []
    entries = await studio.sql("SELECT * FROM understudy.ledger WHERE operation = 'speak'")
    assert {entry["state"] for entry in entries} <= {"settled", "released"}
    cost: Counter[UUID] = Counter()
    for row in calls:
        cost[row["task_id"]] += row["cost_microusd"]
    assert {entry["task_id"]: entry["settled_microusd"] for entry in entries} == {
        entry["task_id"]: cost[entry["task_id"]] for entry in entries
    }
    # Nobody spoke without a record: each session and each job at the stand-ins is one call on record.
    qwen, modal = await built.stats(built.standins.dashscope), await built.stats(built.standins.modal)
    by_provider = Counter(row["provider"] for row in calls)
    assert qwen["sessions"] <= by_provider["qwen"]
    assert modal["jobs_submitted"] == by_provider["modal"]
    # What Qwen was paid for and gave is on record, and it finished nothing beyond that.
    finished = sum(row["characters"] for row in good if row["provider"] == "qwen")
    assert qwen["sessions_finished"] >= sum(row["provider"] == "qwen" for row in good)
    how = Counter(
        "re-routed"
        if "rerouted" in task.metadata
        else "re-run"
        if "rerun" in task.metadata
        else task.provider
        for task in ended
    )
    assert how["re-routed"]
    print(
        f"\n{len(ended)} queued tasks: 0 lost, 0 spoken twice, 0 billed twice ({dict(how)});"
        f"\n{len(heard)} streams: {dict(streamed)};"
        f"\nQwen billed {qwen['billed_characters']} characters, {finished} of them delivered;"
        f" {qwen['sessions']} sessions, {modal['jobs_submitted']} Modal jobs, {len(calls)} calls on record;"
        f"\nin force after (ms): {in_force}"
    )


async def check_streams(studio: Studio, heard: list[Heard], good: list[dict[str, Any]]) -> Counter[str]:
    """Each stream is whole, stored and paid for once; or it was refused in JSON, or broke off, and is not."""
    outcomes: Counter[str] = Counter()
    for one in heard:
        if one.status != 200:
            assert (one.status, bool(one.detail)) == (409, True), one
            outcomes["refused with 409 before any audio"] += 1
            continue
        assert one.task_id is not None
        task = await studio.task(one.task_id)
        paid = [row for row in good if row["task_id"] == task.id]
        assert (task.status == "completed") == one.whole, (one, task)
        assert len(paid) == (1 if one.whole else 0)
        outcomes[f"whole, by {one.provider}" if one.whole else "broken off, not paid"] += 1
    return outcomes


@pytest.mark.timeout(240)
async def test_a_flip_loses_nothing(make_studio: MakeStudio, tmp_path: Path) -> None:  # noqa: F811
    async with stage(make_studio, tmp_path) as built:
        await flip_under_load(built, streams=6, queued=20)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_flip_under_64_streams_and_200_queued_tasks(
    make_studio: MakeStudio,  # noqa: F811  (the fixture)
    tmp_path: Path,
) -> None:
    async with stage(make_studio, tmp_path) as built:
        await flip_under_load(built, streams=64, queued=200)
