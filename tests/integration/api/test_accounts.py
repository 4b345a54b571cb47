"""The embedded issuer as ``supabase-js`` meets it, and who may call the API."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest

from tests.integration.api.conftest import Api, SignUp, User

pytestmark = pytest.mark.integration


@pytest.fixture
def sign_up(sign_up_over_http: SignUp) -> SignUp:
    """Here accounts are made as a client makes them."""
    return sign_up_over_http


async def token(api: Api, grant: str, status: int = 200, **body: str) -> dict[str, Any]:
    async with api.client.post(f"/auth/v1/token?grant_type={grant}", json=body) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def test_signing_up_answers_a_session(api: Api, user: User) -> None:
    session = user.session
    assert session["token_type"] == "bearer"
    assert session["expires_in"] == 3600
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    assert claims["sub"] == str(user.id)
    assert claims["aud"] == claims["role"] == "authenticated"
    assert session["expires_at"] == claims["exp"]
    assert session["user"]["email"] == user.email
    assert session["user"]["aud"] == "authenticated"


async def test_a_password_opens_a_session_and_a_wrong_one_does_not_say_what_was_wrong(
    api: Api, user: User
) -> None:
    session = await token(api, "password", email=user.email.upper(), password=user.password)
    assert session["user"]["id"] == str(user.id)
    wrong = await token(api, "password", 400, email=user.email, password="not it")
    unknown = await token(api, "password", 400, email="nobody@example.org", password="not it")
    assert wrong == unknown
    assert wrong == {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}


async def test_errors_have_the_newer_shape_when_it_is_asked_for(api: Api) -> None:
    async with api.client.post(
        "/auth/v1/token?grant_type=password",
        json={"email": "a@b.c", "password": "wrong!"},
        headers={"X-Supabase-Api-Version": "2024-01-01"},
    ) as answer:
        assert answer.status == 400
        assert answer.headers["X-Supabase-Api-Version"] == "2024-01-01"
        assert await answer.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}


BAD_SIGN_UPS: list[tuple[Any, int, str]] = [
    ({}, 400, "validation_failed"),
    ({"email": "a@example.org"}, 400, "validation_failed"),
    ({"email": "not an address", "password": "secret1"}, 400, "validation_failed"),
    ({"email": "a@b@c", "password": "secret1"}, 400, "validation_failed"),
    ({"email": "a" * 300 + "@example.org", "password": "secret1"}, 400, "validation_failed"),
    ({"email": "a@example.org", "password": "short"}, 422, "weak_password"),
    ({"email": "a@example.org", "password": "x" * 513}, 400, "validation_failed"),
    ({"email": "a@example.org", "password": "nul\0nul"}, 400, "validation_failed"),
    ({"email": "a@example.org", "password": "secret1", "data": {"a": ["\0"]}}, 400, "validation_failed"),
    ({"email": "a@example.org", "password": "secret1", "data": "no"}, 400, "validation_failed"),
    ({"email": 5, "password": "secret1"}, 400, "validation_failed"),
    ([], 400, "validation_failed"),
    ("{", 400, "bad_json"),
]


async def test_a_bad_sign_up_is_refused_in_the_issuers_shape(api: Api) -> None:
    for body, status, code in BAD_SIGN_UPS:
        json_type = {"Content-Type": "application/json"}
        sent = {"data": body, "headers": json_type} if body == "{" else {"json": body}
        async with api.client.post("/auth/v1/signup", **sent) as answer:
            found = await answer.json()
            assert (answer.status, found["error_code"], found["code"]) == (status, code, status), body
            assert isinstance(found["msg"], str)


async def test_an_address_is_taken_once_even_at_the_same_instant(api: Api) -> None:
    async def sign_up() -> int:
        body = {"email": "Same@Example.org", "password": "secret1"}
        async with api.client.post("/auth/v1/signup", json=body) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(sign_up() for _ in range(4)))) == [200, 422, 422, 422]


async def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(api: Api, user: User) -> None:
    first = user.session["refresh_token"]
    second = await token(api, "refresh_token", refresh_token=first)
    third = await token(api, "refresh_token", refresh_token=second["refresh_token"])
    assert len({first, second["refresh_token"], third["refresh_token"]}) == 3
    claims = [jwt.decode(s["access_token"], options={"verify_signature": False}) for s in (second, third)]
    assert claims[0]["session_id"] == claims[1]["session_id"]

    stolen = await token(api, "refresh_token", 400, refresh_token=first)
    assert stolen["error_code"] == "refresh_token_already_used"
    dead = await token(api, "refresh_token", 400, refresh_token=third["refresh_token"])
    assert dead["error_code"] == "refresh_token_not_found"
    async with user.client.get("/auth/v1/user") as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (403, "session_not_found")


async def test_of_refreshes_at_the_same_instant_one_wins(api: Api, user: User) -> None:
    async def refresh() -> int:
        body = {"refresh_token": user.session["refresh_token"]}
        async with api.client.post("/auth/v1/token?grant_type=refresh_token", json=body) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(refresh() for _ in range(5)))) == [200, 400, 400, 400, 400]


async def test_refresh_tokens_are_stored_as_hashes(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute("select t::text as text from understudy.refresh_tokens t")
        tokens = [row["text"] for row in await cursor.fetchall()]
        cursor = await conn.execute("select u::text as text from auth.users u where id = %s", (user.id,))
        account = await cursor.fetchone()
    assert len(tokens) == 1
    assert account is not None
    for secret in (user.session["refresh_token"], user.session["access_token"], user.password):
        assert not any(secret in text for text in [*tokens, account["text"]])


@pytest.mark.parametrize(
    ("grant", "body", "code"),
    [
        ("password", {}, "validation_failed"),
        ("refresh_token", {}, "validation_failed"),
        ("refresh_token", {"refresh_token": "unknown"}, "refresh_token_not_found"),
        ("magic", {}, "invalid_credentials"),
        ("", {}, "invalid_credentials"),
    ],
)
async def test_a_bad_grant_is_refused(api: Api, grant: str, body: dict[str, str], code: str) -> None:
    assert (await token(api, grant, 400, **body))["error_code"] == code


async def test_the_user_endpoint_tells_the_account_and_only_to_its_holder(api: Api, user: User) -> None:
    async with user.client.get("/auth/v1/user") as answer:
        assert answer.status == 200
        assert (await answer.json())["id"] == str(user.id)
    async with api.client.get("/auth/v1/user") as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (401, "no_authorization")
    async with api.client.get("/auth/v1/user", headers={"Authorization": "Bearer x.y.z"}) as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (403, "bad_jwt")


@pytest.mark.parametrize(
    ("scope", "this", "other"), [("local", 400, 200), ("others", 200, 400), ("global", 400, 400)]
)
async def test_logging_out_ends_the_sessions_it_names(
    api: Api, user: User, scope: str, this: int, other: int
) -> None:
    elsewhere = await token(api, "password", email=user.email, password=user.password)
    async with user.client.post(f"/auth/v1/logout?scope={scope}") as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    await token(api, "refresh_token", this, refresh_token=user.session["refresh_token"])
    await token(api, "refresh_token", other, refresh_token=elsewhere["refresh_token"])


async def test_me_knows_the_caller_and_makes_the_profile(api: Api, user: User) -> None:
    signed_out = {"signed_in": False, "user": None, "profile": None}
    async with api.client.get("/api/me") as answer:
        assert await answer.json() == signed_out
    async with api.client.get("/api/me", headers={"Authorization": "Bearer nonsense"}) as answer:
        assert (answer.status, await answer.json()) == (200, signed_out)
    async with user.client.get("/api/me") as answer:
        found = await answer.json()
    assert found["signed_in"] is True
    assert found["user"] == {"id": str(user.id)}
    assert found["profile"]["subscription_tier"] == "free"
    assert found["profile"]["credits_remaining"] == 100


async def test_the_token_of_a_deleted_account_is_signed_out(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        await conn.execute("delete from auth.users where id = %s", (user.id,))
    async with user.client.get("/api/me") as answer:
        assert (answer.status, (await answer.json())["signed_in"]) == (200, False)


async def test_a_profile_changes_field_by_field(user: User) -> None:
    changes = {"handle": "Ann_1", "display_name": " Ann ", "avatar_url": "https://example.org/a.png"}
    async with user.client.patch("/api/profile", json=changes) as answer:
        assert answer.status == 200, await answer.text()
        profile = (await answer.json())["profile"]
    assert (profile["handle"], profile["display_name"]) == ("Ann_1", "Ann")
    async with user.client.patch("/api/profile", json={"avatar_url": None}) as answer:
        profile = (await answer.json())["profile"]
    assert (profile["handle"], profile["avatar_url"]) == ("Ann_1", None)


BAD_PROFILES: list[dict[str, Any]] = [
    {},
    {"credits_remaining": 10**6},
    {"handle": "ab"},
    {"handle": "a" * 31},
    {"handle": "a b c"},
    {"handle": "ännie"},
    {"handle": "abc\n"},
    {"handle": None},
    {"display_name": ""},
    {"display_name": "x" * 101},
    {"display_name": "a\0"},
    {"avatar_url": "javascript:alert(1)"},
    {"avatar_url": "https://[broken"},
    {"avatar_url": ""},
]


async def test_a_bad_profile_change_is_refused(user: User) -> None:
    for changes in BAD_PROFILES:
        async with user.client.patch("/api/profile", json=changes) as answer:
            assert (answer.status, set(await answer.json())) == (400, {"detail"}), changes


async def test_a_handle_is_taken_once_whatever_its_case(sign_up: SignUp) -> None:
    ann, bob = await sign_up(), await sign_up()
    async with ann.client.patch("/api/profile", json={"handle": "Taken"}) as answer:
        assert answer.status == 200
    async with bob.client.patch("/api/profile", json={"handle": "taken"}) as answer:
        assert (answer.status, await answer.json()) == (400, {"detail": "Handle is already taken."})
