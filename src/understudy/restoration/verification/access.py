"""How the two canary tenants get into a deployment, as the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.restoration.verification.canaries import (
    CanaryIdentities,
    CanaryToken,
    remembered_identities,
)

TOKENS = ("UNDERSTUDY_CANARY_TOKEN_A", "UNDERSTUDY_CANARY_TOKEN_B")
PUBLISHABLE_KEY = "UNDERSTUDY_PUBLISHABLE_KEY"
AUTH_URL = "UNDERSTUDY_AUTH_URL"


@dataclass(frozen=True, slots=True)
class Access:
    """Who the tenants are and where they sign in.

    Parameters
    ----------
    auth_url
        Token endpoints; None is ``/auth/v1`` on the deployment's own host.
    publishable_key
        What a Supabase project wants with every call to them.
    """

    identities: CanaryIdentities
    auth_url: str | None = None
    publishable_key: SecretStr | None = None


def access_from(environ: Mapping[str, str], file: Path, base_url: str) -> Access:
    """Return the tokens that ``environ`` names, or the accounts that ``file`` remembers, made where needed.

    Raises
    ------
    ConfigurationError
        Only one of two tokens is set, or the file cannot be used.
    """
    a, b = (environ.get(name, "") for name in TOKENS)
    if bool(a) != bool(b):
        raise ConfigurationError(
            f"Set both {TOKENS[0]} and {TOKENS[1]}, or neither: isolation needs two tenants."
        )
    key = environ.get(PUBLISHABLE_KEY)
    return Access(
        identities=(
            CanaryIdentities(CanaryToken(SecretStr(a)), CanaryToken(SecretStr(b)))
            if a
            else remembered_identities(file, base_url)
        ),
        auth_url=environ.get(AUTH_URL) or None,
        publishable_key=SecretStr(key) if key else None,
    )
