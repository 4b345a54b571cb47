"""Time to first audio and rates: the stand-ins through the adapters, and ``POST /generate`` end to end."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from bench.environment import service, settings_of
from bench.tables import percentile, show
from understudy.audio.wav import join, read_wav, resample, write_wav
from understudy.demo.story import RECORDINGS
from understudy.demo.tenant import Tenant
from understudy.providers.base import AudioChunk, AudioFormat, Provider, Reference, SpeakRequest, VoiceBinding
from understudy.providers.catalog import build_providers
from understudy.resources import samples_dir

TEXT = "one two three four five six seven eight nine one two three"
SESSIONS = 120
TENANTS = 16
EACH = 12


def recording() -> bytes:
    """The demo's recordings joined, 18.4 s."""
    return write_wav(join([read_wav((samples_dir() / name).read_bytes()) for name in RECORDINGS]))


async def _speak(
    provider: Provider, voice: VoiceBinding, reference: Reference, number: int
) -> tuple[float, float]:
    request = SpeakRequest(
        text=TEXT,
        language="English",
        voice=voice,
        reference=reference,
        audio_format=AudioFormat.PCM if AudioFormat.PCM in provider.capabilities.formats else AudioFormat.WAV,
        request_id=f"bench-{time.perf_counter_ns()}-{number}",
    )
    started, first = time.perf_counter(), 0.0
    async for event in provider.speak(request):
        if isinstance(event, AudioChunk) and not first:
            first = time.perf_counter() - started
    return first * 1000, (time.perf_counter() - started) * 1000


async def _standins(providers: dict[str, Provider]) -> list[list[object]]:
    reference = Reference(
        write_wav(resample(read_wav(recording()), 24_000)), " ".join(RECORDINGS.values()), "English"
    )
    rows: list[list[object]] = []
    for name, provider in providers.items():
        voice = (await provider.enroll(reference, label="bench")).binding
        for concurrency in (1, 8, 16):
            numbers = iter(range(SESSIONS))
            spoken: list[tuple[float, float]] = []

            async def keep_speaking() -> None:
                for number in numbers:  # noqa: B023  (this round's iterator)
                    spoken.append(await _speak(provider, voice, reference, number))  # noqa: B023, PERF401

            started = time.perf_counter()
            await asyncio.gather(*(keep_speaking() for _ in range(concurrency)))
            seconds = time.perf_counter() - started
            first, whole = [one[0] for one in spoken], [one[1] for one in spoken]
            rows.append(
                [
                    name,
                    concurrency,
                    percentile(first, 0.5),
                    percentile(first, 0.95),
                    percentile(whole, 0.5),
                    len(spoken) / seconds,
                ]
            )
    return rows


async def _generate(api: str, mode: str) -> list[object]:
    async with aiohttp.ClientSession() as http:
        tenants = [Tenant(http, api, f"bench{index}") for index in range(TENANTS)]
        voices = []
        for tenant in tenants:
            await tenant.sign_up()
            voices.append(await tenant.clone("bench", recording(), " ".join(RECORDINGS.values())))
        seconds: list[float] = []

        async def keep_speaking(tenant: Tenant, voice: str) -> None:
            for _ in range(EACH):
                seconds.append((await tenant.speak(voice, TEXT)).seconds)  # noqa: PERF401

        started = time.perf_counter()
        await asyncio.gather(*(keep_speaking(*pair) for pair in zip(tenants, voices, strict=True)))
        whole = time.perf_counter() - started
    return [
        mode,
        TENANTS,
        percentile(seconds, 0.5) * 1000,
        percentile(seconds, 0.95) * 1000,
        len(seconds) / whole,
    ]


async def run() -> None:
    """Measure and print."""
    rows = []
    for mode in ("qwen", "modal"):
        async with service(mode=mode) as running:
            if mode == "qwen":
                providers = build_providers(settings_of(running))
                try:
                    standins = await _standins(providers)
                finally:
                    for provider in providers.values():
                        await provider.close()
                show(
                    "Stand-ins through the adapters",
                    ["provider", "at once", "first audio p50 ms", "p95 ms", "whole p50 ms", "utterances/s"],
                    standins,
                    note=f"{SESSIONS} utterances a row of {len(TEXT)} characters; no artificial pacing.",
                )
            rows.append(await _generate(running.api, mode))
    show(
        "Generate, from POST to the downloaded audio",
        ["mode", "tenants", "p50 ms", "p95 ms", "generations/s"],
        rows,
        note=f"{TENANTS * EACH} generations a row; each tenant has one under way and polls every 150 ms.",
    )
