"""The parser, once a module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from understudy.migration_gate.parser import ParserMissingError, ParserProcess


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    """The parser's process; skipped where it is not installed, but for CI."""
    try:
        opened = ParserProcess(deadline_s=3600.0)
        with opened:
            yield opened
    except ParserMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(error.message)
        pytest.skip(error.message)
