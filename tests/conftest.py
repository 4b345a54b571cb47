"""What every test shares: closed sockets in unit tests, and waits that have a deadline and name their aim."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable

import hypothesis
import pytest
import pytest_socket
import structlog

#: The browser's client comes with `make test-browser`; every other run goes without it.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]

LOOPBACK = ["127.0.0.1", "::1", "localhost"]

# A person's runs look for new examples; CI's repeat the same ones. A busy machine is not a failure.
hypothesis.settings.register_profile("person", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "person")


# With its locals, one logged traceback takes seconds to be drawn, while what is tested stands still.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the network: wholly for unit tests, beyond loopback for every other."""
    if item.get_closest_marker("unit"):
        pytest_socket.disable_socket(allow_unix_socket=True)
    else:
        pytest_socket.enable_socket()
        pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


def pytest_runtest_teardown() -> None:
    """Give the sockets back, and the logs."""
    pytest_socket.enable_socket()
    if structlog.is_configured():
        _forget_logging()


def _forget_logging() -> None:
    """Undo ``configure_logging``: a command that ran in this process logged to a stream that is closed."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    structlog.reset_defaults()
    # Each logger kept what was configured when it was first used.
    for module in list(sys.modules.values()):
        log = vars(module).get("log")
        if isinstance(log, type(structlog.get_logger())):
            vars(log).pop("bind", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test without a category: its isolation would be a guess."""
    categories = {"unit", "integration", "conformance", "journey", "pg15", "supabase", "browser"}
    for item in items:
        if not categories & {mark.name for mark in item.iter_markers()}:
            raise pytest.UsageError(
                f"{item.nodeid}: mark the module with one of {', '.join(sorted(categories))}"
            )


Condition = Callable[[], Awaitable[bool]] | Callable[[], bool]


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait until a condition holds, or fail naming it after ``within_s`` seconds."""

    async def wait(condition: Condition, *, what: str, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while True:
            result = condition()
            if isinstance(result, Awaitable):
                result = await result
            if result:
                return
            if time.monotonic() > deadline:
                pytest.fail(f"after {within_s} s still not: {what}")
            await asyncio.sleep(0.02)

    return wait
