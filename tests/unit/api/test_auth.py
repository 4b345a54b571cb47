"""Access tokens: accepted only whole, ours, current and for a user."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from pydantic import SecretStr

from understudy.api.auth import TokenIssuer
from understudy.api.verifiers import LEEWAY_S, TokenVerifier
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, UnauthenticatedError
from understudy.settings import Settings
from understudy.store.users import UserRow

pytestmark = pytest.mark.unit

SECRET = "k" * 32
USER = UUID("0b6f3c52-2f0b-4a3c-8a51-0d1c7e0a2f11")


def settings(secret: str = SECRET) -> Settings:
    return Settings(jwt_secret=SecretStr(secret), jwt_issuer="understudy")


def claims(**changes: Any) -> dict[str, Any]:
    now_s = int(time.time())
    values = {
        "iss": "understudy",
        "aud": "authenticated",
        "sub": str(USER),
        "role": "authenticated",
        "iat": now_s,
        "exp": now_s + 60,
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def unsigned(header: dict[str, str], **changes: Any) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims(**changes)))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def test_a_good_token_names_its_user() -> None:
    assert TokenVerifier(settings()).verify(token()).user_id == USER


def test_a_clock_a_little_behind_is_forgiven() -> None:
    now_s = int(time.time())
    TokenVerifier(settings()).verify(token(exp=now_s - LEEWAY_S + 5))


@pytest.mark.parametrize(
    "forged",
    [
        token(secret="x" * 32),
        token(exp=1),
        token(iat=int(time.time()) + 3600),
        token(aud="anon"),
        token(aud=None),
        token(iss="https://evil.example"),
        token(iss=None),
        token(sub=None),
        token(sub="1; drop table"),
        token(sub="{" + str(USER) + "}x"),
        token(role="service_role"),
        token(role=None),
        token(exp=None),
        token(iat=None),
        token(is_anonymous=True),
        token(session_id="nonsense"),
        token(secret="k" * 64, algorithm="HS512"),
        unsigned({"alg": "none", "typ": "JWT"}),
        unsigned({"alg": "HS256", "typ": "JWT"}),
        "",
        "a.b.c",
        "ü",
        token() + "x",
        token().rsplit(".", 1)[0] + ".",
    ],
)
def test_any_other_token_is_refused_with_one_text(forged: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^Invalid or expired token$"):
        TokenVerifier(settings()).verify(forged)


def test_what_the_issuer_signs_the_verifier_reads() -> None:
    clock, session = SystemClock(), uuid4()
    now = clock.now()
    user = UserRow(USER, "a@b.c", None, {"provider": "email"}, {"name": "Ann"}, now, now, now, now)
    signed, expires_at_s = TokenIssuer(settings(), clock).issue(user, session, signed_in_at_s=5)
    found = TokenVerifier(settings()).verify(signed)
    assert (found.user_id, found.session_id) == (USER, session)
    assert abs(expires_at_s - time.time() - 3600) < 5
    payload = jwt.decode(signed, options={"verify_signature": False})
    assert {"aal", "email", "phone", "app_metadata", "user_metadata", "amr", "is_anonymous"} <= set(payload)


@pytest.mark.parametrize("secret", ["", "short", "k" * 31])
def test_a_weak_secret_is_refused_with_the_fix(secret: str) -> None:
    with pytest.raises(ConfigurationError, match=r"JWT_SECRET .*openssl rand"):
        TokenVerifier(settings(secret))


def test_the_previous_secret_verifies_and_never_signs() -> None:
    clock = SystemClock()
    rotated = Settings(jwt_secret=SecretStr("n" * 32), jwt_secret_previous=SecretStr(SECRET))
    assert TokenVerifier(rotated).verify(token()).user_id == USER
    with pytest.raises(UnauthenticatedError):
        TokenVerifier(rotated).verify(token(exp=1))
    now = clock.now()
    user = UserRow(USER, "a@b.c", None, {}, {}, now, now, now, now)
    signed, _ = TokenIssuer(rotated, clock).issue(user, uuid4(), signed_in_at_s=5)
    jwt.decode(signed, "n" * 32, algorithms=["HS256"], audience="authenticated")
    with pytest.raises(UnauthenticatedError):
        TokenVerifier(settings()).verify(signed)
    weak = Settings(jwt_secret=SecretStr("n" * 32), jwt_secret_previous=SecretStr("short"))
    with pytest.raises(ConfigurationError, match="JWT_SECRET_PREVIOUS"):
        TokenVerifier(weak)
