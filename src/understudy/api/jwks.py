"""Access tokens of a Supabase project with asymmetric keys, checked against its published key set.

The set is fetched beside the requests, not by them. A request waits for a fetch only when its token names a
key that is not known yet, as after a rotation, and such waits are rationed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from understudy.api.verifiers import Claims, read_claims
from understudy.clock import Clock
from understudy.errors import IdentityUnavailableError, UnauthenticatedError
from understudy.logs import get_logger
from understudy.settings import check_url

ALGORITHMS = frozenset({"ES256", "RS256"})
PATH = "/.well-known/jwks.json"

#: Supabase's edge keeps the set for 10 min and asks that nobody keep it longer.
LIFETIME_S = 300.0
#: Between two fetches for unknown keys, however many tokens name one: forged ones cost nothing else.
COOLDOWN_S = 30.0
#: Between tries while there is no key at all.
RETRY_S = 2.0
FETCH_TIMEOUT_S = 5.0
#: How long one request waits for a fetch.
WAIT_S = 3.0
MAXIMUM_BYTES = 256 * 1024
#: NIST SP 800-131A: RSA below 2048 bits is not for signatures.
MINIMUM_RSA_BITS = 2048

log = get_logger(__name__)


class JwksVerifier:
    """Checks ES256 and RS256 tokens.

    Parameters
    ----------
    auth_url
        Address of the auth service, whose ``/.well-known/jwks.json`` is read; http on loopback only.
    issuer
        The ``iss`` of its tokens.
    lifetime_s, retry_s
        Seconds between fetches, and between tries while no key is known.
    """

    def __init__(
        self,
        auth_url: str,
        issuer: str,
        clock: Clock,
        *,
        lifetime_s: float = LIFETIME_S,
        retry_s: float = RETRY_S,
    ) -> None:
        check_url("SUPABASE_URL", auth_url)
        self._url = auth_url.rstrip("/") + PATH
        self._issuer = issuer
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._retry_s = retry_s
        self._keys: dict[str, jwt.PyJWK] = {}
        self._session: aiohttp.ClientSession | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[None] | None = None
        self._asked_at_s: float | None = None

    async def start(self) -> None:
        """Fetch the keys and keep them fresh; the process starts even when the endpoint is down."""
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        await asyncio.wait({self._fetch()}, timeout=FETCH_TIMEOUT_S)
        self._keeping = asyncio.create_task(self._keep_fresh(), name="jwks-keep-fresh")

    async def close(self) -> None:
        """Stop fetching; safe to repeat."""
        for task in (self._keeping, self._flight):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._session is not None:
            await self._session.close()

    async def identify(self, token: str) -> Claims:
        """Return the claims of a valid token.

        Raises
        ------
        UnauthenticatedError
            Forged, expired, of another issuer or audience, of another family of algorithms, anonymous, or
            signed with a key that the set does not hold.
        IdentityUnavailableError
            No key set was ever read, so nothing can be said.
        """
        kid = _key_id(token)
        key = self._keys.get(kid)
        if key is None:
            await self._learn()
            key = self._keys.get(kid)
        if key is None:
            if not self._keys:
                raise IdentityUnavailableError
            raise UnauthenticatedError
        try:
            # One algorithm: the key's own. The token's header has no say.
            return read_claims(token, key.key, key.algorithm_name, self._issuer)
        except jwt.InvalidSignatureError:
            raise UnauthenticatedError from None

    async def _learn(self) -> None:
        """Wait for a fetch that may bring an unknown key, unless one was asked for a moment ago."""
        now_s = self._clock.monotonic_s()
        if self._asked_at_s is None or now_s - self._asked_at_s >= COOLDOWN_S:
            self._asked_at_s = now_s
            self._fetch()
        if self._flight is not None and not self._flight.done():
            await asyncio.wait({self._flight}, timeout=WAIT_S)

    def _fetch(self) -> asyncio.Task[None]:
        """Return the fetch in flight, begun if there is none."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._read(), name="jwks-fetch")
        return self._flight

    async def _keep_fresh(self) -> None:
        while True:
            await self._clock.sleep(self._lifetime_s if self._keys else self._retry_s)
            await asyncio.wait({self._fetch()})

    async def _read(self) -> None:
        """Read the set; a failure keeps the last good keys."""
        assert self._session is not None  # noqa: S101  (started)
        try:
            # A redirect could lead anywhere, and whoever answers there could sign for every tenant.
            async with self._session.get(self._url, allow_redirects=False) as answer:
                if answer.status != 200:
                    self._failed(f"status {answer.status}")
                    return
                body = await answer.content.read(MAXIMUM_BYTES + 1)
                while chunk := await answer.content.read(MAXIMUM_BYTES + 1 - len(body)):
                    body += chunk
            if len(body) > MAXIMUM_BYTES:
                self._failed("too large")
                return
            keys = usable_keys(json.loads(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._failed(type(error).__name__)
            return
        if not keys:
            # So answers a project that signs with HS256, and a set withdrawn by mistake.
            self._failed("no ES256 or RS256 key in it")
            return
        if keys.keys() != self._keys.keys():
            log.info("jwks_keys", kids=sorted(keys))
        self._keys = keys

    def _failed(self, reason: str) -> None:
        log.warning("jwks_unavailable", url=self._url, reason=reason, keys_kept=len(self._keys))


def usable_keys(document: Any) -> dict[str, jwt.PyJWK]:
    """Return the keys of a set that may verify tokens, by ``kid``.

    Secrets (``oct``), keys for encryption, weak ones and those of other algorithms are left out.
    """
    found = {}
    entries = document.get("keys", []) if isinstance(document, dict) else []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
            continue
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < MINIMUM_RSA_BITS
        if isinstance(key.key_id, str) and key.algorithm_name in ALGORITHMS and not weak:
            found[key.key_id] = key
    return found


def _key_id(token: str) -> str:
    """Return the ``kid`` of a token of our family; :class:`UnauthenticatedError` for any other."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise UnauthenticatedError from None
    kid = header.get("kid")
    if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
        raise UnauthenticatedError
    return kid
