"""Passwords: scrypt from the standard library, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets

#: OWASP's password storage sheet: N=2^14, r=8, p=5 costs 16 MB and about 100 ms on one core.
LOG2_N = 14
BLOCK_SIZE = 8
PARALLEL = 5
KEY_BYTES = 32
SALT_BYTES = 16
MEMORY_LIMIT_BYTES = 64 * 1024 * 1024

#: More at once would let a burst of logins take the machine from the requests that speak.
AT_ONCE = 2


class PasswordHasher:
    """Hashes and checks passwords; one per process."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        # What an unknown e-mail address is checked against, so that it takes as long as a known one.
        self._nobody = _encode(secrets.token_bytes(SALT_BYTES), secrets.token_bytes(KEY_BYTES))

    async def hash(self, password: str) -> str:
        """Return ``scrypt$ln=..,r=..,p=..$salt$key``."""
        salt = secrets.token_bytes(SALT_BYTES)
        async with self._slots:
            key = await asyncio.to_thread(_derive, password, salt, LOG2_N, BLOCK_SIZE, PARALLEL)
        return _encode(salt, key)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether ``password`` is the stored one; ``None`` (nobody) costs the same and is never right."""
        parameters = _decode(stored or self._nobody)
        if parameters is None:
            return False
        log2_n, block_size, parallel, salt, key = parameters
        async with self._slots:
            given = await asyncio.to_thread(_derive, password, salt, log2_n, block_size, parallel)
        return hmac.compare_digest(given, key) and stored is not None


def _derive(password: str, salt: bytes, log2_n: int, block_size: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=2**log2_n,
        r=block_size,
        p=parallel,
        maxmem=MEMORY_LIMIT_BYTES,
        dklen=KEY_BYTES,
    )


def _encode(salt: bytes, key: bytes) -> str:
    values = f"ln={LOG2_N},r={BLOCK_SIZE},p={PARALLEL}"
    return f"scrypt${values}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _decode(stored: str) -> tuple[int, int, int, bytes, bytes] | None:
    """Read a stored hash; ``None`` for one this service did not make, which then never matches."""
    try:
        name, values, salt, key = stored.split("$")
        settings = dict(item.split("=") for item in values.split(","))
        if name != "scrypt":
            return None
        return (
            int(settings["ln"]),
            int(settings["r"]),
            int(settings["p"]),
            base64.b64decode(salt, validate=True),
            base64.b64decode(key, validate=True),
        )
    except (ValueError, KeyError, binascii.Error):
        return None
