"""Operators switch the provider over HTTP; nobody else does, and a freeze does not stand in the way."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.conftest import DatabaseUrls
from tests.integration.store.test_db_command import understudy
from understudy.rollout.freeze import set_freeze
from understudy.rollout.mode import set_mode
from understudy.store import operators
from understudy.store.api_keys import create_key

pytestmark = pytest.mark.integration

MODE = "/api/operator/mode"
ORDER = {"value": "qwen", "reason": "try Qwen"}


async def promote(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        await operators.grant_operator(conn, user.id, actor="test")


async def ask(
    client: aiohttp.ClientSession, method: str, path: str, **sent: Any
) -> tuple[int, dict[str, Any]]:
    async with client.request(method, path, **sent) as answer:
        return answer.status, await answer.json()


async def key_of(api: Api, user: User) -> str:
    async with api.ctx.database.service() as conn:
        now = api.ctx.clock.now()
        _, key = await create_key(conn, user_id=user.id, name="nightly", at=now, expires_at=None)
    return key


async def test_an_operator_switches_and_it_is_in_force_here_at_once(api: Api, user: User) -> None:
    await promote(api, user)
    status, before = await ask(user.client, "GET", MODE)
    assert (status, before["mode"]["value"], before["drifting"]) == (200, "modal", False)
    assert before["known_good"] == "modal"
    status, after = await ask(user.client, "PUT", MODE, json=ORDER)
    assert (status, after["mode"]["value"]) == (200, "qwen")
    assert after["mode"]["epoch"] == before["mode"]["epoch"] + 1
    # One request later, without waiting for any notification.
    assert (await ask(user.client, "GET", "/api/languages"))[1]["provider"] == "qwen"
    ready = (await ask(user.client, "GET", "/api/ready"))[1]
    assert (ready["mode"], ready["env_value"], ready["drifting"], ready["state"]) == (
        "qwen",
        "modal",
        True,
        "FRESH",
    )
    (process,) = after["processes"]
    assert (process["kind"], process["mode_value"], process["mode_state"]) == ("api", "qwen", "FRESH")
    assert (process["drifting"], process["lagging"], process["instance"]) == (True, False, ready["instance"])
    assert after["drifting"] is True
    changes = (await ask(user.client, "GET", MODE + "/history?limit=1"))[1]["history"]
    assert [(c["previous_value"], c["value"], c["actor"], c["reason"]) for c in changes] == [
        ("modal", "qwen", f"operator:{user.id}", "try Qwen")
    ]


async def test_the_command_shows_the_drift_of_each_process(
    api: Api, user: User, database_urls: DatabaseUrls, tmp_path: Any
) -> None:
    await promote(api, user)
    await ask(user.client, "PUT", MODE, json=ORDER)
    (tmp_path / "understudy.env").write_text("TTS_PROVIDER_MODE=modal\n")
    env = {"DATABASE_URL": database_urls.app.get_secret_value(), "UNDERSTUDY_HOME": str(tmp_path)}
    shown = json.loads((await understudy("mode", "show", "--json", **env)).out)
    assert (shown["mode"]["value"], shown["env_value"], shown["drifting"]) == ("qwen", "modal", True)
    (process,) = shown["processes"]
    assert (process["kind"], process["drifting"], process["lagging"]) == ("api", True, False)
    for_people = (await understudy("mode", "show", **env)).out
    assert "its environment says modal" in for_people
    # Nothing listens where this api looks for Modal.
    assert "the known-good provider failed its last check" in for_people


async def test_languages_follow_a_switch_made_elsewhere_within_a_notification(
    api: Api, user: User, eventually: Any
) -> None:
    await set_mode(api.ctx.database, "qwen", actor="guard", reason="elsewhere")

    async def follows() -> bool:
        return bool((await ask(user.client, "GET", "/api/languages"))[1]["provider"] == "qwen")

    await eventually(follows, what="/api/languages names Qwen", within_s=1)


async def test_a_decision_on_an_old_epoch_is_refused(api: Api, user: User) -> None:
    await promote(api, user)
    epoch = (await ask(user.client, "GET", MODE))[1]["mode"]["epoch"]
    assert (await ask(user.client, "PUT", MODE, json={**ORDER, "expected_epoch": epoch}))[0] == 200
    status, body = await ask(
        user.client, "PUT", MODE, json={"value": "modal", "reason": "late", "expected_epoch": epoch}
    )
    assert (status, set(body)) == (409, {"detail"})
    assert (await ask(user.client, "GET", "/api/languages"))[1]["provider"] == "qwen"


@pytest.mark.parametrize(
    "body",
    [
        {"value": "other", "reason": "x"},
        {"value": "qwen"},
        {"value": "qwen", "reason": "  "},
        {"value": "qwen", "reason": "x" * 501},
        {"value": "qwen", "reason": "x", "expected_epoch": 0},
        [],
    ],
)
async def test_an_order_that_is_none_changes_nothing(api: Api, user: User, body: Any) -> None:
    await promote(api, user)
    status, said = await ask(user.client, "PUT", MODE, json=body)
    assert (status, set(said)) == (400, {"detail"})
    assert api.ctx.mode.view().value == "modal"


async def test_nobody_else_may_look_or_switch(api: Api, user: User, sign_up: SignUp) -> None:
    await promote(api, user)
    tenant = await sign_up()
    for method, path in (("GET", MODE), ("PUT", MODE), ("GET", MODE + "/history")):
        # The role is asked for before the body is read.
        status, body = await ask(tenant.client, method, path, data=b"no json")
        assert (status, body) == (403, {"detail": "Only an operator may do this."})
        assert (await ask(api.client, method, path))[0] == 401
        # Not even an operator's own key.
        headers = {"Authorization": f"Bearer {await key_of(api, user)}"}
        status, body = await ask(api.client, method, path, headers=headers, json=ORDER)
        assert (status, "API key" in body["detail"]) == (403, True)
    assert api.ctx.mode.view().value == "modal"


async def test_a_revoked_operator_is_none_at_the_next_request(api: Api, user: User) -> None:
    await promote(api, user)
    assert (await ask(user.client, "GET", MODE))[0] == 200
    async with api.ctx.database.service() as conn:
        assert await operators.revoke_operator(conn, user.id, actor="test")
    assert (await ask(user.client, "GET", MODE))[0] == 403


async def test_the_way_back_is_open_while_writes_are_frozen(api: Api, user: User, eventually: Any) -> None:
    await promote(api, user)
    await set_mode(api.ctx.database, "qwen", actor="ada", reason="cutover")
    await set_freeze(api.ctx.database, frozen=True, actor="guard", reason="restore")
    await eventually(lambda: api.ctx.freeze.frozen, what="frozen here")
    assert (await ask(user.client, "PATCH", "/api/profile", json={"display_name": "Ann"}))[0] == 503
    status, after = await ask(user.client, "PUT", MODE, json={"value": "modal", "reason": "back"})
    assert (status, after["mode"]["value"]) == (200, "modal")


async def test_operators_are_made_listed_and_unmade_by_command_with_a_trace(
    api: Api, user: User, database_urls: DatabaseUrls, tmp_path: Any
) -> None:
    env = {
        "DATABASE_URL": database_urls.app.get_secret_value(),
        "UNDERSTUDY_HOME": str(tmp_path),
        "JWT_SECRET": "j" * 32,
    }
    granted = await understudy("operators", "grant", user.email, **env)
    assert (granted.code, "is an operator" in granted.out) == (0, True), granted.err
    again = json.loads((await understudy("operators", "grant", str(user.id), "--json", **env)).out)
    assert (again["operator"], again["changed"]) == (True, False)
    assert (await ask(user.client, "GET", MODE))[0] == 200
    made = await understudy("users", "add", "--email", "op@example.org", "--operator", "--json", **env)
    other = json.loads(made.out)
    assert other["operator"] is True
    listed = json.loads((await understudy("operators", "list", "--json", **env)).out)["operators"]
    assert [row["email"] for row in listed] == [user.email, "op@example.org"]
    assert all(row["granted_by"].startswith("person:") for row in listed)
    revoked = await understudy("operators", "revoke", user.email, **env)
    assert revoked.code == 0, revoked.err
    assert (await ask(user.client, "GET", MODE))[0] == 403
    nobody = await understudy("operators", "grant", "nobody@example.org", **env)
    assert (nobody.code, "There is no account" in nobody.err) == (1, True)
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute(
            "select change from understudy.operator_changes where user_id = %s order by id", (user.id,)
        )
        assert [row["change"] for row in await cursor.fetchall()] == ["granted", "revoked"]
