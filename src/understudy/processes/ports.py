"""Loopback ports: free ones, given ones, and the listening socket that outlives the process serving it."""

from __future__ import annotations

import errno
import socket

from understudy.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
#: Connections that may wait while one api process replaces another; the kernel caps it at net.core.somaxconn.
ACCEPT_BACKLOG = 1024


def listening_socket(port: int, *, option: str) -> socket.socket:
    """A socket that listens on loopback; ``port`` 0 takes a free one.

    Parameters
    ----------
    option
        How a user chooses this port, for the message: ``--api-port``.

    Raises
    ------
    ConfigurationError
        The port is in use, needs more rights or is no port; names it and the fix.
    """
    listener = _bound(port, option)
    listener.listen(ACCEPT_BACKLOG)
    listener.setblocking(False)
    return listener


def choose_port(port: int, *, option: str) -> int:
    """``port`` itself when it is free, or a free one when it is 0, for a process that binds it itself.

    Raises
    ------
    ConfigurationError
        As :func:`listening_socket`.
    """
    with _bound(port, option) as probe:
        chosen: int = probe.getsockname()[1]
        return chosen


def _bound(port: int, option: str) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"{option} {port} is no port: give 1 to 65535, or 0 for a free one.")
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
    except OSError as error:
        probe.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} ({option}) is in use by another program. Stop that program, give another port, "
                f"or leave {option} out to get a free one."
            ) from None
        raise ConfigurationError(
            f"Port {port} ({option}) cannot be opened: {error.strerror}. Give a port above 1023."
        ) from None
    return probe
