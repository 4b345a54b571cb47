"""A command of ours as a job of the guard: a child process that is bound to it and ends with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from understudy.bound_children import bound_to_parent, clean_environment
from understudy.environments import Environment
from understudy.environments.file import CONFIG_VARIABLE
from understudy.errors import ProcessError
from understudy.restoration.guard.jobs import JobFailedError

#: A command that was told to end has so long for it, in seconds: a drill ends its whole service first.
STOP_WITHIN_S = 90.0
#: What it may print as its result, in bytes.
LONGEST_RESULT = 4 * 1024 * 1024
_PIECE = 64 * 1024
_LOOK_EVERY_S = 0.02
#: The command line of this version, whatever lies in the folder that we were started from.
_UNDERSTUDY = (sys.executable, "-P", "-m", "understudy.cli.app")

Say = Callable[[str], None]


def arguments_of(environment: Environment, home: Path) -> tuple[str, ...]:
    """Name the installation as a person would type it: its environment, or the folder of one without."""
    if environment.file is not None and environment.home == home:
        return ("--env", environment.name.value)
    return ("--home", str(home))


def variables_of(environment: Environment) -> dict[str, str]:
    """Return the environment of a child: no setting and no secret of this process is in it."""
    added = {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    if environment.file is not None:
        added[CONFIG_VARIABLE] = str(environment.file)
    return clean_environment(os.environ, added)


async def run_command(
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str],
    say: Say,
    within_s: float,
    nicer_by: int = 0,
    ends_itself: bool = False,
    program: Sequence[str] = _UNDERSTUDY,
) -> Any:
    """Run ``understudy`` with ``arguments`` and return the JSON document that it prints.

    Cancelled, it tells the process to end, waits for that, and then ends whatever it left. Cancelled once
    more, it waits no longer.

    Parameters
    ----------
    arguments
        Never a secret: every process of this machine can read them.
    say
        Is given each line of its standard error.
    ends_itself
        Once told to end, it takes away what it made, in a while of its own: it is not cut off where nobody
        waits for that.

    Raises
    ------
    JobFailedError
        It ended with another status than 0, with the document if it printed one.
    ProcessError
        It cannot be started, took too long, or printed no document.
    """
    name = f"`understudy {' '.join(arguments[:2])}`"
    try:
        process = await asyncio.create_subprocess_exec(
            *bound_to_parent(
                (*program, *arguments),
                dies_by=signal.SIGTERM,
                nicer_by=nicer_by,
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(variables),
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"{name} cannot be started: {error.strerror}.") from error
    assert process.stdout is not None  # noqa: S101  (both were asked for)
    assert process.stderr is not None  # noqa: S101
    last: list[str] = []

    def tell(line: str) -> None:
        last[:] = [line]
        say(line)

    try:
        async with asyncio.timeout(within_s):
            printed, _ = await asyncio.gather(_all_of(process.stdout), _lines_of(process.stderr, tell))
            code = await process.wait()
    except TimeoutError:
        raise ProcessError(f"{name} took longer than {within_s:g} s and was ended.") from None
    finally:
        await _end(process, ends_itself=ends_itself)
    document = _document(printed)
    if code != 0:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        raise JobFailedError(f"{name} {how}{f': {last[0]}' if last else '.'}", document)
    if document is None:
        raise ProcessError(f"{name} printed no result that can be read.")
    return document


async def _end(process: asyncio.subprocess.Process, *, ends_itself: bool) -> None:
    is_left = False
    try:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(_ended(process), STOP_WITHIN_S)
    except asyncio.CancelledError:
        is_left = ends_itself
        raise
    finally:
        # What it started itself must not outlive it; the group is still its own until that is gone.
        if not is_left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for this process alone: ``wait`` also waits for whoever else holds its pipes."""
    while process.returncode is None:  # noqa: ASYNC110  # nothing tells of this alone
        await asyncio.sleep(_LOOK_EVERY_S)


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    """Read to the end; more than a result may have is read and thrown away, so that nobody waits."""
    kept = b""
    while piece := await stream.read(_PIECE):
        if len(kept) <= LONGEST_RESULT:
            kept += piece
    return kept


async def _lines_of(stream: asyncio.StreamReader, tell: Say) -> None:
    rest = b""
    while piece := await stream.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _tell_line(line, tell)
        rest = rest[-_PIECE:]
    _tell_line(rest, tell)


def _tell_line(line: bytes, tell: Say) -> None:
    words = line.decode(errors="replace").strip()
    if words:
        tell(words)


def _document(printed: bytes) -> Any:
    if len(printed) > LONGEST_RESULT:
        return None
    try:
        return json.loads(printed)
    except ValueError:
        return None
