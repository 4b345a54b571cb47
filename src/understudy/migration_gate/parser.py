"""Postgres's own parser, in a process of its own.

It is GPL-3 (pglast) and this package is not, so they share nothing but a pipe: the program reads one JSON
request a line and writes one JSON answer a line (``tools/parser/parse_sql.py``, docs/decisions/0016).
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from understudy.errors import UnderstudyError
from understudy.resources import checkout_dir

#: Names the parser where this is no checkout: an interpreter that has pglast, and the program.
PARSER_VARIABLE = "MIGRATION_PARSER"
#: All files together; our own take half a second.
DEADLINE_S = 60.0

Tree = Mapping[str, Any]


class ParserMissingError(UnderstudyError):
    """The SQL parser is not installed: run `make gate-parser`, or name it in MIGRATION_PARSER."""

    code = "parser_missing"


class ParserBrokenError(UnderstudyError):
    """The SQL parser ended or did not answer in time."""

    code = "parser_broken"


class UnparsableError(Exception):
    """The text is not SQL, as Postgres sees it; ``at`` is an offset in it, or None."""

    def __init__(self, message: str, at: int | None) -> None:
        super().__init__(message)
        self.message, self.at = message, at


class SqlParser(Protocol):
    """What the classification needs of a parser."""

    def sql(self, text: str) -> list[Tree]:
        """Return ``start``, ``length`` and ``tree`` of each statement; raises :class:`UnparsableError`."""
        ...

    def plpgsql(self, text: str) -> list[Tree]:
        """Bodies in one DO or CREATE FUNCTION statement; raises :class:`UnparsableError`."""
        ...


def parser_command() -> list[str]:
    """Return the command that starts the parser.

    Raises
    ------
    ParserMissingError
        None is installed.
    """
    told = shlex.split(os.environ.get(PARSER_VARIABLE, ""))
    if told:
        return told
    folder = checkout_dir() / "tools" / "parser"
    interpreter, program = folder / ".venv" / "bin" / "python", folder / "parse_sql.py"
    if not (interpreter.is_file() and program.is_file()):
        raise ParserMissingError
    return [str(interpreter), str(program)]


class ParserProcess:
    """The parser, from entering the block until leaving it.

    Raises
    ------
    ParserMissingError
        It is not installed.
    ParserBrokenError
        It cannot be started, ended, or took longer than ``deadline_s`` for everything.
    """

    def __init__(self, command: Sequence[str] | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        self._command = list(command) if command is not None else parser_command()
        self._deadline_s = deadline_s
        self.version = ""

    def __enter__(self) -> Self:
        # Nothing of this process's environment is its business: there are secrets in it.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=Path.cwd().anchor,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise ParserMissingError(
                f"The SQL parser cannot be started ({self._command[0]}: {error.strerror}). Run `make "
                f"gate-parser`, or correct {PARSER_VARIABLE}."
            ) from None
        self._watchdog = threading.Timer(self._deadline_s, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        try:
            hello = self._line()
            self.version = f"{hello['parser']}, Postgres {hello['postgres']}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def sql(self, text: str) -> list[Tree]:
        """Parse statements; see :class:`SqlParser`."""
        found: list[Tree] = self._ask({"sql": text})["statements"]
        return found

    def plpgsql(self, text: str) -> list[Tree]:
        """Open a body; see :class:`SqlParser`."""
        found: list[Tree] = self._ask({"plpgsql": text})["functions"]
        return found

    def _ask(self, request: Mapping[str, str]) -> Any:
        assert self._process.stdin is not None  # noqa: S101  (a pipe was asked for)
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._broken() from None
        answer = self._line()
        if "error" in answer:
            raise UnparsableError(answer["error"]["message"], answer["error"]["at"])
        return answer

    def _line(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101  (a pipe was asked for)
        line = self._process.stdout.readline()
        try:
            return json.loads(line)
        except ValueError:
            raise self._broken() from None

    def _broken(self) -> ParserBrokenError:
        self._process.kill()
        _, told = self._process.communicate()
        last = told.strip().splitlines()[-1:] or [f"it ended with {self._process.returncode}"]
        if "pglast" in last[0]:
            return ParserBrokenError(f"The SQL parser lacks pglast ({last[0]}). Run `make gate-parser`.")
        return ParserBrokenError(f"The SQL parser gave no answer within {self._deadline_s:g} s: {last[0]}.")

    def _end(self) -> None:
        self._watchdog.cancel()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what could not be written to a parser that is gone
                    pipe.close()
        self._process.kill()
        self._process.wait()
