"""``understudy serve``, with the tenant filter taken out of one statement.

``MUTATED_STATEMENT`` is a piece of it. The program says on standard error each time the mutant runs.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import psycopg
from psycopg.sql import Composable

from understudy.cli.commands import app

WANTED = " ".join(os.environ.pop("MUTATED_STATEMENT").split())
FILTER = re.compile(r"(?:\w+\.)?user_id = (%s|%\(\w+\)s)")


def mutated(query: Any) -> Any:
    """Return ``query``, or the mutant when it is the wanted statement; the parameters stay as many."""
    text = query.as_string() if isinstance(query, Composable) else query
    if isinstance(text, bytes):
        text = text.decode()
    if WANTED not in " ".join(text.split()):
        return query
    without, times = FILTER.subn(r"\1::uuid is not null", text)
    assert times, f"no tenant filter in: {text}"
    sys.stderr.write("MUTANT RAN\n")
    sys.stderr.flush()
    return without.encode()


def install() -> None:
    """Stand between the store and its cursors."""
    execute = psycopg.AsyncCursor.execute

    async def run(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        return await execute(self, mutated(query), *args, **kwargs)

    psycopg.AsyncCursor.execute = run  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    install()
    app()
