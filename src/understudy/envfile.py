"""The durable environment file: dotenv text that people edit too, so every byte not asked about stays.

Reading is python-dotenv's own (pydantic-settings reads the file with it), so both always agree.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from understudy.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: Needs no quotes for dotenv, systemd, Docker and a shell alike.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*\Z")
#: Text before and after the value of one assignment, in python-dotenv's grammar: after a quoted value a
#: comment needs no space before it; after white space a `#` starts one, so no bare value begins with it.
_ASSIGNMENT = re.compile(
    r"""(?P<lead>\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+)[^\S\r\n]*)
        (?P<equals>=[^\S\r\n]*)?
        (?:(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?:(?<![^\S\r\n])|(?!\#))[^\r\n]*?)
        (?P<tail>(?:(?(quoted)[^\S\r\n]*|[^\S\r\n]+)\#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r)?)\Z""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
#: python-dotenv expands ``${X}`` even inside quotes and knows no escape; a default of an unset name is one.
_LITERAL_DOLLAR_BRACE = "${DOTENV_LITERAL:-$}{"


def read_env_file(path: Path) -> dict[str, str]:
    """Names and values of the file; the last assignment of a name wins, names without ``=`` are left out.

    Raises
    ------
    ConfigurationError
        The file is missing, unreadable or not UTF-8.
    """
    values = dotenv_values(stream=io.StringIO(_read_text(path), newline=None))
    return {name: value for name, value in values.items() if value is not None}


def unreadable_lines(path: Path) -> list[int]:
    """Line numbers (from 1) that are no assignment, comment or blank: readers skip them without a word."""
    return _unreadable(_read_text(path))


def _unreadable(text: str) -> list[int]:
    return [item.original.line for item in parse_stream(io.StringIO(text, newline=None)) if item.error]


def set_in_env_file(path: Path, changes: Mapping[str, str | None]) -> None:
    """Set names, or remove those whose value is ``None``, in one atomic replacement of the file.

    Comments, order, quoting, ``export`` prefixes, line ends, mode and owner are kept; a new file is 0600.
    Every assignment of a changed name is changed, so that first-wins and last-wins readers agree.
    Concurrent writers wait for each other on ``<file>.lock``; a reader sees the old or the new file, whole.

    Raises
    ------
    ConfigurationError
        A name is no variable name, a value holds NUL, a quote left open in the file would swallow the
        value, or the file cannot be written.
    """
    for name, value in changes.items():
        if not _NAME.match(name):
            raise ConfigurationError(f"{name!r} is not the name of an environment variable.")
        if value is not None and "\0" in value:
            raise ConfigurationError(
                f"The value of {name} holds a NUL character; no environment can carry it."
            )
    path = path.resolve()  # a symbolic link stays one: its target is what gets replaced
    try:
        with _locked(path):
            old = _read_text(path, newline="") if path.exists() else ""
            new = _edit(old, changes)
            _check_edited(path, old, new, changes)
            if new != old or not path.exists():
                _replace(path, new)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Give this user write permission on the file and "
            f"its folder, or choose another home."
        ) from error


def _read_text(path: Path, newline: str | None = None) -> str:
    try:
        with path.open(encoding="utf-8", newline=newline) as stream:
            return stream.read()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text; write it again as UTF-8.") from None


def _edit(text: str, changes: Mapping[str, str | None]) -> str:
    pending = dict(changes)
    parts: list[str] = []
    for binding in parse_stream(io.StringIO(text, newline="")):
        if binding.key is None or binding.key not in changes:
            parts.append(binding.original.string)
            continue
        pending.pop(binding.key, None)
        parts.append(_changed(binding, changes[binding.key]))
    edited = "".join(parts)
    end = "\r\n" if "\r\n" in text else "\n"
    for name, value in pending.items():
        if value is None:
            continue
        if edited and not edited.endswith(("\n", "\r")):
            edited += end
        edited += f"{name}={_quoted(value)}{end}"
    return edited


def _check_edited(path: Path, old: str, new: str, changes: Mapping[str, str | None]) -> None:
    """Refuse an edit that readers would not see: a quote left open above swallows what stands below it."""
    wanted: dict[str, str | None] = {
        name: value for name, value in _values(old).items() if name not in changes
    }
    wanted |= {name: value for name, value in changes.items() if value is not None}
    if _values(new) != wanted:
        lines = ", ".join(str(line) for line in _unreadable(old)) or "unknown"
        raise ConfigurationError(
            f"{path} was not changed: a quote is left open (line {lines}), so what is written below it would "
            f"not be read. Close the quote and try again."
        )


def _values(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=io.StringIO(text, newline=None)))


def _changed(binding: Binding, value: str | None) -> str:
    original = binding.original.string
    match = _ASSIGNMENT.match(original)
    if match is None:  # pragma: no cover - the pattern covers python-dotenv's whole grammar
        raise ConfigurationError(f"Line {binding.original.line} cannot be edited; rewrite it as NAME=value.")
    if value is None:
        blank = re.match(r"(?:[^\S\r\n]*(?:\r\n|\n|\r))*", original)
        return blank.group() if blank else ""
    if binding.value == value and match["equals"]:
        return original
    style = (match["quoted"] or "")[:1]
    return f"{match['lead']}{match['equals'] or '='}{_quoted(value, style)}{match['tail']}"


def _quoted(value: str, style: str = "") -> str:
    """``value`` as dotenv text, in the quoting style of its predecessor where that can carry it."""
    text = value.replace("${", _LITERAL_DOLLAR_BRACE)
    if style not in {"'", '"'} and _PLAIN.match(text):
        return text
    if style != '"' and not re.search(r"['\\\r\n]", text) and text == value:
        return f"'{text}'"
    return '"' + re.sub(r'[\\"\n\r]', lambda found: _ESCAPES[found.group()], text) + '"'


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, text: str) -> None:
    before = path.stat() if path.exists() else None
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # created 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            if before is not None:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, before.st_mode & 0o7777)
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
