"""The second opinion: squawk, above all on locks. It is not asked about style, and no comment silences it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from understudy.errors import UnderstudyError
from understudy.migration_gate.reading import without_remarks

#: Rules that are not asked, and why.
NOISE: Mapping[str, str] = {
    "prefer-robust-stmts": "`if not exists` hides drift: a file runs once and whole",
    "require-lock-timeout": "the runner sets lock_timeout = 4 s for each file",
    "require-statement-timeout": "it is waiting for locks that hurts, and that is bounded",
    "prefer-bigint-over-int": "our integers are bounded by nature; keys are uuid, or bigint identity",
}
_TIMEOUT_S = 60


class SquawkMissingError(UnderstudyError):
    """squawk is not installed; it comes with the development requirements (`make setup`)."""

    code = "squawk_missing"


@dataclass(frozen=True, slots=True)
class LockFinding:
    """One finding of squawk.

    Parameters
    ----------
    line
        Line of the file, from 1.
    accepted
        Why a person accepted it, or empty.
    """

    line: int
    rule: str
    message: str
    accepted: str = ""


def squawk_program() -> Path:
    """Return where squawk is; raises :class:`SquawkMissingError`."""
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.is_file() else which("squawk")
    if found is None:
        raise SquawkMissingError
    return Path(found)


def examine(texts: Mapping[str, str], *, whole: bool = False) -> dict[str, list[LockFinding]]:
    """Ask squawk about files, by name.

    Parameters
    ----------
    whole
        Rules of :data:`NOISE` too.

    Raises
    ------
    SquawkMissingError
        It is not installed, or did not run.
    """
    if not texts:
        return {}
    program = squawk_program()
    excluded = [argument for rule in NOISE if not whole for argument in ("-e", rule)]
    with tempfile.TemporaryDirectory(prefix="understudy-squawk-") as folder:
        place = Path(folder)
        (place / ".squawk.toml").write_text("", encoding="utf-8")
        for name, text in texts.items():
            (place / name).write_text(without_remarks(text), encoding="utf-8")
        command: list[str | Path] = [
            program,
            "--reporter",
            "json",
            "--pg-version",
            "15.0",
            "--assume-in-transaction",
        ]
        return _parsed(_run([*command, *excluded, *texts], place), texts)


def _run(command: Sequence[str | Path], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SquawkMissingError(f"squawk did not run: {error}.") from None
    if done.returncode not in {0, 1} or not done.stdout.strip().startswith("["):
        raise SquawkMissingError(f"squawk did not run: {done.stderr.strip()[:200] or done.stdout[:200]}.")
    return done.stdout


def _parsed(answer: str, texts: Mapping[str, str]) -> dict[str, list[LockFinding]]:
    found: dict[str, list[LockFinding]] = {name: [] for name in texts}
    for item in json.loads(answer):
        name = Path(item["file"]).name
        found[name].append(LockFinding(int(item["line"]) + 1, item["rule_name"], item["message"]))
    return found
