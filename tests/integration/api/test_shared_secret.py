"""Tokens of a Supabase project that signs with a shared secret (``AUTH_VERIFIER=hs256``)."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import jwt
import pytest

from tests.integration.api.conftest import Api
from understudy.errors import ConfigurationError
from understudy.settings import Settings, settings_from

pytestmark = pytest.mark.integration

PROJECT = "https://abcdefghijklmnopqrst.supabase.co"
SECRET = "s" * 40


@pytest.fixture
def settings(settings: Settings) -> Settings:
    chosen = {"AUTH_VERIFIER": "hs256", "SUPABASE_URL": PROJECT + "/", "SUPABASE_JWT_SECRET": SECRET}
    others = settings_from(chosen)
    names = ("auth_verifier", "supabase_url", "supabase_jwt_secret")
    return settings.model_copy(update={name: getattr(others, name) for name in names})


def token(secret: str = SECRET, **changes: Any) -> str:
    now_s = int(time.time())
    claims = {
        "iss": f"{PROJECT}/auth/v1",
        "aud": "authenticated",
        "sub": str(uuid4()),
        "role": "authenticated",
        "iat": now_s,
        "exp": now_s + 60,
    } | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm="HS256")


async def status(api: Api, bearer: str) -> int:
    async with api.client.get("/api/voices", headers={"Authorization": f"Bearer {bearer}"}) as answer:
        return answer.status


async def test_a_projects_token_is_read_and_no_other(api: Api, settings: Settings) -> None:
    assert await status(api, token()) == 200
    own = settings.jwt_secret.get_secret_value()
    for refused in (
        token(secret=own),
        token(iss="understudy"),
        token(iss="supabase", sub=None, aud=None, role="service_role"),
        token(aud=None),
        token(exp=1),
        token(is_anonymous=True),
    ):
        assert await status(api, refused) == 401


async def test_the_embedded_issuer_is_not_there(api: Api) -> None:
    async with api.client.post("/auth/v1/signup", json={}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, 404)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"AUTH_VERIFIER": "embedded"}, "JWT_SECRET not set"),
        ({"AUTH_VERIFIER": "hs256", "SUPABASE_URL": PROJECT}, "SUPABASE_JWT_SECRET not set"),
        ({"AUTH_VERIFIER": "hs256", "SUPABASE_JWT_SECRET": SECRET}, "SUPABASE_URL not set"),
        ({"AUTH_VERIFIER": "jwks"}, "SUPABASE_URL not set"),
        ({"AUTH_VERIFIER": "jwks", "SUPABASE_URL": "http://project.example"}, "only https"),
    ],
)
def test_what_a_verifier_lacks_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings_from(values).check_identity()


def test_there_is_no_verifier_of_two_families() -> None:
    with pytest.raises(ConfigurationError, match="AUTH_VERIFIER"):
        settings_from({"AUTH_VERIFIER": "hs256,jwks"})
