"""The gate: three readings of each file, put together, and whether it may run.

The parser says what each statement does, the catalog proves it, squawk looks for locks. Where one of the
three cannot be had, the others decide and the answer says which is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import MigrationError
from understudy.migration_gate import locks, proof
from understudy.migration_gate.locks import LockFinding, SquawkMissingError
from understudy.migration_gate.parser import ParserBrokenError, ParserMissingError, ParserProcess
from understudy.migration_gate.proof import Difference
from understudy.migration_gate.reading import read, read_without_parser
from understudy.migration_gate.recorded import (
    Acceptances,
    RecordedVerdicts,
    read_acceptances,
    read_verdicts,
    verdicts_text,
)
from understudy.migration_gate.verdicts import Reading, Verdict, worst
from understudy.store.drift import ScratchRefusedError
from understudy.store.migrations import Migration


class Proof(StrEnum):
    """Whether a proof could be had."""

    DONE = "done"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ProofState:
    """One proof: had, or missing and why."""

    name: str
    state: Proof
    detail: str


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """One file, by every proof that could be had.

    Parameters
    ----------
    source
        ``parser``, ``recorded`` (known by its SHA-256) or ``keywords``.
    hidden
        What the catalog shows and no statement in plain sight says.
    lost
        What the catalog shows to be gone.
    """

    migration: Migration
    reading: Reading
    source: str
    locks: tuple[LockFinding, ...] = ()
    lost: tuple[Difference, ...] = ()
    hidden: tuple[Difference, ...] = ()
    hidden_accepted: str = ""
    unused: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of everything, accepted or not."""
        by_catalog = [Verdict.DESTRUCTIVE] * bool(self.lost) + [Verdict.BLOCKED] * bool(self.hidden)
        by_locks = [Verdict.REVIEW] * bool(self.locks)
        return worst([self.reading.verdict, *by_catalog, *by_locks])

    @property
    def destroys(self) -> list[str]:
        """What it takes away: refused until the stabilization gates are met."""
        return [
            *(
                f"line {one.line}: {reason.rule}: {reason.why}"
                for one in self.reading.statements
                for reason in one.reasons
                if reason.verdict is Verdict.DESTRUCTIVE
            ),
            *(f"catalog: {one.what}" for one in self.lost),
        ]

    @property
    def open(self) -> list[str]:
        """What a person must look at, or nobody can read: refused until it is in ``accepted.toml``."""
        return list(self._open())

    def _open(self) -> Iterator[str]:
        for one in self.reading.statements:
            for reason in one.reasons:
                if reason.verdict in {Verdict.REVIEW, Verdict.BLOCKED} and not one.accepted:
                    yield f"line {one.line} [{one.digest}] {reason.verdict}: {reason.rule}: {reason.why}"
        for finding in self.locks:
            if not finding.accepted:
                yield f"line {finding.line} squawk {finding.rule}: {finding.message}"
        if self.hidden and not self.hidden_accepted:
            for difference in self.hidden:
                yield f"catalog: {difference.what}; no statement in plain sight says so"

    @property
    def recorded(self) -> str | None:
        """What ``verdicts.json`` says of it: None when it may not be recorded."""
        if self.destroys or self.open:
            return None
        return "additive" if self.verdict is Verdict.ADDITIVE else "reviewed"


