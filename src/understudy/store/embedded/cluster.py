"""Making the data directory of the embedded server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from understudy.store.embedded import failures
from understudy.store.embedded.placement import Placement
from understudy.store.embedded.process import clean_environment
from understudy.store.embedded.roles import SUPERUSER


def initialise(placement: Placement, superuser_password: str, *, sync: bool = True) -> None:
    """Make the data directory beside its place, then move it there whole: a crash leaves none or all.

    Every connection, the socket's too, needs a password; pages carry checksums.

    Raises
    ------
    ConfigurationError
        What stands in the way: no right to write, a full disk.
    """
    account = placement.account
    staging = placement.base / "data.partial"
    password_file = placement.base / "initdb.password"
    command: list[str | Path] = [placement.bin_dir / "initdb", "-D", staging, "-U", SUPERUSER]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--data-checksums", "--encoding=UTF8"]
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    if not sync:
        command.append("--no-sync")
    try:
        _remove(staging, password_file)
        staging.mkdir(mode=0o700)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(superuser_password)
        account.own(staging, uid=account.initdb_uid)
        account.own(password_file, uid=account.initdb_uid)
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            env=clean_environment(),
            cwd="/",
            user=account.initdb_uid,
            group=account.initdb_uid,
            extra_groups=None if account.initdb_uid is None else [],
        )
        if done.returncode != 0:
            raise failures.explain(done.stdout, data_dir=placement.data_dir)
        account.own(staging)
        staging.rename(placement.data_dir)
    except OSError as error:
        cause = f"{error.strerror}: {error.filename}"
        raise failures.explain(cause, data_dir=placement.data_dir) from error
    finally:
        _remove(staging, password_file)


def _remove(staging: Path, password_file: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    password_file.unlink(missing_ok=True)
