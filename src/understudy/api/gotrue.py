"""The embedded auth issuer: the GoTrue endpoints that ``supabase-js`` uses, with GoTrue's shapes.

A session is a chain of refresh tokens, each good once. A second use means that someone else holds a copy, so
it ends the whole session.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel

import understudy
from understudy.api import answers
from understudy.api.auth import TokenIssuer, bearer_scheme, bearer_token, refuse_when_frozen
from understudy.api.errors import AUTH_PREFIX, GoTrueError
from understudy.api.passwords import PasswordHasher
from understudy.api.text import Text, clean_tree
from understudy.api.verifiers import Claims, TokenVerifier
from understudy.errors import UnauthenticatedError
from understudy.logs import get_logger
from understudy.speech.context import SpeechContext
from understudy.store import sessions, users
from understudy.store.synthetic import CANARY_DOMAIN
from understudy.store.users import UserRow

#: GoTrue's own default minimum. The maximum only bounds the work of one hash.
MINIMUM_PASSWORD_CHARS = 6
MAXIMUM_PASSWORD_CHARS = 512
REFRESH_TOKEN_LIFETIME = timedelta(days=30)
REFRESH_TOKEN_BYTES = 32

_EMAIL = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

log = get_logger(__name__)
router = APIRouter(prefix=AUTH_PREFIX, tags=["auth"])


class Credentials(BaseModel):
    """Body of ``/signup``."""

    email: Text = ""
    password: Text = ""
    data: Annotated[dict[str, Any], AfterValidator(clean_tree)] = {}


class TokenRequest(BaseModel):
    """Body of ``/token``: which fields count depends on ``grant_type``."""

    email: Text = ""
    password: Text = ""
    refresh_token: Text = ""


class UserChanges(BaseModel):
    """Body of ``PUT /user``; ``email`` and ``phone`` are read to be refused."""

    password: Text | None = None
    data: Annotated[dict[str, Any] | None, AfterValidator(clean_tree)] = None
    email: Text | None = None
    phone: Text | None = None


class Accounts:
    """What the endpoints below do, on one database."""

    def __init__(self, ctx: SpeechContext) -> None:
        self._ctx = ctx
        self._issuer = TokenIssuer(ctx.settings, ctx.clock)
        self._verifier = TokenVerifier(ctx.settings)
        self._passwords = PasswordHasher()

    async def sign_up(self, credentials: Credentials) -> dict[str, Any]:
        """Make an account and sign it in."""
        email = valid_email(credentials.email)
        require_password(credentials.password)
        hashed = await self._passwords.hash(credentials.password)
        now = self._ctx.clock.now()
        async with self._ctx.database.service() as conn:
            user = await users.create_user(
                conn, email=email, encrypted_password=hashed, user_metadata=credentials.data, at=now
            )
            if user is None:
                raise GoTrueError(422, "user_already_exists", "User already registered")
            return await self._open_session(conn, user, now)

    async def sign_in(self, email: str, password: str) -> dict[str, Any]:
        """Exchange an address and its password for a session; which of both was wrong is not told."""
        async with self._ctx.database.service() as conn:
            known = await users.find_user_by_email(conn, email.strip())
        usable = password if len(password) <= MAXIMUM_PASSWORD_CHARS else ""
        if not await self._passwords.matches(usable, known.encrypted_password if known else None):
            raise GoTrueError(400, "invalid_credentials", "Invalid login credentials")
        now = self._ctx.clock.now()
        async with self._ctx.database.service() as conn:
            user = await users.record_sign_in(conn, known.id, now) if known else None
            if user is None:
                raise GoTrueError(400, "invalid_credentials", "Invalid login credentials")
            return await self._open_session(conn, user, now)

    async def refresh(self, token: str) -> dict[str, Any]:
        """Exchange a refresh token for the next one; a token seen before ends its session."""
        now = self._ctx.clock.now()
        hashed = _hash(token)
        async with self._ctx.database.service() as conn:
            held = await sessions.lock_refresh_token(conn, hashed)
            if held is None or held.revoked_at or (held.expires_at and held.expires_at <= now):
                raise GoTrueError(
                    400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"
                )
            user = await users.find_user(conn, held.user_id)
            if user is None:
                raise GoTrueError(403, "user_not_found", "User from sub claim in JWT does not exist")
            if held.used_at is None:
                await sessions.mark_used(conn, hashed, now)
                return await self._issue(conn, user, held.session_id, hashed, now)
            await sessions.revoke_session(conn, held.session_id, now)
        # After the commit, or raising would undo the revocation.
        log.warning("refresh_token_reused", user_id=str(held.user_id), session_id=str(held.session_id))
        raise GoTrueError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")

    async def current_user(self, request: Request) -> dict[str, Any]:
        """Describe the account of the bearer token, as long as its session is open."""
        claims = self._claims(request)
        async with self._ctx.database.service() as conn:
            user = await users.find_user(conn, claims.user_id)
            if user is None:
                raise GoTrueError(403, "user_not_found", "User from sub claim in JWT does not exist")
            if claims.session_id and not await sessions.session_is_open(conn, claims.session_id, user.id):
                raise GoTrueError(
                    403, "session_not_found", "Session from session_id claim in JWT does not exist"
                )
        return _describe(user)

    async def change_user(self, request: Request, changes: UserChanges) -> dict[str, Any]:
        """Change password or metadata; a new password ends the account's other sessions."""
        claims = self._claims(request)
        await self.current_user(request)
        for name, value in (("email", changes.email), ("phone", changes.phone)):
            if value:
                raise GoTrueError(
                    422, "not_implemented", f"This issuer sends no messages, so {name} cannot be changed."
                )
        hashed = None
        if changes.password is not None:
            hashed = await self._new_password(claims.user_id, changes.password)
        now = self._ctx.clock.now()
        async with self._ctx.database.service() as conn:
            user = await users.change_user(
                conn, claims.user_id, now, encrypted_password=hashed, user_metadata=changes.data
            )
            if user is None:
                raise GoTrueError(403, "user_not_found", "User from sub claim in JWT does not exist")
            if hashed:
                await sessions.revoke_user_sessions(conn, user.id, now, keep=claims.session_id)
        return _describe(user)

    async def _new_password(self, user_id: UUID, password: str) -> str:
        require_password(password)
        async with self._ctx.database.service() as conn:
            known = await users.find_user(conn, user_id)
        if known and await self._passwords.matches(password, known.encrypted_password):
            message = "New password should be different from the old password."
            raise GoTrueError(422, "same_password", message)
        return await self._passwords.hash(password)

    async def sign_out(self, request: Request, scope: str) -> None:
        """End this session, the others, or all."""
        claims = self._claims(request)
        now = self._ctx.clock.now()
        async with self._ctx.database.service() as conn:
            if scope == "local" and claims.session_id:
                await sessions.revoke_session(conn, claims.session_id, now)
            else:
                keep = claims.session_id if scope == "others" else None
                await sessions.revoke_user_sessions(conn, claims.user_id, now, keep=keep)

    def _claims(self, request: Request) -> Claims:
        try:
            return self._verifier.verify(bearer_token(request))
        except UnauthenticatedError:
            if not request.headers.get("authorization"):
                raise GoTrueError(
                    401, "no_authorization", "This endpoint requires a valid Bearer token"
                ) from None
            raise GoTrueError(403, "bad_jwt", "invalid JWT: token is malformed or expired") from None

    async def _open_session(self, conn: users.Connection, user: UserRow, now: datetime) -> dict[str, Any]:
        return await self._issue(conn, user, uuid4(), None, now)

    async def _issue(
        self, conn: users.Connection, user: UserRow, session_id: UUID, parent: str | None, now: datetime
    ) -> dict[str, Any]:
        refresh_token = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
        await sessions.add_refresh_token(
            conn,
            token_hash=_hash(refresh_token),
            user_id=user.id,
            session_id=session_id,
            parent_hash=parent,
            created_at=now,
            expires_at=now + REFRESH_TOKEN_LIFETIME,
        )
        signed_in_at = user.last_sign_in_at or now
        access_token, expires_at_s = self._issuer.issue(
            user, session_id, signed_in_at_s=int(signed_in_at.timestamp())
        )
        return {
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": self._issuer.lifetime_s,
            "expires_at": expires_at_s,
            "refresh_token": refresh_token,
            "user": _describe(user),
        }


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


