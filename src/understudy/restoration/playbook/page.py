"""The policy as a page for the person on call: its sentences, and the whole of it as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.restoration.playbook.ladder import Rung
from understudy.restoration.playbook.policy import Playbook, TriggerName
from understudy.restoration.playbook.words import limits_in_words
from understudy.restoration.triggers.cures import ActionName, Check

LADDER = "Ladder: what the engine does, cheapest first"
#: What each mode of a check means.
MEANINGS: Mapping[str, str] = {
    "auto": "acts, after the approvals of its rung",
    "pause": "opens an incident and asks for one approval at least",
    "shadow": "counts only",
}


def checks_of_family(playbook: Playbook, trigger: TriggerName) -> list[tuple[str, Check]]:
    """Return the checks that watch one condition, with their names."""
    return [(name, check) for owner, name, check in playbook.checks() if owner == trigger]


def cures_of_family(playbook: Playbook, trigger: TriggerName) -> list[ActionName]:
    """Return what its checks name as cures, each once, in their order."""
    cures: list[ActionName] = []
    for _, check in checks_of_family(playbook, trigger):
        cures += [cure for cure in check.cures if cure not in cures]
    return cures


def who_acts(playbook: Playbook, cure: ActionName) -> str:
    """Say who carries a cure out, before what a person does."""
    rung = playbook.rung_of(cure)
    if rung is None:
        return "by hand:"
    agreed = "by itself" if rung.approvals == 0 else f"approvals {rung.approvals}"
    return f"rung {rung.rung}, {agreed} where auto; by hand:"


def rung_in_words(rung: Rung) -> str:
    """Say what a rung is, within which time, and who must agree."""
    return f"{rung.title}, within {rung.time_box_s:g} s, approvals {rung.approvals}"


def steps_in_words(rung: Rung) -> str:
    """Name a rung's steps with their time boxes."""
    return ", ".join(f"{name} {box:g} s" for name, box in rung.steps.model_dump().items())


def closing_in_words(playbook: Playbook) -> str:
    """Say what must hold after the checklist until an incident closes."""
    closing, rate, limits = playbook.closing, playbook.triggers.success_rate.rate, playbook.limits
    return (
        f"Then {closing.clean_windows} windows of {rate.window_s} s at or above {rate.slo_percent:g} % "
        f"with >= {closing.minimum_evidence} calls behind them, and a user's success in "
        f"{', '.join(closing.real_success_of)}; without that for {closing.maximum_wait_s:g} s you are "
        "paged.\nOther conditions must pass for as long. What only asked a person keeps the incident open "
        "until one closes it.\n"
        f"After {limits.attempts} attempts the incident is FROZEN. Owner: {playbook.owner}."
    )


def markdown(playbook: Playbook) -> str:
    """Return the page as Markdown."""
    parts = ["# Restoration playbook"]
    for number, family in enumerate(playbook.families, 1):
        parts += [f"## {number}. {family.trigger}", f"*{family.sentence}*", _checks(playbook, family.trigger)]
        parts += [
            f"**{cure}**: {playbook.cures[cure].title}; {who_acts(playbook, cure)}\n\n"
            f"> {_line(playbook.cures[cure].instruction)}"
            for cure in cures_of_family(playbook, family.trigger)
        ]
    parts += [f"## {LADDER}", "\n".join(f"- `{mode}` {meaning}" for mode, meaning in MEANINGS.items())]
    parts += [
        f"**rung {rung.rung} {rung.action}**: {rung_in_words(rung)}\n\n{steps_in_words(rung)}"
        for rung in playbook.ladder
    ]
    parts += ["## Closing", "\n".join(f"- [ ] {sentence}" for sentence in playbook.checklist)]
    parts += closing_in_words(playbook).split("\n")
    return "\n\n".join(parts) + "\n"


def _checks(playbook: Playbook, trigger: TriggerName) -> str:
    lines = ["| check | mode | trips at | cure |", "|---|---|---|---|"]
    for name, check in checks_of_family(playbook, trigger):
        cells = (
            name,
            check.mode,
            limits_in_words(playbook, trigger, name, check),
            ", then ".join(check.cures),
        )
        lines.append(f"| {' | '.join(_line(cell).replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
