"""The probe that stands for the last incident: what failed then must work now, before anybody is moved.

What it was decides what can be shown:

================================  =====================================================================
the incident's finding            what is done
================================  =====================================================================
calls failed (success_rate,       so many phrases in a row are spoken at the candidate as rule its
realtime_failures), or what       failure rate out, each heard as whole speech of that text
players got (playback)
data_integrity, security          the guard's own newest verdict on that very family must be PASS
cost                              cannot be reproduced without tenants' traffic: said; the cost checks
                                  and the cutover's cost guardrail watch it from the first stage on
no incident                       five phrases: the candidate speaks at all
================================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.restoration.cutover.power import calls_needed
from understudy.restoration.cutover.stages import SIDED_FAMILIES
from understudy.restoration.incidents import joined_findings
from understudy.restoration.signals.readings import ProbeResult
from understudy.store.guard import GuardStore

#: Phrases where nothing says how many.
FEW = 5
#: A rarer failure than this is not looked for phrase by phrase: the stages do.
RAREST = 0.10

Speak = Callable[[], Awaitable[ProbeResult]]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What must be shown.

    Parameters
    ----------
    incident, finding
        The last incident and the check that opened it; ``None`` without one.
    phrases
        Clean phrases in a row; 0 where phrases show nothing.
    family
        The family whose verdict shows it instead, or None.
    rate
        The failure rate that the phrases rule out.
    """

    incident: str | None
    finding: str | None
    phrases: int
    family: str | None
    rate: float

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "incident": self.incident,
            "finding": self.finding,
            "phrases": self.phrases,
            "family": self.family,
            "rules_out_percent": round(100 * self.rate, 2),
        }


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was heard: the first phrase that was not clean ends it."""

    clean: int
    failure: str | None


def reproduction_of(
    store: GuardStore, environment: str, *, candidate: str, error: float, phrases_at_most: int
) -> Reproduction:
    """Return what the newest incident about ``candidate``, or about no provider, asks to be shown."""
    for incident in store.incidents(environment):
        documents = joined_findings(store.entries(incident.id))
        about = next((doc for doc in documents if doc.get("provider") in {None, candidate}), None)
        if about is not None:
            return _of(about, incident.id, error, phrases_at_most)
    return Reproduction(None, None, min(FEW, phrases_at_most), None, 1 - error ** (1 / FEW))


def _of(finding: Mapping[str, Any], incident: str, error: float, phrases_at_most: int) -> Reproduction:
    family, name = str(finding["trigger"]), f"{finding['trigger']}/{finding.get('check')}"
    if family not in SIDED_FAMILIES:
        shown_by = family if family in {"data_integrity", "security"} else None
        return Reproduction(incident, name, 0, shown_by, 1.0)
    n, failures = int(finding.get("n") or 0), int(finding.get("failures") or 0)
    rate = min(0.95, max(RAREST, failures / n if n else RAREST))
    phrases = max(FEW, min(phrases_at_most, calls_needed(0, rate, error)))
    return Reproduction(incident, name, min(phrases, phrases_at_most), None, rate)


async def speak_clean(phrases: int, speak: Speak) -> Spoken:
    """Speak until one phrase is not clean, or all were."""
    for number in range(phrases):
        result = await speak()
        if not result.ok:
            said = f"{result.outcome}, {result.code or 'no code'}: {result.detail}"
            return Spoken(number, f"phrase {number + 1} of {phrases} was not clean: {said}")
    return Spoken(phrases, None)
