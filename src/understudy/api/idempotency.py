"""``Idempotency-Key``: a POST that is sent again is done once, and answered as it was the first time.

What protects a retry after a crash: the key is bound to its task in the transaction that creates the task,
under a lease that fences whoever was thought dead (:mod:`understudy.store.idempotency`). Only an answer of
something done is stored; what was refused or failed created nothing, so its key is free again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from fastapi import Request, Response

from understudy.errors import StoreUnavailableError, ValidationError
from understudy.logs import get_logger
from understudy.speech.context import Caller, SpeechContext
from understudy.store import idempotency
from understudy.store.idempotency import LEASE_S, KeyClaim, StoredAnswer

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
#: Kept with an answer: what its reader needs. Every other header is made anew, or is none of the answer.
KEPT_HEADERS = ("content-type", "location", "x-provider", "x-generation-id", "x-task-id")
#: A body larger than this is audio: it is stored as a generation, and answered from there.
STORED_BODY_BYTES = 64 * 1024

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_BOUNDARY = re.compile(rb'boundary="?([^";]{1,70})"?', re.IGNORECASE)

Handler = Callable[[Request], Awaitable[Response]]

log = get_logger(__name__)


async def once(request: Request, route: str, handle: Handler) -> Response:
    """Handle a POST; with an ``Idempotency-Key``, only if no request with it was handled before.

    Parameters
    ----------
    route
        Method and path template: a key counts for one user and one route.

    Raises
    ------
    ValidationError
        The key is malformed, or stands for another request.
    KeyInFlightError
        A request with this key is under way.
    """
    if HEADER not in request.headers:
        return await handle(request)
    caller: Caller = request.state.caller
    ctx: SpeechContext = request.app.state.ctx
    claim = KeyClaim(caller.user_id, route, _key_of(request))
    print_of_request = _fingerprint(request, await request.body())
    async with ctx.database.service() as conn:
        answered = await idempotency.begin(conn, claim, print_of_request, ctx.clock.now())
    if answered is not None:
        return _replay(answered)
    request.state.caller = dataclasses.replace(caller, claim=claim)
    found = claim.task_id
    async with _extended(ctx, claim):
        try:
            response = await handle(request)
        except Exception:
            await _let_go(ctx, claim)
            raise
    if found is not None and claim.task_id == found and response.status_code < 400:
        response.headers[REPLAYED_HEADER] = "true"
    await _settle(ctx, claim, response)
    return response


def _key_of(request: Request) -> str:
    given = request.headers.getlist(HEADER)
    key = given[0].strip()
    if len(given) != 1 or not _KEY.fullmatch(key):
        raise ValidationError("Idempotency-Key must be one value of 1 to 255 printable ASCII characters.")
    return key


def _fingerprint(request: Request, body: bytes) -> str:
    """Digest of method, path and body.

    A client makes up a new multipart boundary each time it sends the same form, so that does not count.
    """
    content_type = request.headers.get("content-type", "").encode()
    if content_type.startswith(b"multipart/") and (found := _BOUNDARY.search(content_type)):
        body = body.replace(b"--" + found[1], b"--")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n{request.url.query}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def _replay(answered: StoredAnswer) -> Response:
    response = Response(answered.body, answered.status, dict(answered.headers))
    response.headers[REPLAYED_HEADER] = "true"
    return response


async def _settle(ctx: SpeechContext, claim: KeyClaim, response: Response) -> None:
    """Keep the answer, or free the key; the answer goes out whatever becomes of that."""
    body = getattr(response, "body", None)
    if response.status_code >= 400 or not isinstance(body, bytes) or not 0 < len(body) <= STORED_BODY_BYTES:
        await _let_go(ctx, claim)
        return
    headers = {name: value for name in KEPT_HEADERS if (value := response.headers.get(name)) is not None}
    with _forgiving("kept"):
        async with ctx.database.service() as conn:
            await idempotency.finish(conn, claim, StoredAnswer(response.status_code, headers, body))


async def _let_go(ctx: SpeechContext, claim: KeyClaim) -> None:
    with _forgiving("freed"):
        async with ctx.database.service() as conn:
            await idempotency.let_go(conn, claim, ctx.clock.now())


@contextlib.contextmanager
def _forgiving(what: str) -> Iterator[None]:
    try:
        yield
    except StoreUnavailableError:
        # Its lease runs out, and a retry goes on with the task that it is bound to.
        log.warning("idempotency_key_not_settled", what=what)


@asynccontextmanager
async def _extended(ctx: SpeechContext, claim: KeyClaim) -> AsyncIterator[None]:
    """Extend the lease while the request runs; one that ends soon costs nothing."""

    async def extend() -> None:
        while True:
            await ctx.clock.sleep(LEASE_S / 3)
            with _forgiving("extended"):
                async with ctx.database.service() as conn:
                    if not await idempotency.extend(conn, claim, ctx.clock.now()):
                        return

    extending = asyncio.create_task(extend(), name="idempotency-lease")
    try:
        yield
    finally:
        extending.cancel()
        await asyncio.wait({extending})
