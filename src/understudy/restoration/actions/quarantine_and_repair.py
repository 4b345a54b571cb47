"""Rung 0: rows that contradict each other are kept from use, repaired where that can be, and judged again.

Nothing is deleted and no terminal status is rewritten. Each row in quarantine is on record with what repair
made of it (``understudy quarantine list``), and a person lets it out (``understudy quarantine release``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from understudy.errors import UnderstudyError
from understudy.money import dollars
from understudy.restoration.actions.repairing import Repairer
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.restoration.signals.integrity import SPAN_S
from understudy.store import invariants, quarantine
from understudy.store.quarantine import KINDS, OBJECT, Entry, Subject, subject_of

ACTION: Final = "quarantine_and_repair"
ACTOR = "guard"
#: Rows of one invariant that are dealt with in one attempt; what is more is found by the next.
ROWS_MOST = 2_000
#: Rows told in the journal; the rest is in ``understudy quarantine list``.
ROWS_TOLD = 50
QUERY_S = 20.0
#: Asked for by hand there is no finding that says how old a row must be: younger ones may be in flight.
OLDER_THAN_S = 120.0
#: An upload waits for its voice.
OBJECTS_OLDER_THAN_S = 86_400.0
PUT_BACK = 'understudy quarantine release ID --reason "..."'


class Quarantine:
    """Keep from use what breaks the invariants that the findings name: what they sampled, and all like it."""

    name = "quarantine"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the invariants, and what was seen to break them."""
        return {
            "invariants": invariants_of(run),
            "rows": {
                finding["subject"]: [str(subject) for subject in sampled(finding)]
                for finding in findings_of(run)
            },
            "undo": f"a person: {PUT_BACK}",
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # entries are their own key
        """See whether any of it is still in use."""
        found = await _broken(run)
        left = {name: len(subjects) for name, subjects in found.items() if subjects}
        if left:
            return Sighting(Progress.ABSENT, f"in use still: {_told(left)}")
        async with (await run.connect()).service() as conn:
            entries = await quarantine.entries_of(conn, run.incident)
        return Sighting(Progress.DONE, evidence=_entered(run, entries))

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Put it into quarantine."""
        for name, subjects in (await _broken(run)).items():
            async with (await run.connect()).service() as conn:
                await quarantine.quarantine(
                    conn, subjects, invariant=name, incident=run.incident, actor=ACTOR, reason=run.reason
                )


class Repair:
    """Repair each of them by what our own rows, the stored audio and the provider's list still know."""

    name = "repair"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what repair is, for each invariant."""
        return {"repair": {name: REPAIRS[name] for name in invariants_of(run)}}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """See whether repair has looked at every entry of these invariants."""
        names = invariants_of(run)
        async with (await run.connect()).service() as conn:
            waiting = await quarantine.open_entries(conn, invariants=names, unrepaired_only=True, limit=1)
            entries = await quarantine.entries_of(conn, run.incident)
        if waiting:
            return Sighting(Progress.ABSENT, "not all rows in quarantine were looked at")
        return Sighting(Progress.DONE, evidence=_repaired(run, entries))

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Look at each in turn; one whose repair meets a failure is left for the next attempt."""
        names = invariants_of(run)
        after, failed = 0, ""
        async with Repairer(run) as repairer:
            while True:
                async with (await run.connect()).service() as conn:
                    page = await quarantine.open_entries(
                        conn, invariants=names, unrepaired_only=True, after=after, limit=100
                    )
                if not page:
                    break
                after = page[-1].id
                for entry in page:
                    try:
                        await repairer.repair(entry)
                    except UnderstudyError as error:
                        failed = f"{entry.what}: {error.message}"
        if failed:
            raise StepError(f"Not all of it could be looked at; the last one was {failed}")


class Recheck:
    """Look at each invariant anew: outside the quarantine it has to hold."""

    name = "recheck"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must hold."""
        return {"hold_outside_the_quarantine": invariants_of(run)}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Look."""
        left = {name: len(subjects) for name, subjects in (await _broken(run)).items()}
        async with (await run.connect()).service() as conn:
            kept = await quarantine.counts_in_quarantine(conn)
        evidence = {
            "invariants": {
                name: {"count": count, "in_quarantine": kept.get(name, 0)} for name, count in left.items()
            }
        }
        broken = {name: count for name, count in left.items() if count}
        if broken:
            raise StepError(
                f"Outside the quarantine there is more by now: {_told(broken)}. Whatever writes such rows "
                f"still runs.",
                final=True,
                evidence=evidence,
            )
        return evidence


#: By invariant, what repair does; kept with the intent.
REPAIRS: Mapping[str, str] = {
    "missing_provider_metadata": "bind the voice again by our own records or the provider's list, else it "
    "needs enrolment; name the generation's model by its call",
    "orphaned_generations": "complete it where its task completed and its audio is stored, else fail it",
    "orphaned_tasks": "fail task and generation, which settles the reservation; complete a generation "
    "whose task completed and whose audio is stored",
    "completed_without_audio": "record the digest of audio that is there; what is lost shows as failed, and "
    "what was charged for it is listed as owed",
    "audio_without_row": "list it; the collection leaves it alone",
    "unreadable_references": "forget a sighting that is not true any more, else the voice needs enrolment",
    "ledger_unbalanced": "list it with its money; the ledger is not rewritten",
}

STEPS: tuple[Step, ...] = (Quarantine(), Repair(), Recheck())


def findings_of(run: Restoration) -> list[Mapping[str, Any]]:
    """Findings of the incident that this cures, each about one invariant that can be quarantined."""
    return [finding for finding in run.findings_for(ACTION) if finding.get("subject") in KINDS]


def invariants_of(run: Restoration) -> list[str]:
    """Names of those invariants; asked for by hand, without a finding, all that there are."""
    return sorted({finding["subject"] for finding in findings_of(run)}) or sorted(KINDS)


def sampled(finding: Mapping[str, Any]) -> list[Subject]:
    """Rows that a finding names."""
    return [subject_of(finding["subject"], name) for name in finding.get("evidence", {}).get("sample", ())]


async def _broken(run: Restoration) -> dict[str, list[Subject]]:
    """By invariant, what breaks it now outside the quarantine: all that rows tell, and what was sampled.

    Raises
    ------
    StepError
        The target's rows are not ours to keep from use.
    """
    if not run.target.capabilities.live_switch:
        raise StepError(
            f"The target {run.target.name} does not run on our tables: a person looks the rows up.",
            hopeless=True,
        )
    found: dict[str, list[Subject]] = {}
    about = {finding["subject"]: finding for finding in findings_of(run)}
    async with Repairer(run) as repairer:
        for name in invariants_of(run):
            finding = about.get(name, {})
            async with (await run.connect()).service() as conn:
                by_rows = await invariants.broken(
                    conn,
                    name,
                    now=run.clock.now(),
                    older_than_s=finding.get("bounds", {}).get("older_than_s", _usual_age_s(name)),
                    span_s=SPAN_S,
                    timeout_s=QUERY_S,
                    sample=ROWS_MOST,
                )
            subjects = dict.fromkeys(subject_of(name, row) for row in by_rows.sample)
            for subject in sampled(finding):
                if subject not in subjects and await repairer.breaks(name, subject):
                    subjects[subject] = None
            found[name] = list(subjects)
    return found


def _usual_age_s(invariant: str) -> float:
    return OBJECTS_OLDER_THAN_S if KINDS[invariant] == OBJECT else OLDER_THAN_S


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))


