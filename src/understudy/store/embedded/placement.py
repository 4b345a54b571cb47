"""Whom the embedded Postgres runs as, and where its data lies.

Postgres refuses to run as root. As root it therefore runs under a numeric user id of its own, which needs no
account; where that id cannot reach ``home`` (a home is 0700) the data lies below ``/var/lib/understudy`` and
a file in ``home`` says where. No folder that was there before is ever opened to others.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.store.embedded import binaries, failures

SYSTEM_DIR = Path("/var/lib/understudy")
POINTER_FILE = "postgres.location"
PREFERRED_UID = 65432

#: sockaddr_un holds 108 bytes with its terminator on Linux, 104 on macOS; Postgres adds the name below.
SOCKET_PATH_MAX_BYTES = 103
SOCKET_NAME_BYTES = len("/.s.PGSQL.65535.lock")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Ids a child process runs under; ``None`` means as we are.

    Parameters
    ----------
    initdb_uid
        initdb looks its user up by name, so it runs as an account that has one; the server needs none.
    """

    uid: int | None = None
    initdb_uid: int | None = None

    def own(self, path: Path, *, uid: int | None = None) -> None:
        """Give ``path`` and what is in it to ``uid`` (this account's own by default)."""
        owner = self.uid if uid is None else uid
        if owner is None:
            return
        for item in (path, *path.rglob("*")):
            os.chown(item, owner, owner, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one embedded server lives.

    Parameters
    ----------
    base
            Holds ``data``, the lock file and the socket folder.
    bin_dir
        Programs that the account can run.
    """

    base: Path
    bin_dir: Path
    account: Account

    @property
    def data_dir(self) -> Path:
        """Postgres's data directory, 0700."""
        return self.base / "data"

    @property
    def socket_dir(self) -> Path | None:
        """Folder of the Unix socket, or None where its path would be too long for one."""
        folder = self.base / "socket"
        return folder if len(os.fsencode(folder)) + SOCKET_NAME_BYTES <= SOCKET_PATH_MAX_BYTES else None

    def prepare_socket_dir(self) -> Path | None:
        """Make the socket folder (0700) where there can be one."""
        folder = self.socket_dir
        if folder is not None:
            folder.mkdir(mode=0o700, exist_ok=True)
            self.account.own(folder)
        return folder


def place(home: Path) -> Placement:
    """Decide where the server of ``home`` lives, and make the folders.

    Raises
    ------
    ConfigurationError
        A folder cannot be made, or the wheel is missing.
    """
    home = home.absolute()
    programs = binaries.bin_dir()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() != 0:
            base = home / "postgres"
            base.mkdir(mode=0o700, exist_ok=True)
            return Placement(base, programs, Account())
        account = _separate_account(home)
        uid = account.uid or PREFERRED_UID
        base = _base_for_root(home, uid)
        if not _can_use(programs, uid):
            programs = binaries.copy_once(_system_dir())
        return Placement(base, programs, account)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot make the folder for the embedded Postgres: {error.strerror} ({error.filename}). "
            f"{failures.GIVE_RIGHT}"
        ) from error


def existing_base(home: Path) -> Path | None:
    """Folder of the server of ``home`` when there is one; makes nothing."""
    home = home.absolute()
    pointer = home / POINTER_FILE
    base = Path(pointer.read_text().strip()) if pointer.is_file() else home / "postgres"
    return base if base.is_dir() else None


def set_aside(home: Path) -> list[Path]:
    """Folders below :data:`SYSTEM_DIR` with data of earlier, deleted homes of this path."""
    return sorted(SYSTEM_DIR.glob(f"{_system_name(home.absolute())}.orphaned-*"))


def forget(home: Path, base: Path) -> None:
    """Remove the data of a stopped server, and what points to it."""
    shutil.rmtree(base, ignore_errors=True)
    (home.absolute() / POINTER_FILE).unlink(missing_ok=True)


def _system_name(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _separate_account(home: Path) -> Account:
    """An id without an account, the same on every start of one home."""
    names = {entry.pw_uid for entry in pwd.getpwall()}
    named = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0]
    initdb_uid = next((uid for uid in named if uid == 65534), named[0] if named else None)
    if initdb_uid is None:
        raise ConfigurationError(
            "Postgres cannot be initialised as root, and this machine has no other account (/etc/passwd). "
            "Start as another user, or set DATABASE_URL to a Postgres of your own."
        )
    pointer = home / POINTER_FILE
    base = Path(pointer.read_text().strip()) if pointer.is_file() else home / "postgres"
    data = base / "data"
    if data.is_dir() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, initdb_uid)
    free = next(uid for uid in range(PREFERRED_UID, 60000, -1) if uid not in names)
    return Account(free, initdb_uid)


def _base_for_root(home: Path, uid: int) -> Path:
    pointer = home / POINTER_FILE
    if pointer.is_file():
        base = Path(pointer.read_text().strip())
    elif _can_traverse(home, uid):
        base = home / "postgres"
    else:
        base = _system_dir() / _system_name(home)
        if base.exists():
            # A home of this path was deleted, and the passwords with it. Never destroy what it held.
            aside = base.with_name(f"{base.name}.orphaned-{int(time.time())}")
            base.rename(aside)
            log.warning("database_of_deleted_home_set_aside", folder=str(aside))
        pointer.write_text(f"{base}\n")
    # The folder stays root's, so that a broken server cannot plant links where root writes.
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o711)
    if not base.is_relative_to(home):
        # For a person who finds the folder and wonders whose it is.
        (base / "home").write_text(f"{home}\n")
    return base


def _system_dir() -> Path:
    if not SYSTEM_DIR.is_dir():
        SYSTEM_DIR.mkdir(parents=True, exist_ok=True)
        SYSTEM_DIR.chmod(0o755)
    if SYSTEM_DIR.stat().st_uid != 0 or stat.S_IMODE(SYSTEM_DIR.stat().st_mode) & 0o022:
        raise ConfigurationError(
            f"{SYSTEM_DIR} can be written by others than root, so programs in it cannot be trusted. "
            f"Run `chown root {SYSTEM_DIR} && chmod 755 {SYSTEM_DIR}` after a look at what is there."
        )
    return SYSTEM_DIR


def _permits(path: Path, uid: int, bits: int) -> bool:
    """Whether the mode of ``path`` gives ``uid`` (its group has the same number) all of ``bits`` (rwx)."""
    info = path.stat()
    shift = 6 if info.st_uid == uid else 3 if info.st_gid == uid else 0
    return (info.st_mode >> shift) & bits == bits


def _can_traverse(folder: Path, uid: int) -> bool:
    return all(_permits(parent, uid, 1) for parent in (folder, *folder.parents))


def _can_use(programs: Path, uid: int) -> bool:
    install = programs.parent
    needed = (programs / "postgres", programs / "initdb")
    read = (install / "share" / "postgres.bki", install / "lib" / "plpgsql.so")
    return (
        _can_traverse(programs.resolve(), uid)
        and all(_permits(path, uid, 5) for path in needed)
        and all(_can_traverse(path.parent, uid) and _permits(path, uid, 4) for path in read)
    )