@dataclass(frozen=True, slots=True)
class GateReport:
    """The answer for some files."""

    files: tuple[FileVerdict, ...]
    proofs: tuple[ProofState, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def destroys(self) -> list[str]:
        """Everything destructive, with its file."""
        return [f"{one.migration.file_name} {what}" for one in self.files for what in one.destroys]

    @property
    def open(self) -> list[str]:
        """Everything that waits for a person, with its file."""
        return [f"{one.migration.file_name} {what}" for one in self.files for what in one.open]

    @property
    def missing(self) -> list[ProofState]:
        """Proofs that could not be had."""
        return [one for one in self.proofs if one.state is Proof.MISSING]

    def allowed(self, *, stabilized: bool) -> bool:
        """Whether the files may run; destructive ones only when stabilization is on record."""
        return not self.problems and not self.open and (stabilized or not self.destroys)


@dataclass(slots=True)
class _Proofs:
    """Which proofs were had."""

    states: list[ProofState] = field(default_factory=list)

    def had(self, name: str, detail: str) -> None:
        self.states.append(ProofState(name, Proof.DONE, detail))

    def lacks(self, name: str, detail: str) -> None:
        self.states.append(ProofState(name, Proof.MISSING, detail))


async def check(
    files: Sequence[Migration],
    *,
    folder: Path,
    judged: Collection[str] | None = None,
    url: SecretStr | None = None,
    no_database: str = "no database was given",
    believe_recorded: bool = False,
) -> GateReport:
    """Judge files.

    Parameters
    ----------
    files
        All of the sequence, in order: later ones build on earlier ones.
    folder
        Where ``accepted.toml`` and ``verdicts.json`` lie.
    judged
        Versions to judge; all when None.
    url
        A server where a scratch database may be made; without one the catalog's proof is missing.
    no_database
        Why there is none.
    believe_recorded
        Without the parser, take a file for what it was found to be where there was one.
    """
    wanted = frozenset(one.version for one in files) if judged is None else frozenset(judged)
    chosen = [one for one in files if one.version in wanted]
    acceptances, known, proofs = read_acceptances(folder), read_verdicts(folder), _Proofs()
    readings = _read(chosen, known if believe_recorded else RecordedVerdicts(), proofs)
    locked = _locks(chosen, proofs)
    shown, problems = await _catalog(url, no_database, files, wanted, proofs)
    verdicts = [
        _together(
            one,
            readings[one.version],
            acceptances,
            locked=locked.get(one.file_name, ()),
            shown=shown.get(one.version, ()),
        )
        for one in chosen
    ]
    return GateReport(tuple(verdicts), tuple(proofs.states), tuple(problems))


def _read(
    chosen: Sequence[Migration], known: RecordedVerdicts, proofs: _Proofs
) -> dict[str, tuple[Reading, str]]:
    with ExitStack() as stack:
        try:
            parser = stack.enter_context(ParserProcess())
            found = {one.version: (read(one.text, parser), "parser") for one in chosen}
        except (ParserMissingError, ParserBrokenError) as error:
            unknown = [one.file_name for one in chosen if known.of(one.sha256) is None]
            if unknown or not chosen:
                proofs.lacks("parser", error.message)
            else:
                proofs.had("parser", "every file is in verdicts.json, found where the parser was")
            return {one.version: _without_parser(one, known) for one in chosen}
        proofs.had("parser", parser.version)
    return found


def _without_parser(migration: Migration, known: RecordedVerdicts) -> tuple[Reading, str]:
    if known.of(migration.sha256) is not None:
        return Reading((), reader="recorded"), "recorded"
    return read_without_parser(migration.text), "keywords"


def _locks(chosen: Sequence[Migration], proofs: _Proofs) -> Mapping[str, Sequence[LockFinding]]:
    try:
        found = locks.examine({one.file_name: one.text for one in chosen})
    except SquawkMissingError as error:
        proofs.lacks("squawk", error.message)
        return {}
    proofs.had("squawk", f"without {', '.join(locks.NOISE)}")
    return found


async def _catalog(
    url: SecretStr | None, why_none: str, files: Sequence[Migration], wanted: Collection[str], proofs: _Proofs
) -> tuple[Mapping[str, Sequence[Difference]], list[str]]:
    if url is None:
        proofs.lacks("catalog", why_none)
        return {}, []
    try:
        found = await proof.prove(url, files, wanted)
    except ScratchRefusedError as error:
        proofs.lacks("catalog", f"this role may not create a scratch database ({error})")
        return {}, []
    except MigrationError as error:
        proofs.lacks("catalog", "a file failed on the scratch database")
        return {}, [error.message]
    proofs.had("catalog", "before is a subset of after, but for what is told")
    return found, []


def _together(
    migration: Migration,
    read_as: tuple[Reading, str],
    acceptances: Acceptances,
    *,
    locked: Sequence[LockFinding],
    shown: Sequence[Difference],
) -> FileVerdict:
    name, (reading, source) = migration.file_name, read_as
    hidden = tuple(one for one in shown if not one.lost and not one.told_by(reading.touched))
    if source == "recorded":
        hidden = ()  # it was compared with the statements where they could be read
    return FileVerdict(
        migration,
        acceptances.apply(name, reading),
        source,
        locks=acceptances.apply_locks(name, locked),
        lost=tuple(one for one in shown if one.lost),
        hidden=hidden,
        hidden_accepted=acceptances.catalog(name),
        unused=tuple(acceptances.unused(name, reading, locked, bool(hidden))) if source == "parser" else (),
    )


def record(report: GateReport) -> str:
    """Return the text of ``verdicts.json``; only what may run is in it."""
    parser = next((one.detail for one in report.proofs if one.name == "parser"), "")
    kept = {
        one.migration.file_name: (one.migration.sha256, found)
        for one in report.files
        if (found := one.recorded) is not None
    }
    return verdicts_text(kept, parser=parser)