def _entered(run: Restoration, entries: list[Entry]) -> dict[str, Any]:
    by_invariant = Counter(entry.invariant for entry in entries)
    return {
        "incident": run.incident,
        "by_invariant": {name: by_invariant.get(name, 0) for name in invariants_of(run)},
        "rows": [{"entry": entry.id, "row": str(entry.what)} for entry in entries[:ROWS_TOLD]],
        "total": len(entries),
        "undo": PUT_BACK,
    }


def _repaired(run: Restoration, entries: list[Entry]) -> dict[str, Any]:
    needing = [entry for entry in entries if entry.outcome == "needs_enrolment"]
    owed = sum(entry.owed_microusd for entry in entries)
    followups = []
    if needing:
        subjects = list(dict.fromkeys(entry.subject for entry in needing))  # one may break two invariants
        followups.append(
            {
                "id": f"{run.incident}:needs-enrolment",
                "text": f"Voices to be made again, or carried over ({len(subjects)}): "
                f"{', '.join(subjects[:ROWS_TOLD])}",
                "blocking": True,
            }
        )
    if owed:
        followups.append(
            {
                "id": f"{run.incident}:owed",
                "text": f"{dollars(owed)} charged for audio that is lost: understudy quarantine list",
                "blocking": False,
            }
        )
    return {
        "outcomes": dict(Counter(entry.outcome or "none" for entry in entries)),
        "owed_microusd": owed,
        "rows": [
            {"entry": entry.id, "row": str(entry.what), "outcome": entry.outcome, "detail": entry.detail}
            for entry in entries[:ROWS_TOLD]
        ],
        "followups": followups,
    }