AccountsDep = Annotated[Accounts, Depends(_accounts)]


@router.post(
    "/signup",
    response_model=answers.AuthSession,
    summary="Make an account and sign in",
)
async def signup(request: Request, accounts: AccountsDep, body: Credentials) -> dict[str, Any]:
    """Answer a session: ``access_token``, ``refresh_token``, ``user``."""
    if not (body.email or "").lower().endswith(CANARY_DOMAIN):
        await refuse_when_frozen(request)
    return await accounts.sign_up(body)


@router.post("/token", response_model=answers.AuthSession, summary="Sign in, or refresh a session")
async def token(
    accounts: AccountsDep, body: TokenRequest, grant_type: Annotated[str, Query()] = ""
) -> dict[str, Any]:
    """Answer a session for ``grant_type`` ``password`` or ``refresh_token``."""
    match grant_type:
        case "password":
            if not body.email or not body.password:
                raise GoTrueError(400, "validation_failed", "missing email or phone")
            return await accounts.sign_in(body.email, body.password)
        case "refresh_token":
            if not body.refresh_token:
                raise GoTrueError(400, "validation_failed", "refresh_token required")
            return await accounts.refresh(body.refresh_token)
    raise GoTrueError(400, "invalid_credentials", "unsupported_grant_type")


@router.get(
    "/user",
    response_model=answers.AuthUser,
    summary="The account of the token",
    dependencies=[Depends(bearer_scheme)],
)
async def user(accounts: AccountsDep, request: Request) -> dict[str, Any]:
    """Answer the account, unless its session ended."""
    return await accounts.current_user(request)


