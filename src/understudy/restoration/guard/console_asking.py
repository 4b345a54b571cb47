"""What the console asks of whoever orders something: a person's key where one is wanted, and a reason."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from understudy.environments import Environment
from understudy.errors import ConflictError, ForbiddenError, ValidationError
from understudy.logs import Redactor
from understudy.restoration.guard.console_parts import OPERATOR, said
from understudy.restoration.guard.jobs import Job
from understudy.store.guard import MACHINE_KEY

#: A reason has so many characters at most.
LONGEST_REASON = 500
#: Stands for the reason of an order that may be given without one.
BY_DEFAULT = "asked for in the console"


def person_of(request: web.Request) -> str:
    """Return whose key this is.

    Raises
    ------
    ForbiddenError
        It is the machine's: it is nobody's word, as on the command line.
    """
    label = request[OPERATOR]
    if label == MACHINE_KEY:
        raise ForbiddenError(
            "This wants a person's own key of the guard, and this one is the machine's. "
            "`understudy guard-keys create NAME` makes one."
        )
    return label


def reason_in(body: dict[str, Any], redactor: Redactor, *, default: str | None = None) -> str:
    """Return why something is asked for, without secrets; raises :class:`ValidationError`."""
    if default is not None and body.get("reason") is None:
        return default
    reason = redactor(said(body, "reason")).strip()
    if len(reason) > LONGEST_REASON:
        raise ValidationError(f"reason has more than {LONGEST_REASON} characters.")
    return reason


def text_or_none(body: dict[str, Any], name: str) -> str | None:
    """Return a text that may be left out; raises :class:`ValidationError`."""
    return said(body, name).strip() if body.get(name) is not None else None


def check_product(environment: Environment) -> None:
    """Raise :class:`ConflictError` where the environment is not served from Understudy's own tables."""
    if not environment.live_switch:
        raise ConflictError(
            f"{environment.name} (target {environment.target}) is not served from the tables of Understudy's "
            f"own API, so there is nothing to move there."
        )


def started(job: Job) -> web.Response:
    """Answer that a job runs."""
    return web.json_response({"job": job.document()}, status=202)
