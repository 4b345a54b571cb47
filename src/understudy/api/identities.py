"""From a bearer token to the tenant it speaks for: access tokens of one issuer, and API keys."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from understudy.api.jwks import JwksVerifier
from understudy.api.verifiers import TokenVerifier, Verifier
from understudy.clock import Clock
from understudy.errors import UnauthenticatedError
from understudy.settings import Settings
from understudy.speech.context import SpeechContext
from understudy.store import api_keys, users
from understudy.store.api_keys import KEY_PREFIX, ApiKeyRow
from understudy.store.database import Database

#: A revoked key must be refused everywhere within 5 s; the second less is for the request in between.
KEY_FRESH_FOR_S = 4.0
REMEMBERED = 10_000

T = TypeVar("T")


def build_verifier(settings: Settings, clock: Clock) -> Verifier:
    """Return the verifier that ``AUTH_VERIFIER`` names, and no other.

    Raises
    ------
    ConfigurationError
        What it needs is missing or weak.
    """
    settings.check_identity()
    if settings.auth_verifier == "jwks":
        return JwksVerifier(settings.supabase_auth_url, settings.token_issuer, clock)
    return TokenVerifier(settings)


class Identities:
    """Names the tenant of every request; one per process."""

    def __init__(self, ctx: SpeechContext) -> None:
        self._verifier = build_verifier(ctx.settings, ctx.clock)
        self._keys = ApiKeys(ctx.database, ctx.clock)
        outside = ctx.settings.auth_verifier != "embedded"
        self._accounts = OutsideAccounts(ctx.database) if outside else None

    async def start(self) -> None:
        """Make ready to verify."""
        await self._verifier.start()

    async def close(self) -> None:
        """Give back what was opened."""
        await self._verifier.close()

    async def identify(self, token: str) -> UUID:
        """Return whose token or key this is.

        Raises
        ------
        UnauthenticatedError
            It is neither, or no longer good.
        """
        if token.startswith(KEY_PREFIX):
            return await self._keys.identify(token)
        claims = await self._verifier.identify(token)
        if self._accounts is not None:
            await self._accounts.ensure(claims.user_id)
        return claims.user_id


class ApiKeys:
    """Looks keys up, and trusts an answer for a few seconds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # By hash: a dump of this process's memory should not list keys.
        self._known: _Recent[tuple[float, ApiKeyRow | None]] = _Recent()

    async def identify(self, key: str) -> UUID:
        """Return the account of a key that is good and may speak; :class:`UnauthenticatedError` otherwise."""
        hashed = api_keys.hash_key(key)
        # Taken before the question: the answer is as old as that.
        now_s = self._clock.monotonic_s()
        known = self._known.get(hashed)
        if known is None or now_s - known[0] >= KEY_FRESH_FOR_S:
            async with self._database.service() as conn:
                row = await api_keys.use_key(conn, hashed, self._clock.now())
            known = (now_s, row)
            self._known.put(hashed, known)
        row = known[1]
        if row is None or api_keys.SPEECH not in row.scopes or _expired(row.expires_at, self._clock):
            raise UnauthenticatedError
        return row.user_id


class OutsideAccounts:
    """Makes the account row of a user whom another issuer vouches for, once: rows of ours refer to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: _Recent[bool] = _Recent()
        self._issuer_keeps_accounts: bool | None = None

    async def ensure(self, user_id: UUID) -> None:
        """Make the row unless it exists; on a Supabase project it does, and only GoTrue writes there."""
        if self._issuer_keeps_accounts or self._known.get(user_id):
            return
        async with self._database.service() as conn:
            if self._issuer_keeps_accounts is None:
                self._issuer_keeps_accounts = await users.issuer_keeps_accounts(conn)
            if not self._issuer_keeps_accounts:
                await users.ensure_user(conn, user_id)
        self._known.put(user_id, value=True)


class _Recent(Generic[T]):
    """A bounded memory: the least recently written is forgotten first."""

    def __init__(self) -> None:
        self._values: OrderedDict[object, T] = OrderedDict()

    def get(self, key: object) -> T | None:
        return self._values.get(key)

    def put(self, key: object, value: T) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)


def _expired(expires_at: datetime | None, clock: Clock) -> bool:
    return expires_at is not None and expires_at <= clock.now()