@router.put(
    "/user",
    summary="Change my password or metadata",
    dependencies=[Depends(bearer_scheme), Depends(refuse_when_frozen)],
)
async def change_user(accounts: AccountsDep, request: Request, body: UserChanges) -> dict[str, Any]:
    """Answer the account as it now is; metadata is merged, and a null removes its field."""
    return await accounts.change_user(request, body)


# 422 and not 501: supabase-js takes 501 for a broken network and hides what was said.
@router.post("/recover", summary="Not offered: no mail is sent", status_code=422)
async def recover() -> None:
    """Refuse: a reset by mail needs a Supabase project as issuer (``AUTH_VERIFIER``)."""
    raise GoTrueError(422, "not_implemented", "This issuer sends no mail, so it cannot recover passwords.")


@router.get("/settings", summary="What this issuer offers")
async def settings() -> dict[str, Any]:
    """Answer in GoTrue's shape: accounts by e-mail and password, without confirmation."""
    return {
        "external": {"email": True, "phone": False, "anonymous_users": False},
        "disable_signup": False,
        "mailer_autoconfirm": True,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
    }


@router.get("/health", summary="Is the issuer alive?")
async def health() -> dict[str, str]:
    """Answer in GoTrue's shape; the name says that it is not GoTrue."""
    return {
        "name": "understudy",
        "version": understudy.__version__,
        "description": "The embedded issuer: the part of GoTrue that supabase-js uses.",
    }


@router.post("/logout", status_code=204, summary="End sessions", dependencies=[Depends(bearer_scheme)])
async def logout(
    accounts: AccountsDep,
    request: Request,
    scope: Annotated[Literal["global", "local", "others"], Query()] = "global",
) -> Response:
    """End this session (``local``), the other ones (``others``) or all (``global``)."""
    await accounts.sign_out(request, scope)
    return Response(status_code=204)


def valid_email(value: str) -> str:
    """Return an address as it is kept; :class:`GoTrueError` for what is none."""
    email = value.strip().lower()
    if not email:
        raise GoTrueError(400, "validation_failed", "To signup, please provide your email")
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise GoTrueError(400, "validation_failed", "Unable to validate email address: invalid format")
    return email


def require_password(password: str) -> None:
    """Raise :class:`GoTrueError` unless a password is long enough and not too long."""
    if not password:
        raise GoTrueError(400, "validation_failed", "Signup requires a valid password")
    if len(password) < MINIMUM_PASSWORD_CHARS:
        message = f"Password should be at least {MINIMUM_PASSWORD_CHARS} characters."
        raise GoTrueError(422, "weak_password", message, reasons=["length"])
    if len(password) > MAXIMUM_PASSWORD_CHARS:
        message = f"Password cannot be longer than {MAXIMUM_PASSWORD_CHARS} characters"
        raise GoTrueError(400, "validation_failed", message)


def _hash(token_value: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token_value.encode()).hexdigest()


def _describe(row: UserRow) -> dict[str, Any]:
    def written(at: datetime | None) -> str | None:
        return at.isoformat().replace("+00:00", "Z") if at else None

    return {
        "id": str(row.id),
        "aud": "authenticated",
        "role": "authenticated",
        "email": row.email or "",
        "email_confirmed_at": written(row.email_confirmed_at),
        "phone": "",
        "confirmed_at": written(row.email_confirmed_at),
        "last_sign_in_at": written(row.last_sign_in_at),
        "app_metadata": row.raw_app_meta_data or {},
        "user_metadata": row.raw_user_meta_data or {},
        "identities": [],
        "created_at": written(row.created_at),
        "updated_at": written(row.updated_at),
        "is_anonymous": False,
    }
