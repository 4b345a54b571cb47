"""Digests of secrets: two processes compare what they hold without telling it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

#: A secret this long occurs nowhere by chance, and no tenant guesses it: only such are looked for in log
#: lines and answers (a tenant may send texts, and see which answer is withheld).
UNGUESSABLE_CHARS = 16

#: No secret: it only keeps these digests apart from any other use of SHA-256.
_KEY = b"understudy/secret-digest/1"
_DIGITS = 16
_DATABASE_SCHEMES = ("postgres://", "postgresql://")


def secret_digests(named: Mapping[str, SecretStr]) -> dict[str, str]:
    """Return the first 16 hexadecimal digits of HMAC-SHA256 of ``NAME=value`` by name.

    Of a Postgres URL only the password counts, and without one it has no digest: two processes may reach one
    database by different ways. The key is no secret, so a short secret could be guessed from its digest: only
    ``service_role`` reads them.
    """
    digests = {}
    for name, secret in named.items():
        value = secret.get_secret_value()
        if value.startswith(_DATABASE_SCHEMES):
            password = _password_of(value)
            if password is None:
                continue
            value = password
        told = hmac.new(_KEY, f"{name}={value}".encode(), "sha256").hexdigest()
        digests[name] = told[:_DIGITS]
    return digests


def _password_of(url: str) -> str | None:
    try:
        password = urlsplit(url).password
    except ValueError:  # no URL after all: connecting will say so
        return None
    return unquote(password) if password else None
