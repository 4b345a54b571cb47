"""What a machine lacks to run a vendor's client: a skip that says so, or a failure where it is required."""

from __future__ import annotations

import os

import pytest


def require(lacks: str) -> None:
    """Skip the test with ``lacks``, or fail it under ``CLIENTS_REQUIRED``; nothing lacks when it is empty."""
    if lacks and os.environ.get("CLIENTS_REQUIRED"):
        pytest.fail(lacks)
    if lacks:
        pytest.skip(lacks)
