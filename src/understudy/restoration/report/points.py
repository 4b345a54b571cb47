"""The open follow-ups of an incident, each derived from what its journal says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.restoration.report.facts import Facts, what_happened
from understudy.restoration.report.fields import CALL_FAMILIES, utc_text

#: What an action closes or limits stays so until a person opens it again.
UNDONE_BY_PERSONS: Mapping[str, str] = {
    "close_valve": "Voice creates are closed. When the cause is known a person opens them again: "
    'understudy valve open design-creates --reason "...".',
    "throttle_tenant": "A tenant is throttled. Lift it when their volume has a reason: "
    "understudy budget clear generation-hour --user ID.",
    "close_reads": 'Reads are closed. Rotate what leaked, then: understudy reads open --reason "...".',
    "quarantine_and_repair": "Rows are in quarantine. Repair or release each: understudy quarantine list.",
}
_OVER = frozenset({"CLOSED", "ABORTED"})


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to do.

    Parameters
    ----------
    name
        The same in every report of the incident.
    blocking
        Whether no cutover may begin before it is done.
    """

    name: str
    text: str
    blocking: bool = False

    def sentence(self) -> str:
        """The text, saying so where it blocks."""
        return f"{self.text} (Blocks the next cutover.)" if self.blocking else self.text


def points_of(
    facts: Facts, checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None
) -> list[Point]:
    """Return what is still to do, by whom where that is known."""
    return [
        *_about_the_cause(facts),
        *_about_persons(facts),
        *_about_actions(facts),
        *_about_steps(facts),
        *_about_proof(checklist, smoke),
    ]


def failed_calls(facts: Facts) -> str | None:
    """How many calls failed in all, or at least, in words; None when none is known."""
    harm, finding = facts.harm() or facts.harm_at_start(), facts.finding()
    if harm is not None:
        return str(harm["failed"]) if harm["failed"] else None
    seen = finding.get("failures") if finding.get("trigger") in CALL_FAMILIES else None
    return f"At least {seen}" if isinstance(seen, int) and seen else None


def _about_the_cause(facts: Facts) -> Iterator[Point]:
    owner = facts.text("owner") or "nobody yet: name an owner"
    yield Point(
        "root cause", f"Find the root cause: this report says what was seen, not why. Owner: {owner}."
    )
    failures = failed_calls(facts)
    if failures:
        yield Point(
            "failed generations",
            f"{failures} generations failed during the incident; they are not repeated by themselves. "
            f"Tell their users, or generate them again.",
        )
    if "env switch" in facts.rollback_types() and facts.mode_at_start() == "qwen":
        yield Point(
            "voices",
            "Voices cloned or designed on Qwen need nothing: each speaks on Modal from its stored reference. "
            "Those cloned since are carried over before a cutover: understudy voices carry-over --to qwen.",
        )
        text = "Before the next cutover to Qwen, show with a probe that this failure is gone."
        yield Point("probe", text)


def _about_persons(facts: Facts) -> Iterator[Point]:
    for body in facts.asked():
        title = body.get("title") or body["finding"]["detail"]
        name = f"decide {body.get('finding_key') or title}"
        yield Point(name, f"Decide about: {title}. {body['instruction']}")
    if facts.asked() and not facts.acknowledged():
        yield Point("unacknowledged", "A person was asked and nobody acknowledged it on record.")
    for entry in facts.entries:
        glass = entry.body.get("break_glass") if entry.kind == "begun" else None
        if isinstance(glass, Mapping):
            yield Point(
                f"break-glass {entry.seq}",
                f"Review the break-glass of {glass['by']}, who acted alone ({glass['reason']}): "
                f"{entry.body['title']}.",
                blocking=True,
            )
        if entry.body.get("by_hand"):
            yield Point(
                f"by hand {entry.seq}",
                f"Closed by hand by {entry.actor}: confirm the recovery that was not proven.",
            )


def _about_actions(facts: Facts) -> Iterator[Point]:
    changed = {str(entry.body.get("action") or entry.step) for entry in facts.changes()}
    for action, text in UNDONE_BY_PERSONS.items():
        if action in changed:
            yield Point(f"undo {action}", text, blocking=action == "close_reads")
    if "code_rollback" in changed:
        yield Point(
            "code",
            "The code was rolled back; applied migrations, settings and remote secrets were not. Mend the "
            "release before it is deployed again.",
            blocking=True,
        )
    for entry in facts.entries:
        evidence = entry.body.get("evidence")
        listed = evidence.get("followups") if isinstance(evidence, Mapping) else None
        for one in listed if isinstance(listed, list) and entry.body.get("ok") is not None else ():
            name = f"{entry.step} {one['id']}"
            yield Point(name, str(one["text"]), blocking=bool(one.get("blocking")))


def _about_steps(facts: Facts) -> Iterator[Point]:
    if facts.state() not in _OVER:
        yield Point("open", f"The incident is still {facts.state() or 'unknown'}.")
    for entry in facts.unfinished():
        yield Point(
            f"unfinished {entry.seq}",
            f"Step {entry.step} was begun and its outcome is not recorded: check it.",
        )
    for entry in facts.failed_steps():
        yield Point(
            f"failed {entry.seq}",
            f"Step {entry.step} failed at {utc_text(entry.at)}: {what_happened(entry)}.",
        )


def _about_proof(checklist: Mapping[str, Any] | None, smoke: Mapping[str, Any] | None) -> Iterator[Point]:
    for item in checklist["items"] if checklist is not None else ():
        if not item["ok"]:
            name = f"not verified {item['sentence']}"
            yield Point(name, f"Not verified: {item['sentence']} {item['reason']}")
    for item in smoke["left_behind"] if smoke is not None else ():
        yield Point(f"left behind {item}", f"Delete what the smoke run left behind: {item}.")
