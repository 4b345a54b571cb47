"""How commands speak: tables for people, one JSON document with ``--json``, errors that name the fix."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from understudy.errors import UnderstudyError

P = ParamSpec("P")
R = TypeVar("R")

console = Console()
errors = Console(stderr=True)


def print_json(value: Any) -> None:
    """Print one JSON document on one line, flushed: another program reads it."""
    sys.stdout.write(json.dumps(value, default=str, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn an :class:`UnderstudyError` into one readable line and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UnderstudyError as error:
            said = f"[bold red]{error.code}[/]: {escape(error.message)}"
            errors.print(said, highlight=False, soft_wrap=True)
            raise typer.Exit(code=1) from None

    return run
