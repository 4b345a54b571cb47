"""What the parts of the guard's console share: how a part gives its routes, and how requests are read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp import web

from understudy.clock import Clock
from understudy.environments import Environment, builtin_local
from understudy.errors import ValidationError
from understudy.logs import Redactor
from understudy.plain_text import plain_text
from understudy.restoration.guard.alerts import encodable
from understudy.restoration.signals.calls import Connect
from understudy.restoration.verification.board import SmokeBoard
from understudy.store.guard import GuardStore

if TYPE_CHECKING:
    from understudy.restoration.guard.loop import Guard
    from understudy.restoration.targets.base import Target
    from understudy.settings import Settings

LONGEST_TEXT = 4000
#: Label of the key that a request came with; the console sets it before a handler runs.
OPERATOR = web.RequestKey("operator", str)

H = TypeVar("H", bound=Callable[..., Awaitable[web.StreamResponse]])


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """What a part may need to answer.

    Parameters
    ----------
    connect
        Gives the product's database; raises :class:`StoreUnavailableError` while it is away.
    home
        Folder of the installation.
    board
        Shows the smoke run under way.
    environment
        What is guarded: by name, target and file.
    """

    guard: Guard
    store: GuardStore
    clock: Clock
    redactor: Redactor
    connect: Connect
    home: Path
    settings: Settings
    target: Target
    board: SmokeBoard = field(default_factory=SmokeBoard)
    environment: Environment = field(default_factory=builtin_local)


class ConsolePart(Protocol):
    """A group of routes. Handlers raise :class:`UnderstudyError`; the console tells it as ``{"detail"}``."""

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        ...

    async def close(self) -> None:
        """Give back what it holds, when the console stops; most hold nothing."""
        return


def without_key(handler: H) -> H:
    """Mark a handler that answers everybody: it holds no data."""
    handler.without_key = True  # type: ignore[attr-defined]
    return handler


def is_open(handler: object) -> bool:
    """Whether a handler is marked by :func:`without_key`."""
    return bool(getattr(handler, "without_key", False))


async def body_object(request: web.Request) -> dict[str, Any]:
    """Return the body as an object, empty where it is other JSON; raises :class:`ValidationError`."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ValidationError("The body is not JSON.") from error
    return body if isinstance(body, dict) else {}


def said(body: dict[str, Any], name: str) -> str:
    """Return what a person wrote under ``name``, made plain; raises :class:`ValidationError`.

    Redact it before it is written anywhere.
    """
    value = body.get(name)
    if isinstance(value, str):
        value = plain_text(encodable(value, name), keep_newlines=True)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
        raise ValidationError(f"The body must be an object whose {name} has 1 to {LONGEST_TEXT} characters.")
    return value


async def text_in(request: web.Request, name: str) -> str:
    """Return one text of the body, as :func:`said` does."""
    return said(await body_object(request), name)


def number_in(
    request: web.Request, name: str, default: int, *, lowest: int = 0, highest: int = 1_000_000
) -> int:
    """Return a number of the query; raises :class:`ValidationError`."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise ValidationError(f"{name} is not a number from {lowest} to {highest}.")
    return int(text)
