"""The policy as a page for the person on call: one screen a condition, then the ladder and what closes."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from understudy.restoration.playbook.page import (
    LADDER,
    MEANINGS,
    checks_of_family,
    closing_in_words,
    cures_of_family,
    rung_in_words,
    steps_in_words,
    who_acts,
)
from understudy.restoration.playbook.policy import Playbook, TriggerName
from understudy.restoration.playbook.words import limits_in_words

_STYLES = {"auto": "bold green", "pause": "bold yellow", "shadow": "dim"}


def print_policy(playbook: Playbook, console: Console, *, family: TriggerName | None = None) -> None:
    """Print every condition, or one of them alone."""
    for number, item in enumerate(playbook.families, 1):
        if family in {None, item.trigger}:
            console.print(_family(playbook, number, item.sentence, item.trigger))
    if family is None:
        console.print(_ladder(playbook))
        console.print(_closing(playbook))


def _family(playbook: Playbook, number: int, sentence: str, trigger: TriggerName) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("check", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    table.add_column("trips at", overflow="fold", ratio=1)
    table.add_column("cure", overflow="fold", max_width=22)
    for name, check in checks_of_family(playbook, trigger):
        table.add_row(
            Text(name, style="bold"),
            Text(check.mode, style=_STYLES[check.mode]),
            Text(limits_in_words(playbook, trigger, name, check)),
            Text("\nthen ".join(check.cures)),
        )
    parts: list[RenderableType] = [Text(sentence, style="italic"), Text(), table]
    for cure in cures_of_family(playbook, trigger):
        who = who_acts(playbook, cure)
        told = Text()
        told.append(f"\n{cure}", style="bold").append(f": {playbook.cures[cure].title}; {who}\n", style="dim")
        told.append(f"  {playbook.cures[cure].instruction}")
        parts.append(told)
    return Panel(Group(*parts), title=f"{number}. {trigger}", title_align="left")


def _ladder(playbook: Playbook) -> RenderableType:
    lines = Text()
    for mode, meaning in MEANINGS.items():
        lines.append(f"{mode}", style=_STYLES[mode]).append(f" {meaning}   ")
    lines.append("\n")
    for rung in playbook.ladder:
        lines.append(f"\nrung {rung.rung} {rung.action}", style="bold").append(f": {rung_in_words(rung)}\n")
        lines.append(f"  {steps_in_words(rung)}\n", style="dim")
    return Panel(lines, title=LADDER, title_align="left")


def _closing(playbook: Playbook) -> RenderableType:
    lines = Text()
    for sentence in playbook.checklist:
        lines.append(f"[ ] {sentence}\n")
    lines.append(f"\n{closing_in_words(playbook)}")
    return Panel(lines, title="Closing", title_align="left")
