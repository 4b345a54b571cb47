"""Tokens of a Supabase project with asymmetric keys: real keys, a real key set over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import jwt
import psycopg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.api.conftest import Api
from tests.integration.api.identity_provider import IdentityProvider
from tests.integration.conftest import DatabaseUrls
from understudy.api.jwks import JwksVerifier, usable_keys
from understudy.api.verifiers import Verifier
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, IdentityUnavailableError, UnauthenticatedError
from understudy.settings import Settings

pytestmark = pytest.mark.integration

USER = uuid4()
Eventually = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    running = IdentityProvider()
    await running.start()
    running.add_ec("ec-1")
    running.add_rsa("rsa-1")
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def verifier(provider: IdentityProvider) -> AsyncIterator[Verifier]:
    opened = JwksVerifier(provider.issuer, provider.issuer, SystemClock(), lifetime_s=3600)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def settings(settings: Settings, provider: IdentityProvider) -> Settings:
    return settings.model_copy(
        update={"auth_verifier": "jwks", "supabase_url": provider.url, "jwt_secret": ""}
    )


async def refuses(verifier: Verifier, token: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^Invalid or expired token$"):
        await verifier.identify(token)


async def test_both_families_are_read_without_a_fetch(verifier: Verifier, provider: IdentityProvider) -> None:
    for kid in ("ec-1", "rsa-1"):
        assert (await verifier.identify(provider.token(kid, USER))).user_id == USER
    assert provider.fetches == 1


async def test_any_other_token_is_refused(verifier: Verifier, provider: IdentityProvider) -> None:
    now_s = int(time.time())
    await verifier.identify(provider.token("ec-1", USER, exp=now_s - 5))
    for changes in (
        {"exp": now_s - 31},
        {"iat": now_s + 60},
        {"aud": "anon"},
        {"iss": "https://elsewhere.example/auth/v1"},
        {"iss": provider.url},
        {"role": "service_role"},
        {"role": "anon"},
        {"is_anonymous": True},
        {"sub": "nobody"},
        *({name: None} for name in ("exp", "iat", "sub", "aud", "iss", "role")),
    ):
        await refuses(verifier, provider.token("ec-1", USER, **changes))
    for token in ("", "a.b.c", "ü.ü.ü", provider.token("ec-1", USER) + "x"):
        await refuses(verifier, token)
    stranger = IdentityProvider()
    stranger.url = provider.url
    stranger.add_ec("ec-1")
    await refuses(verifier, stranger.token("ec-1", USER))
    await refuses(verifier, provider.token("ec-1", USER, named="rsa-1"))
    await refuses(verifier, provider.token("rsa-1", USER, named="ec-1"))


async def test_a_public_key_is_no_hmac_secret(verifier: Verifier, provider: IdentityProvider) -> None:
    published = json.dumps(provider.document()["keys"][0]).encode()
    for kid, private in provider.private.items():
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for secret in (pem, published):
            for algorithm in ("HS256", "HS512"):
                await refuses(verifier, hmac_token(provider, kid, secret, algorithm))
        await refuses(verifier, hmac_token(provider, kid, b"", "none"))


def hmac_token(provider: IdentityProvider, kid: str, secret: bytes, algorithm: str) -> str:
    """Sign by hand: the library refuses to do what an attacker does."""

    def encoded(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    header = {"alg": algorithm, "typ": "JWT", "kid": kid}
    parts = [encoded(json.dumps(part).encode()) for part in (header, provider.claims(USER))]
    message = b".".join(parts)
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}.get(algorithm)
    signature = hmac.new(secret, message, digest).digest() if digest else b""
    return (message + b"." + encoded(signature)).decode()


async def test_sprayed_key_ids_cost_one_fetch(verifier: Verifier, provider: IdentityProvider) -> None:
    forged = [provider.token("ec-1", USER, named=f"kid-{number}") for number in range(200)]
    for answer in await asyncio.gather(*map(verifier.identify, forged), return_exceptions=True):
        assert isinstance(answer, UnauthenticatedError)
    assert provider.fetches == 2
    assert (await verifier.identify(provider.token("ec-1", USER))).user_id == USER


async def test_a_rotated_key_is_good_at_once(verifier: Verifier, provider: IdentityProvider) -> None:
    provider.add_ec("ec-2")
    fresh = [verifier.identify(provider.token("ec-2", USER)) for _ in range(20)]
    assert {claims.user_id for claims in await asyncio.gather(*fresh)} == {USER}
    assert provider.fetches == 2


async def test_a_withdrawn_key_is_refused_after_the_lifetime(
    provider: IdentityProvider, eventually: Eventually
) -> None:
    verifier = JwksVerifier(provider.issuer, provider.issuer, SystemClock(), lifetime_s=0.05)
    await verifier.start()
    token = provider.token("ec-1", USER)
    assert (await verifier.identify(token)).user_id == USER
    del provider.private["ec-1"]

    async def refused() -> bool:
        try:
            await verifier.identify(token)
        except UnauthenticatedError:
            return True
        return False

    await eventually(refused, what="the withdrawn key is refused")
    await verifier.close()


async def test_an_endpoint_that_fails_leaves_the_last_good_keys(
    provider: IdentityProvider, eventually: Eventually
) -> None:
    verifier = JwksVerifier(provider.issuer, provider.issuer, SystemClock(), lifetime_s=0.02)
    await verifier.start()
    token = provider.token("rsa-1", USER)
    kept, none = dict(provider.private), dict[str, object]()
    for failure in ({"status": 500}, {"redirect_to": "http://127.0.0.1:9/"}, {"private": none}):
        for name, value in failure.items():
            setattr(provider, name, value)
        before = provider.fetches
        await eventually(lambda before=before: provider.fetches > before + 1, what="two more fetches")
        assert (await verifier.identify(token)).user_id == USER, failure
        provider.status, provider.redirect_to, provider.private = 200, None, dict(kept)
    await provider.stop()
    assert (await verifier.identify(token)).user_id == USER
    await verifier.close()


async def test_without_any_key_set_nothing_is_said_of_a_token(
    provider: IdentityProvider, eventually: Eventually
) -> None:
    provider.status = 503
    verifier = JwksVerifier(provider.issuer, provider.issuer, SystemClock(), retry_s=0.05)
    await verifier.start()
    token = provider.token("ec-1", USER)
    with pytest.raises(IdentityUnavailableError):
        await verifier.identify(token)
    provider.status = 200

    async def accepted() -> bool:
        try:
            return (await verifier.identify(token)).user_id == USER
        except IdentityUnavailableError:
            return False

    await eventually(accepted, what="the key set is read once it is there")
    await verifier.close()


def test_only_strong_public_signing_keys_are_taken_from_a_set() -> None:
    provider = IdentityProvider()
    provider.add_ec("good")
    provider.add_rsa("weak", bits=1024)
    entry = provider.document()["keys"][0]
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode(), "alg": "HS256"}
    provider.extra = [
        {**secret, "kid": "secret"},
        {**entry, "kid": "encrypts", "use": "enc"},
        {**entry, "kid": "private", "d": "AAAA"},
        {name: value for name, value in entry.items() if name != "kid"},
        {**entry, "kid": 5},
        {"kty": "EC", "kid": "broken"},
        "nonsense",  # type: ignore[list-item]
    ]
    assert set(usable_keys(provider.document())) == {"good"}
    for document in (None, [], {}, {"keys": None}, {"keys": {}}):
        assert usable_keys(document) == {}


def test_a_key_set_is_read_over_https_or_on_loopback_only() -> None:
    with pytest.raises(ConfigurationError, match="only https"):
        JwksVerifier("http://project.example/auth/v1", "x", SystemClock())


async def test_the_api_serves_a_project_whose_accounts_it_has_never_seen(
    api: Api, provider: IdentityProvider
) -> None:
    tokens = [provider.token(kid, USER) for kid in ("ec-1", "rsa-1")]
    for token in tokens:
        async with api.client.get("/api/me", headers={"Authorization": f"Bearer {token}"}) as answer:
            found = await answer.json()
        assert (found["signed_in"], found["user"]) == (True, {"id": str(USER)})
    async with api.client.get("/api/voices", headers={"Authorization": f"Bearer {tokens[0]}"}) as answer:
        assert answer.status == 200
    expired = provider.token("ec-1", uuid4(), exp=1)
    async with api.client.get("/api/voices", headers={"Authorization": f"Bearer {expired}"}) as answer:
        assert answer.status == 401
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute("select count(*) as n from auth.users")
        row = await cursor.fetchone()
    assert row is not None
    assert row["n"] == 1


async def test_where_gotrue_keeps_the_accounts_none_is_made(
    api: Api, provider: IdentityProvider, database_urls: DatabaseUrls
) -> None:
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as conn:
        await conn.execute("create table auth.schema_migrations (version text)")
    deleted = {"Authorization": f"Bearer {provider.token('ec-1', uuid4())}"}
    async with api.client.get("/api/me", headers=deleted) as answer:
        assert (answer.status, (await answer.json())["signed_in"]) == (200, False)


async def test_the_embedded_issuer_is_not_there(api: Api) -> None:
    for method, path in (("POST", "signup"), ("POST", "token"), ("GET", "user"), ("GET", "settings")):
        async with api.client.request(method, f"/auth/v1/{path}", json={}) as answer:
            body = await answer.json()
            assert (answer.status, body["code"], set(body)) == (404, 404, {"code", "error_code", "msg"})


def test_tokens_of_the_tests_are_what_they_say(provider: IdentityProvider) -> None:
    header = jwt.get_unverified_header(provider.token("ec-1", USER, named="other"))
    assert (header["alg"], header["kid"]) == ("ES256", "other")
