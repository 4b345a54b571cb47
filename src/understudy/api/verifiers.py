"""Access tokens, checked against the one issuer that ``AUTH_VERIFIER`` names.

Each verifier knows one family of algorithms only: one that knew both could be handed a public key as an HMAC
secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import jwt
from pydantic import SecretStr

from understudy.errors import UnauthenticatedError
from understudy.settings import Settings
from understudy.store.signing import require_strong_secret

AUDIENCE = "authenticated"
ROLE = "authenticated"
ALGORITHM = "HS256"
#: Clocks of issuer and verifier may differ by this much (facts/supabase-modal.md section 3: at most 30 s).
LEEWAY_S = 10
REQUIRED_CLAIMS = ("exp", "iat", "sub", "aud", "iss", "role")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says."""

    user_id: UUID
    session_id: UUID | None


class Verifier(Protocol):
    """Checks access tokens of one issuer; started with its process, closed with it."""

    async def start(self) -> None:
        """Make ready."""
        ...

    async def close(self) -> None:
        """Give back what was opened."""
        ...

    async def identify(self, token: str) -> Claims:
        """Return the claims of a valid token; :class:`UnauthenticatedError` for any other."""
        ...


class TokenVerifier:
    """Checks access tokens signed with a shared secret (HS256): the embedded issuer's, or a project's.

    Parameters
    ----------
    settings
        The embedded issuer's ``jwt_secret`` of at least 32 bytes, and ``jwt_issuer``; or, with
        ``auth_verifier`` ``hs256``, the project's ``supabase_jwt_secret`` and ``supabase_url``.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.auth_verifier == "hs256":
            named = {"SUPABASE_JWT_SECRET": settings.supabase_jwt_secret}
        else:
            named = {"JWT_SECRET": settings.jwt_secret, "JWT_SECRET_PREVIOUS": settings.jwt_secret_previous}
        self._secrets: list[SecretStr] = []
        for name, secret in named.items():
            if name != "JWT_SECRET_PREVIOUS" or secret.get_secret_value():
                require_strong_secret(name, secret)
                self._secrets.append(secret)
        self._issuer = settings.token_issuer

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def identify(self, token: str) -> Claims:
        """As :meth:`verify`."""
        return self.verify(token)

    def verify(self, token: str) -> Claims:
        """Return the claims of a valid token.

        Raises
        ------
        UnauthenticatedError
            Forged, expired, for another audience or issuer, without a required claim, or anonymous; which of
            these is not told.
        """
        for secret in self._secrets:
            try:
                return read_claims(token, secret.get_secret_value(), ALGORITHM, self._issuer)
            except jwt.InvalidSignatureError:
                continue
        raise UnauthenticatedError


def read_claims(token: str, key: Any, algorithm: str, issuer: str) -> Claims:
    """Return the claims of a token that ``key`` signed with ``algorithm``.

    Raises
    ------
    jwt.InvalidSignatureError
        Another key signed it; the next one may have.
    UnauthenticatedError
        Anything else is wrong with it.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=AUDIENCE,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": list(REQUIRED_CLAIMS)},
        )
        if claims["role"] != ROLE or claims.get("is_anonymous"):
            raise UnauthenticatedError
        session = claims.get("session_id")
        return Claims(user_id=UUID(claims["sub"]), session_id=UUID(session) if session else None)
    except jwt.InvalidSignatureError:
        raise
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise UnauthenticatedError from None
