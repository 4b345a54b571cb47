"""Errors: whatever goes wrong, a client reads one JSON object with one sentence, ``{"detail": "..."}``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from understudy.errors import TargetError
from understudy.restoration.verification.client import Reply
from understudy.restoration.verification.visit import Proof, Visit

LONGEST_DETAIL_CHARS = 500
STACK_TRACE_MARKS = ("Traceback", 'File "', "\n")
NO_TOKEN = SecretStr("not-a-token-of-this-deployment")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One way to go wrong, the statuses it may get, and the sentence where the contract fixes one."""

    what: str
    method: str
    path: str
    statuses: tuple[int, ...]
    signed_in: bool = True
    token: SecretStr | None = None
    body: Any = None
    raw: bytes | None = None
    sentence: str | None = None


def mistakes() -> tuple[Mistake, ...]:
    """Return the mistakes to make, with ids that no deployment has."""
    absent = uuid4()
    missing, bad = "Missing authorization header", "Invalid or expired token"
    return (
        Mistake("an unknown path", "GET", f"/api/no-such-path-{absent.hex}", (404,)),
        Mistake("a wrong method", "DELETE", "/api/health", (404, 405)),
        Mistake("a missing token", "GET", "/api/voices", (401,), signed_in=False, sentence=missing),
        Mistake("a bad token", "GET", "/api/voices", (401,), False, NO_TOKEN, sentence=bad),
        Mistake("malformed JSON", "POST", "/api/generate", (400,), raw=b'{"voice_id": '),
        Mistake("JSON of the wrong kind", "POST", "/api/generate", (400,), raw=b"[1, 2]"),
        Mistake("missing fields", "POST", "/api/generate", (400,), body={}),
        Mistake("an id that is no UUID", "GET", "/api/tasks/not-an-id", (400, 404)),
        Mistake("an id nobody has", "GET", f"/api/tasks/{absent}", (404,)),
        Mistake("a page that is no number", "GET", "/api/voices?page=x", (400,)),
    )


async def check_error_shape(visit: Visit) -> Proof:
    """Prove the shape of errors on unknown paths, wrong methods, bad JSON, bad tokens and bad ids."""
    a, _ = visit.scene.tenants()
    made = mistakes()
    for mistake in made:
        reply = await visit.call(
            mistake.method,
            mistake.path,
            by=a if mistake.signed_in else None,
            token=mistake.token,
            body=mistake.body,
            raw=mistake.raw,
        )
        detail = _detail(reply, mistake)
        if mistake.sentence is not None and detail.rstrip(".") != mistake.sentence:
            raise TargetError(f'For {mistake.what} the detail is not "{mistake.sentence}".')
    return Proof(f"All {len(made)} kinds of error answered JSON with one detail sentence and nothing else.")


def _detail(reply: Reply, mistake: Mistake) -> str:
    if reply.status not in mistake.statuses:
        promised = " or ".join(str(status) for status in mistake.statuses)
        raise TargetError(f"For {mistake.what} {reply.label} answered {reply.status}, not {promised}.")
    body = reply.json()
    if not isinstance(body, dict) or body.keys() != {"detail"}:
        raise TargetError(
            f"For {mistake.what} {reply.label} answered something else than {{detail}} and nothing more."
        )
    detail = body["detail"]
    if not isinstance(detail, str) or not detail.strip():
        raise TargetError(f"For {mistake.what} {reply.label} answered a detail that is no sentence.")
    if len(detail) > LONGEST_DETAIL_CHARS or any(mark in detail for mark in STACK_TRACE_MARKS):
        raise TargetError(f"For {mistake.what} {reply.label} answered a detail that is no sentence.")
    return detail
