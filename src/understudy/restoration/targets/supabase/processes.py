"""Whether a child that an earlier process of ours started still runs."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(pid: int | None) -> bool:
    """Whether a process of that id runs; the id may have passed to another, so bound it by an age."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # no /proc on this system
        return True
    return state != "Z"
