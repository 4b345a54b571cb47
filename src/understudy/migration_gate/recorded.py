"""What is kept with the migrations: reviews of persons, and what the gate found where it had every proof.

``accepted.toml`` is written by hand. Each entry names a file and either statements by digest, a rule of
squawk, or ``catalog``; an edited statement has another digest, so it must be read again. ``verdicts.json`` is
written by ``understudy migrations check --record``: a machine without parser knows files by their SHA-256.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError
from understudy.migration_gate.locks import LockFinding
from understudy.migration_gate.verdicts import Reading, Verdict

#: In a folder of their own: the Supabase CLI warns of other files among migrations, and not of folders.
ACCEPTED_FILE, VERDICTS_FILE = "gate/accepted.toml", "gate/verdicts.json"
#: Rule name by which an entry accepts what only the catalog shows.
CATALOG_RULE = "catalog"
#: Grows when a rule becomes stricter: then every file is read again.
GATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One entry of ``accepted.toml``."""

    file: str
    reason: str
    statements: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Acceptances:
    """The entries for one folder of migrations."""

    entries: tuple[Acceptance, ...] = ()

    def apply(self, file: str, reading: Reading) -> Reading:
        """Return the reading with accepted statements marked; destructive ones never are."""
        reasons = {digest: one.reason for one in self._of(file) for digest in one.statements}
        statements = tuple(
            replace(statement, accepted=reasons.get(statement.digest, ""))
            if statement.verdict in {Verdict.REVIEW, Verdict.BLOCKED}
            else statement
            for statement in reading.statements
        )
        return replace(reading, statements=statements)

    def apply_locks(self, file: str, findings: Sequence[LockFinding]) -> tuple[LockFinding, ...]:
        """Return the findings with accepted ones marked."""
        reasons = {rule: one.reason for one in self._of(file) for rule in one.rules}
        return tuple(replace(one, accepted=reasons.get(one.rule, "")) for one in findings)

    def catalog(self, file: str) -> str:
        """Why what only the catalog shows is accepted for a file, or empty."""
        return next((one.reason for one in self._of(file) if CATALOG_RULE in one.rules), "")

    def unused(self, file: str, reading: Reading, locks: Sequence[LockFinding], catalog: bool) -> list[str]:
        """Digests and rules of the file's entries that accept nothing."""
        present = {one.digest for one in reading.statements if one.reasons}
        rules = {one.rule for one in locks} | ({CATALOG_RULE} if catalog else set())
        named = [(one.statements - present) | (one.rules - rules) for one in self._of(file)]
        return sorted(name for names in named for name in names)

    def _of(self, file: str) -> list[Acceptance]:
        return [one for one in self.entries if one.file == file]


def read_acceptances(folder: Path) -> Acceptances:
    """Read ``accepted.toml``; none without the file.

    Raises
    ------
    ConfigurationError
        It is not what it should be; the message names the entry.
    """
    path = folder / ACCEPTED_FILE
    if not path.is_file():
        return Acceptances()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from None
    return Acceptances(tuple(_acceptance(path, item) for item in document.get("accepted", [])))


def _acceptance(path: Path, item: Mapping[str, Any]) -> Acceptance:
    file, reason = str(item.get("file", "")), str(item.get("reason", "")).strip()
    statements = frozenset(map(str, item.get("statements", [])))
    rules = frozenset(map(str, item.get("rules", [])))
    unknown = set(item) - {"file", "reason", "statements", "rules"}
    if not file or not reason or unknown or not (statements or rules):
        raise ConfigurationError(
            f"{path}: the entry for {file or 'no file'} needs file, reason, and statements or rules, and "
            f"nothing else{': ' + ', '.join(sorted(unknown)) if unknown else ''}."
        )
    return Acceptance(file, reason, statements, rules)


@dataclass(frozen=True, slots=True)
class RecordedVerdicts:
    """``verdicts.json``: SHA-256 of a file, and what it was found to be after reviews.

    Parameters
    ----------
    by_digest
        ``additive`` or ``reviewed``; a destructive file is never recorded.
    """

    by_digest: Mapping[str, str] = field(default_factory=dict)

    def of(self, sha256: str) -> str | None:
        """What was found of the file with this content, or None."""
        return self.by_digest.get(sha256)


def read_verdicts(folder: Path) -> RecordedVerdicts:
    """Read ``verdicts.json``; one of another gate, or none at all, knows nothing."""
    try:
        document = json.loads((folder / VERDICTS_FILE).read_text(encoding="utf-8"))
        if document["gate"] != GATE_VERSION:
            return RecordedVerdicts()
        return RecordedVerdicts({item["sha256"]: item["verdict"] for item in document["files"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RecordedVerdicts()


def verdicts_text(verdicts: Mapping[str, tuple[str, str]], *, parser: str) -> str:
    """Return the text of ``verdicts.json``.

    Parameters
    ----------
    verdicts
        By file name: SHA-256 and verdict.
    """
    files = {
        name: {"sha256": sha256, "verdict": verdict} for name, (sha256, verdict) in sorted(verdicts.items())
    }
    return json.dumps({"gate": GATE_VERSION, "parser": parser, "files": files}, indent=1) + "\n"


def write_verdicts(folder: Path, text: str) -> None:
    """Write ``verdicts.json``; raises :class:`ConfigurationError`."""
    try:
        (folder / VERDICTS_FILE).parent.mkdir(exist_ok=True)
        (folder / VERDICTS_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder / VERDICTS_FILE} cannot be written: {error.strerror}.") from None
