"""Expiring, HMAC-signed object URLs: one signature binds method, object, expiry and content type."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import ConfigurationError, ForbiddenError, ValidationError

#: An HMAC-SHA256 key shorter than its output weakens it (RFC 2104 section 3).
MINIMUM_SECRET_BYTES = 32

#: A signed type that leaves the choice to the uploader, within what the bucket accepts.
ANY_AUDIO = "audio/*"


def require_strong_secret(name: str, secret: SecretStr) -> None:
    """Raise :class:`ConfigurationError` naming the setting unless ``secret`` has 32 bytes or more."""
    if len(secret.get_secret_value().encode()) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(
            f"{name} is shorter than {MINIMUM_SECRET_BYTES} bytes. "
            f"Set it to a random value, for example from `openssl rand -hex 32`, and start again."
        )


class UrlSigner:
    """Makes and checks ``/objects/{bucket}/{key}?expires=...&signature=...``.

    Parameters
    ----------
    secret
        At least 32 bytes.
    previous
        The secret before a rotation: URLs signed with it stay good until they expire, none is signed with it.
    lifetime_s
        Seconds a URL stays valid.
    base_url
        Put before the path; empty gives a path that the caller resolves against the API's own address.
    """

    def __init__(
        self,
        secret: SecretStr,
        lifetime_s: int,
        clock: Clock,
        base_url: str = "",
        *,
        previous: SecretStr | None = None,
    ) -> None:
        require_strong_secret("OBJECT_URL_SECRET", secret)
        self._keys = [secret.get_secret_value().encode()]
        if previous is not None and previous.get_secret_value():
            require_strong_secret("OBJECT_URL_SECRET_PREVIOUS", previous)
            self._keys.append(previous.get_secret_value().encode())
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._base_url = base_url.rstrip("/")

    def sign(self, method: str, bucket: str, key: str, content_type: str = "") -> str:
        """Return a URL good for ``method`` (``GET`` also serves ``HEAD``) on one object until it expires."""
        expires = int(self._clock.now().timestamp()) + self._lifetime_s
        query = {"expires": str(expires)}
        if content_type:
            query["type"] = content_type
        query["signature"] = self._signature(
            self._keys[0], method, bucket, key, expires, content_type=content_type
        )
        return f"{self._base_url}/objects/{quote(bucket)}/{quote(key)}?{urlencode(query)}"

    def verify(
        self, method: str, bucket: str, key: str, *, expires: str, signature: str, content_type: str = ""
    ) -> None:
        """Raise :class:`ForbiddenError` unless the signature fits and the URL has not expired.

        The signature is checked first, so a forged URL learns nothing, not even that it would have expired.
        """
        # 12 digits reach past the year 30000; more only costs time.
        number = int(expires) if expires.isascii() and expires.isdigit() and len(expires) <= 12 else -1
        fits = [
            hmac.compare_digest(
                self._signature(secret, method, bucket, key, number, content_type=content_type).encode(),
                signature.encode(),
            )
            for secret in self._keys
        ]
        if number < 0 or not any(fits):
            raise ForbiddenError("This link is not valid.")
        if self._clock.now().timestamp() > number:
            raise ForbiddenError("This link has expired.")

    @staticmethod
    def _signature(
        secret: bytes, method: str, bucket: str, key: str, expires: int, *, content_type: str
    ) -> str:
        # Lengths before values: no two different tuples give the same message, whatever the values hold.
        parts = ("understudy-object-v1", method, bucket, key, str(expires), content_type)
        message = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return hmac.new(secret, message, hashlib.sha256).hexdigest()


def media_type(header: str) -> str:
    """Return the bare lower-case media type of a ``Content-Type`` header, or ``""``."""
    return header.split(";", 1)[0].strip().lower()


def require_type(signed: str, sent: str) -> None:
    """Raise :class:`ValidationError` unless the type sent is the one the URL was signed for."""
    if signed == ANY_AUDIO and sent.startswith("audio/"):
        return
    if sent != signed:
        raise ValidationError(f"Content-Type must be {signed} for this upload.")
