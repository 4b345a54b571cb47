"""The environment file as it was when a state was recorded as known-good: the values of its secrets too.

The guard's store holds digests only. This copy is what settings are put back from on one machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from understudy.envfile import read_env_file
from understudy.errors import ConfigurationError

ENVIRONMENT_FILE = "understudy.env"
KEPT = "known-good"


def kept_environment_file(home: Path, seq: int) -> Path:
    """Return where the environment file of known-good record ``seq`` is kept."""
    return home / KEPT / str(seq) / ENVIRONMENT_FILE


def environment_digest(values: Mapping[str, str]) -> str:
    """Return the SHA-256 of an environment's names and values, in any order of lines."""
    told = json.dumps(dict(values), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(told.encode()).hexdigest()


def keep_environment(home: Path, seq: int, text: bytes) -> Path:
    """Keep the environment file of record ``seq``, readable by this user alone.

    Raises
    ------
    ConfigurationError
        It cannot be written.
    """
    path = kept_environment_file(home, seq)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o600)
            stream.write(text)
            stream.flush()
            os.fsync(handle)
    except OSError as error:
        raise ConfigurationError(
            f"Record #{seq} stands, but its environment file cannot be kept in {path.parent}: "
            f"{error.strerror}. Record again when there is room."
        ) from error
    return path


def environment_of_record(home: Path, seq: int, recorded_sha256: str) -> dict[str, str]:
    """Return names and values of the environment of record ``seq``.

    Raises
    ------
    ConfigurationError
        The copy is missing, or is not what was recorded.
    """
    path = kept_environment_file(home, seq)
    values = read_env_file(path)
    if environment_digest(values) != recorded_sha256:
        raise ConfigurationError(
            f"{path} is not what known-good record #{seq} was made of: it was changed since. Nothing was "
            f"taken from it."
        )
    return values
