"""The playbook's post-rollback checklist: its eight sentences, each ticked by evidence or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.restoration.verification.evidence import SmokeResult

#: (sentence of the playbook, verbatim; the checks that must have passed for it)
CHECKLIST: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("`GET /api/health` returns `{ ok: true }`.", ("health",)),
    ("`GET /api/languages` reports expected provider capabilities.", ("languages",)),
    ("Modal generate task creation works and completes.", ("generate",)),
    ("Task polling returns terminal status and audio URL.", ("task_polling",)),
    ("Voice clone finalize succeeds.", ("clone",)),
    ("Voice design preview succeeds.", ("design_preview",)),
    ("No cross-tenant leakage in voices/generations/tasks.", ("isolation",)),
    ("Error responses remain JSON `{ detail: string }`.", ("error_shape",)),
)


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """Points at the evidence of one check by its name and its SHA-256 (hex)."""

    check: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One sentence of the playbook.

    Parameters
    ----------
    reason
        What the evidence says: why it is ticked, or why it is not.
    spoken_by
        The provider that spoke, where nothing else keeps the point open.
    """

    sentence: str
    ok: bool
    reason: str
    evidence: tuple[EvidenceRef, ...]
    spoken_by: str | None = None


@dataclass(frozen=True, slots=True)
class ChecklistResult:
    """The eight points, as one smoke run proved them."""

    items: tuple[ChecklistItem, ...]
    smoke_sha256: str | None

    @property
    def ok(self) -> bool:
        """Whether all eight points are ticked."""
        return len(self.items) == len(CHECKLIST) and all(item.ok for item in self.items)

    def objections(self, expected: str) -> tuple[ChecklistItem, ...]:
        """Return the open points that count where ``expected`` is to serve.

        A cure that moves no provider cannot tick the sentence about Modal in Qwen mode; that is no fault.
        """
        return tuple(item for item in self.items if not item.ok and item.spoken_by != expected)

    def markdown(self) -> str:
        """Return the checklist as the playbook prints it, one line a point."""
        return "".join(f"- [{'x' if item.ok else ' '}] {item.sentence}\n" for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "ok": self.ok,
            "smoke_sha256": self.smoke_sha256,
            "items": [
                {
                    "sentence": item.sentence,
                    "ok": item.ok,
                    "reason": item.reason,
                    "evidence": [{"check": ref.check, "sha256": ref.sha256} for ref in item.evidence],
                }
                for item in self.items
            ],
        }


def derive_checklist(smoke: SmokeResult | None) -> ChecklistResult:
    """Tick what ``smoke`` proves; without a run nothing is ticked."""
    items = tuple(_item(sentence, names, smoke) for sentence, names in CHECKLIST)
    return ChecklistResult(items, smoke.evidence_hash if smoke else None)


def _item(sentence: str, names: tuple[str, ...], smoke: SmokeResult | None) -> ChecklistItem:
    if smoke is None:
        return ChecklistItem(sentence, ok=False, reason="No smoke run has been made.", evidence=())
    condition = CONDITIONS.get(sentence)
    ok, reasons, refs = True, [], []
    other: str | None = None
    for name in names:
        check = smoke.check(name)
        if check is None:
            ok = False
            reasons.append(f"The check {name} was not part of the run.")
            continue
        refs.append(EvidenceRef(name, check.evidence_hash))
        if check.ok and not check.requests:
            ok = False
            reasons.append(f"The check {name} sent no request, so it proves nothing.")
            continue
        ok = ok and check.ok
        reasons.append(check.detail)
    if ok and condition is not None:
        objection, other, more = condition(smoke)
        refs += more
        if objection is not None:
            ok = False
            reasons.append(objection)
    return ChecklistItem(sentence, ok, " ".join(reasons), tuple(refs), other)


#: Why a point stays open all the same, the provider that spoke in Modal's place, and the evidence.
Objection = tuple[str | None, str | None, list[EvidenceRef]]


def _objection_to_modal(smoke: SmokeResult) -> Objection:
    """The sentence says Modal: the task itself must have named Modal as the one that spoke."""
    polling = smoke.check("task_polling")
    provider = polling.facts.get("provider") if polling is not None and polling.ok else None
    refs = [EvidenceRef("task_polling", polling.evidence_hash)] if polling is not None else []
    if provider == "modal":
        return None, None, refs
    if provider is None:
        return "Which provider spoke was not shown.", None, refs
    return f"It was {provider} that spoke, not Modal.", str(provider), refs


Condition = Callable[[SmokeResult], Objection]

CONDITIONS: Mapping[str, Condition] = {CHECKLIST[2][0]: _objection_to_modal}
