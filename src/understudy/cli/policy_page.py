"""The policy as a page for the person on call: one screen a condition, then the ladder and what closes."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from understudy.restoration.playbook.policy import Playbook, TriggerName
from understudy.restoration.playbook.words import limits_in_words
from understudy.restoration.triggers.cures import ActionName

_STYLES = {"auto": "bold green", "pause": "bold yellow", "shadow": "dim"}
_MEANING = {
    "auto": "acts, after the approvals of its rung",
    "pause": "opens an incident and asks for one approval at least",
    "shadow": "counts only",
}


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
    cures: list[ActionName] = []
    for name, check in ((name, check) for owner, name, check in playbook.checks() if owner == trigger):
        table.add_row(
            Text(name, style="bold"),
            Text(check.mode, style=_STYLES[check.mode]),
            Text(limits_in_words(playbook, trigger, name, check)),
            Text("\nthen ".join(check.cures)),
        )
        cures += [cure for cure in check.cures if cure not in cures]
    parts: list[RenderableType] = [Text(sentence, style="italic"), Text(), table]
    for cure in cures:
        rung = playbook.rung_of(cure)
        who = f"rung {rung.rung}, {_agreed(rung.approvals)} where auto; by hand:" if rung else "by hand:"
        told = Text()
        told.append(f"\n{cure}", style="bold").append(f": {playbook.cures[cure].title}; {who}\n", style="dim")
        told.append(f"  {playbook.cures[cure].instruction}")
        parts.append(told)
    return Panel(Group(*parts), title=f"{number}. {trigger}", title_align="left")


def _agreed(approvals: int) -> str:
    return "by itself" if approvals == 0 else f"approvals {approvals}"


def _ladder(playbook: Playbook) -> RenderableType:
    lines = Text()
    for mode, meaning in _MEANING.items():
        lines.append(f"{mode}", style=_STYLES[mode]).append(f" {meaning}   ")
    lines.append("\n")
    for rung in playbook.ladder:
        steps = ", ".join(f"{name} {box:g} s" for name, box in rung.steps.model_dump().items())
        lines.append(f"\nrung {rung.rung} {rung.action}", style="bold")
        lines.append(f": {rung.title}, within {rung.time_box_s:g} s, approvals {rung.approvals}\n")
        lines.append(f"  {steps}\n", style="dim")
    return Panel(lines, title="Ladder: what the engine does, cheapest first", title_align="left")


def _closing(playbook: Playbook) -> RenderableType:
    closing, rate, limits = playbook.closing, playbook.triggers.success_rate.rate, playbook.limits
    lines = Text()
    for sentence in playbook.checklist:
        lines.append(f"[ ] {sentence}\n")
    lines.append(
        f"\nThen {closing.clean_windows} windows of {rate.window_s} s at or above {rate.slo_percent:g} % "
        f"with >= {closing.minimum_evidence} calls behind them, and a user's success in "
        f"{', '.join(closing.real_success_of)}; without that for {closing.maximum_wait_s:g} s you are "
        "paged.\nOther conditions must pass for as long. What only asked a person keeps the incident open "
        "until one closes it.\n"
        f"After {limits.attempts} attempts the incident is FROZEN. Owner: {playbook.owner}."
    )
    return Panel(lines, title="Closing", title_align="left")
