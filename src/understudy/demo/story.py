"""The story: speak, break, step back, prove it, write it down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from rich.markup import escape
from rich.table import Table

from understudy.audio.wav import duration_ms, join, read_wav, write_wav
from understudy.demo.service import DemoError, Service
from understudy.demo.stage import Stage
from understudy.demo.tenant import RefusedError, Tenant
from understudy.demo.traffic import Tally, traffic
from understudy.demo.watching import Watch
from understudy.resources import samples_dir
from understudy.voicebox.hearing import digit_error_rate, hear_digits

DIGITS = "four seven one nine three eight"
MAX_ERROR_RATE = 0.2
TRIES = 40
TRY_AGAIN_S = 0.25
TENANTS = ("Ada", "Ben", "Chloe", "Dev", "Eve", "Finn")
FAULTS = {"reset_mid_audio": 0.5, "garbage_frame": 0.5, "error_event": 0.5}
"""One fault of each failure class, each in every second session: seven of eight sessions fail."""

RECORDINGS = {
    "austen-0870.wav": (
        "and mister john dashwood had then leisure to consider how much there might be prudently in his "
        "power to do for them"
    ),
    "austen-0890.wav": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    "austen-0920.wav": (
        "had he married a more a amiable woman he might have been made still more respectable than he was"
    ),
}

HEALTHY_FIRST = 20
DETECT_WITHIN_S = 60.0
MITIGATE_WITHIN_S = 120.0
CLOSE_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Ending:
    """What the demo leaves behind and measured."""

    incident: str
    report: Path
    audio: list[Path]
    times: dict[str, Any]
    heard: dict[str, str]
    spoken: int
    failed: int
    checklist_green: bool


class Story:
    """Tells the story on a running service.

    Parameters
    ----------
    output
        Folder that receives the two recordings and the report.
    """

    def __init__(self, service: Service, http: aiohttp.ClientSession, stage: Stage, output: Path) -> None:
        self._service = service
        self._http = http
        self._stage = stage
        self._output = output
        self._audio: list[Path] = []
        self._heard: dict[str, str] = {}

    async def tell(self) -> Ending:
        """Every act in order.

        Raises
        ------
        DemoError
            What should have happened did not.
        """
        self._stage.act(1, "A tenant clones a voice, and it speaks through Qwen realtime")
        voices = await self._cast()
        await self._speak_and_hear(*voices[0], provider="qwen", name="1-qwen.wav")
        self._stage.act(2, "Qwen breaks under traffic; the guard notices and steps back by itself")
        async with traffic(voices) as tally:
            watch = Watch(self._service, self._http, self._stage, tally)
            with self._stage.bar():
                await self._healthy_traffic(watch, tally)
                await self._service.break_qwen(self._http, **FAULTS)
                self._stage.say(
                    "Qwen now fails seven sessions of eight: resets mid-audio, garbage frames, error events",
                    mark="✗",
                    style="bold red",
                )
                await watch.until(
                    lambda status: status["incident"] is not None,
                    what="an incident",
                    within_s=DETECT_WITHIN_S,
                )
                incident = await watch.until_state("MITIGATED", within_s=MITIGATE_WITHIN_S)
                self._stage.act(3, "The same voice goes on, now through Modal")
                await self._speak_and_hear(*voices[0], provider="modal", name="2-modal.wav")
                self._stage.act(4, "Proof: the checklist, and monitoring that recovers before anyone closes")
                self._show_checklist(incident)
                incident = await watch.until_state("CLOSED", within_s=CLOSE_WITHIN_S)
        self._stage.act(5, "Written down")
        return await self._write_down(incident, tally)

    async def _cast(self) -> list[tuple[Tenant, str]]:
        clips = [read_wav((samples_dir() / name).read_bytes()) for name in RECORDINGS]
        recording = write_wav(join(clips))
        transcript = " ".join(RECORDINGS.values())
        cast = []
        for name in TENANTS:
            tenant = Tenant(self._http, self._service.api, name)
            await tenant.sign_up()
            cast.append((tenant, await tenant.clone(f"{name}'s reader", recording, transcript)))
        seconds = sum(duration_ms(clip) for clip in clips) / 1000
        self._stage.say(
            f"{len(cast)} tenants signed up; each cloned a voice from {seconds:.1f} s of a LibriVox reader"
        )
        return cast

    async def _speak_and_hear(self, tenant: Tenant, voice: str, *, provider: str, name: str) -> None:
        # In traffic the tenant may have its one generation under way: it asks again, like a person.
        refusal = ""
        for _ in range(TRIES):
            try:
                spoken = await tenant.speak(voice, DIGITS)
                break
            except RefusedError as error:
                refusal = error.message
                await asyncio.sleep(TRY_AGAIN_S)
        else:
            raise DemoError(f"{tenant.name} could not speak: {refusal}")
        heard = await hear_digits(spoken.audio)
        wrong = digit_error_rate(DIGITS, heard)
        path = self._output / name
        path.write_bytes(spoken.audio)
        self._audio.append(path)
        self._heard[provider] = " ".join(heard)
        length = duration_ms(read_wav(spoken.audio)) / 1000
        self._stage.say(
            f"{tenant.name} says [bold]“{DIGITS}”[/] through [bold]{spoken.provider}[/] "
            f"[dim]({length:.1f} s of speech in {spoken.seconds:.1f} s)[/]",
            mark="♪",
            style="cyan",
        )
        self._stage.say(f"  heard back by the offline recogniser: [bold]{' '.join(heard)}[/]  → {path}")
        if spoken.provider != provider:
            raise DemoError(f"{provider} should have spoken, it was {spoken.provider}.")
        if wrong > MAX_ERROR_RATE:
            raise DemoError(f"the digits were not understood: {' '.join(heard)}")

    async def _healthy_traffic(self, watch: Watch, tally: Tally) -> None:
        await watch.until(lambda _: tally.spoken >= HEALTHY_FIRST, what="healthy traffic", within_s=60)
        self._stage.say(f"{tally.spoken} generations spoken, {tally.failed} failed; all is well", mark="✓")

    def _show_checklist(self, incident: dict[str, Any]) -> None:
        for item in _checklist(incident):
            mark, style = ("✓", "green") if item["ok"] else ("✗", "bold red")
            self._stage.say(escape(item["sentence"]), mark=mark, style=style)

    async def _write_down(self, incident: dict[str, Any], tally: Tally) -> Ending:
        identity = incident["id"]
        report = self._output / "incident-report.md"
        markdown = await self._service.report(self._http, identity, "markdown")
        report.write_text(markdown)
        (self._output / "incident-report.json").write_text(
            await self._service.report(self._http, identity, "json")
        )
        self._stage.plain(_opening(markdown))
        ending = Ending(
            incident=identity,
            report=report,
            audio=self._audio,
            times=incident["times"],
            heard=self._heard,
            spoken=tally.spoken,
            failed=tally.failed,
            checklist_green=all(item["ok"] for item in _checklist(incident)),
        )
        self._stage.show(_figures(ending))
        return ending


def _checklist(incident: dict[str, Any]) -> list[dict[str, Any]]:
    """The eight points as the last verification of the incident's journal left them."""
    for entry in reversed(incident["journal"]):
        if entry["kind"] == "outcome" and entry["step"] == "verification":
            items: list[dict[str, Any]] = entry["body"]["evidence"]["checklist"]["items"]
            return items
    raise DemoError("the journal holds no verification.")


def _opening(markdown: str) -> str:
    """The report down to its second section: the template's twelve fields."""
    lines = markdown.splitlines()
    ends = [index for index, line in enumerate(lines) if line.startswith("## ")]
    return "\n".join(lines[: ends[0]] if ends else lines).strip()


def _figures(ending: Ending) -> Table:
    """When each thing happened, in seconds after the first failed call."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("what", style="bold")
    table.add_column("UTC")
    table.add_column("after onset", justify="right")
    onset = datetime.fromisoformat(ending.times["onset"])
    for name, value in ending.times.items():
        at = datetime.fromisoformat(value)
        table.add_row(str(name), f"{at:%H:%M:%S.%f}"[:-3], f"{(at - onset).total_seconds():.1f} s")
    return table
