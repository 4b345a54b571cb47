"""How a child process is started so that it sees little of this one's environment and does not outlive it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

#: Only these variables of the starting shell reach a child; every setting comes from the environment file.
_KEPT_VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH",
)  # fmt: skip
#: Runs in the child before the program: the kernel signals it when its parent dies, even by kill -9. A parent
#: that died before the call is seen by its process id. Done by exec, as a fork hook is unsafe beside threads.
_BOUND_TO_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.nice(int(sys.argv[3]))
os.execv(sys.argv[4], sys.argv[4:])
"""


def clean_environment(source: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The few variables of ``source`` that a program needs to run at all, and ``added``."""
    kept = {name: source[name] for name in _KEPT_VARIABLES if name in source}
    return {**kept, **added}


def bound_to_parent(
    argv: Sequence[str], *, dies_by: signal.Signals = signal.SIGKILL, nicer_by: int = 0
) -> tuple[str, ...]:
    """Return the arguments that start ``argv``, an absolute program with its own, bound to this process.

    Only Linux knows how; elsewhere they are returned as they are.

    Parameters
    ----------
    dies_by
        What the child gets when this process is gone: SIGTERM for one that has to end what it started.
    nicer_by
        How much less of the processors it claims than this process does.
    """
    if sys.platform != "linux":
        return tuple(argv)
    numbers = (str(os.getpid()), str(int(dies_by)), str(nicer_by))
    return (sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, *numbers, *argv)
