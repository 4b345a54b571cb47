"""Who types a command."""

from __future__ import annotations

import os
import pwd


def account() -> str:
    """Return this machine's account; the kernel says which, ``LOGNAME`` and ``USER`` are anybody's to set."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run under a number that no account has
        return f"uid-{number}"
