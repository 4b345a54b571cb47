"""Who calls: an access token of the one issuer that is configured, or a program's API key."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar
from uuid import UUID

import jwt
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from understudy.api.idempotency import once
from understudy.api.identities import Identities
from understudy.api.verifiers import ALGORITHM, AUDIENCE, ROLE
from understudy.clock import Clock
from understudy.errors import UnauthenticatedError, UnderstudyError
from understudy.settings import Settings
from understudy.speech.context import Caller, SpeechContext
from understudy.store.sightings import owner_of
from understudy.store.signing import require_strong_secret
from understudy.store.users import UserRow

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: POSTs that change nothing: a write freeze leaves them alone.
READING_POSTS = frozenset({"/api/generations/{id}/regenerate", "/api/transcriptions"})

#: Documents the scheme; :class:`AuthenticatedRoute` is what checks.
bearer_scheme = HTTPBearer(
    auto_error=False, description="An access token of `/auth/v1/token`, or outside `/auth/v1` an API key."
)


class TokenIssuer:
    """Signs access tokens that :class:`.TokenVerifier` and a Supabase client accept."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        require_strong_secret("JWT_SECRET", settings.jwt_secret)
        self._secret = settings.jwt_secret
        self._issuer = settings.jwt_issuer
        self._clock = clock
        self.lifetime_s = settings.access_token_lifetime_s

    def issue(self, user: UserRow, session_id: UUID, *, signed_in_at_s: int) -> tuple[str, int]:
        """Return an access token and when it expires, in seconds since 1970.

        Parameters
        ----------
        signed_in_at_s
            When the password was given; a refresh keeps it.
        """
        now_s = int(self._clock.now().timestamp())
        expires_at_s = now_s + self.lifetime_s
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "exp": expires_at_s,
            "iat": now_s,
            "sub": str(user.id),
            "role": ROLE,
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": signed_in_at_s}],
            "session_id": str(session_id),
            "email": user.email or "",
            "phone": "",
            "app_metadata": user.raw_app_meta_data or {},
            "user_metadata": user.raw_user_meta_data or {},
            "is_anonymous": False,
        }
        return jwt.encode(claims, self._secret.get_secret_value(), algorithm=ALGORITHM), expires_at_s


def bearer_token(request: Request) -> str:
    """Return the token of the ``Authorization`` header.

    Raises
    ------
    UnauthenticatedError
        There is no header, or it is not a bearer token.
    """
    header = request.headers.get("authorization", "")
    if not header.strip():
        raise UnauthenticatedError("Missing authorization header")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError
    return token.strip()


async def authenticate(request: Request) -> Caller:
    """Return who calls; :class:`UnauthenticatedError` otherwise."""
    identities: Identities = request.app.state.identities
    return Caller(user_id=await identities.identify(bearer_token(request)))


async def recognise(request: Request) -> Caller | None:
    """Return who calls a route that is open to everybody; ``None`` where nobody can be recognised."""
    try:
        return await authenticate(request)
    except UnderstudyError:
        return None


class AuthenticatedRoute(APIRoute):
    """A route that knows its caller before it reads one byte of the body, so 401 comes before 400.

    One that writes is refused while writes are frozen; a POST that writes heeds an ``Idempotency-Key``.
    """

    #: Whether a write freeze holds the writes of this kind of route.
    freezes: ClassVar[bool] = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler with the check."""
        handle = super().get_route_handler()
        reads = (self.methods or set()) <= READING_METHODS or self.path_format in READING_POSTS
        writes = self.freezes and not reads
        keyed = not reads and "POST" in (self.methods or set())
        route = f"POST {self.path_format}"

        async def handle_authenticated(request: Request) -> Response:
            request.state.caller = await authenticate(request)
            await self.authorise(request)
            if writes:
                await refuse_when_frozen(request)
            return await (once(request, route, handle) if keyed else handle(request))

        return handle_authenticated

    async def authorise(self, request: Request) -> None:
        """Raise :class:`ForbiddenError` when this caller may not use this kind of route at all."""


async def refuse_when_frozen(request: Request) -> None:
    """Raise :class:`WritesFrozenError` while writes are frozen; the dependency of every route that writes."""
    ctx: SpeechContext = request.app.state.ctx
    caller: Caller | None = getattr(request.state, "caller", None)
    # An upload has no caller: its signed link is for the tenant that its key names.
    owner = owner_of(request.path_params.get("key", ""))
    await ctx.freeze.admit_write(caller.user_id if caller is not None else owner)


async def _caller(request: Request) -> Caller:
    # Asynchronous, as the next: FastAPI runs any other dependency in a thread.
    caller: Caller = request.state.caller
    return caller


async def _context(request: Request) -> SpeechContext:
    ctx: SpeechContext = request.app.state.ctx
    return ctx


CallerDep = Annotated[Caller, Depends(_caller)]
ContextDep = Annotated[SpeechContext, Depends(_context)]
