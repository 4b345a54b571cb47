"""API keys of programs: made and revoked on the command line, good on ``/api`` only."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.api.conftest import Api, User
from tests.integration.api.processes import environment
from understudy.api.identities import ApiKeys
from understudy.clock import SystemClock
from understudy.errors import UnauthenticatedError
from understudy.store import api_keys

pytestmark = pytest.mark.integration


async def run(api: Api, *arguments: str, code: int = 0, given: str = "") -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.cli.app",
        *arguments,
        env=environment(api.ctx.settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(given.encode())
    assert process.returncode == code, errors.decode()
    return out.decode(), errors.decode()


async def answered(api: Api, *arguments: str, given: str = "") -> dict[str, Any]:
    out, _ = await run(api, *arguments, "--json", given=given)
    found: dict[str, Any] = json.loads(out)
    return found


async def status(api: Api, key: str, path: str = "/api/voices") -> int:
    async with api.client.get(path, headers={"Authorization": f"Bearer {key}"}) as answer:
        return answer.status


async def test_an_account_and_a_key_are_made_used_and_revoked(
    api: Api, eventually: Callable[..., Awaitable[None]]
) -> None:
    account = await answered(api, "users", "add", "--email", "Robot@Example.org")
    assert account["email"] == "robot@example.org"
    signing_in = {"email": account["email"], "password": account["password"]}
    async with api.client.post("/auth/v1/token?grant_type=password", json=signing_in) as answer:
        assert answer.status == 200
    _, errors = await run(api, "users", "add", "--email", "robot@example.org", code=1)
    assert "already" in errors

    made = await answered(
        api, "keys", "create", "--user", "robot@example.org", "--name", "nightly", "--expires-days", "30"
    )
    key = made["key"]
    assert key.startswith(made["prefix"] + "_")
    assert (made["scopes"], made["last_used_at"], made["user_id"]) == (["speech"], None, account["id"])
    async with api.client.get("/api/me", headers={"Authorization": f"Bearer {key}"}) as answer:
        assert (await answer.json())["user"] == {"id": account["id"]}
    assert await status(api, key) == 200
    assert await status(api, key, "/auth/v1/user") == 403
    for wrong in (key[:-1], key + "x", made["prefix"], "usk_", made["prefix"] + "_ü"):
        assert await status(api, wrong) == 401

    async with api.client.delete("/api/me", headers={"Authorization": f"Bearer {key}"}) as answer:
        assert answer.status == 401
        assert "API key may not erase" in (await answer.json())["detail"]
    assert await status(api, key) == 200

    (listed,) = (await answered(api, "keys", "list", "--user", account["id"]))["keys"]
    assert listed["last_used_at"] is not None
    assert key not in json.dumps(listed)
    out, _ = await run(api, "keys", "list")
    assert made["prefix"] in out

    started_s = time.monotonic()
    revoked = await answered(api, "keys", "revoke", made["prefix"])
    assert revoked["revoked_at"] is not None

    async def refused() -> bool:
        return await status(api, key) == 401

    await eventually(refused, what="the revoked key is refused", within_s=5 + time.monotonic() - started_s)
    _, errors = await run(api, "keys", "revoke", "usk_00000000", code=1)
    assert "no key usk_00000000" in errors


async def test_bad_commands_say_what_to_do(api: Api) -> None:
    for arguments, named in (
        (("users", "add", "--email", "nonsense"), "email"),
        (("keys", "create", "--user", "nobody@example.org", "--name", "n"), "understudy users add"),
        (("keys", "create", "--user", "00000000-0000-4000-8000-000000000000", "--name", "n"), "no account"),
        (("keys", "create", "--user", "nobody@example.org", "--name", " "), "--name"),
    ):
        _, errors = await run(api, *arguments, code=1)
        assert named in errors
    _, errors = await run(
        api, "users", "add", "--email", "a@example.org", "--password-stdin", code=1, given="short\n"
    )
    assert "at least 6" in errors


class MovedClock(SystemClock):
    """The machine's clock, moved by hand."""

    moved_s = 0.0

    def now(self) -> Any:
        return super().now() + timedelta(seconds=self.moved_s)

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.moved_s


async def row_of(api: Api, prefix: str) -> Any:
    async with api.ctx.database.service() as conn:
        return next(row for row in await api_keys.list_keys(conn) if row.prefix == prefix)


async def test_every_process_forgets_a_revoked_key_within_five_seconds(api: Api, user: User) -> None:
    clock = MovedClock()
    async with api.ctx.database.service() as conn:
        row, key = await api_keys.create_key(conn, user_id=user.id, name="n", at=clock.now(), expires_at=None)
    processes = [ApiKeys(api.ctx.database, clock) for _ in range(2)]
    for process in processes:
        assert await process.identify(key) == user.id
    async with api.ctx.database.service() as conn:
        await api_keys.revoke_key(conn, str(row.id), clock.now())
    # Remembered for a moment, which is what spares the database, and no longer.
    for process in processes:
        assert await process.identify(key) == user.id
    clock.moved_s = 5
    for process in processes:
        with pytest.raises(UnauthenticatedError):
            await process.identify(key)


async def test_a_key_expires_on_the_second_also_where_it_is_remembered(api: Api, user: User) -> None:
    clock = MovedClock()
    async with api.ctx.database.service() as conn:
        expires_at = clock.now() + timedelta(seconds=2)
        _, key = await api_keys.create_key(
            conn, user_id=user.id, name="n", at=clock.now(), expires_at=expires_at
        )
    keys = ApiKeys(api.ctx.database, clock)
    assert await keys.identify(key) == user.id
    clock.moved_s = 2.5
    with pytest.raises(UnauthenticatedError):
        await keys.identify(key)


async def test_the_last_use_is_written_at_most_once_a_minute(api: Api, user: User) -> None:
    clock = MovedClock()
    async with api.ctx.database.service() as conn:
        row, key = await api_keys.create_key(conn, user_id=user.id, name="n", at=clock.now(), expires_at=None)
    seen = []
    for moved_s in (0, 10, 50, 61, 100, 125):
        clock.moved_s = moved_s
        await ApiKeys(api.ctx.database, clock).identify(key)
        seen.append((await row_of(api, row.prefix)).last_used_at)
    assert seen[0] == seen[1] == seen[2] < seen[3] == seen[4] < seen[5]


async def test_a_key_is_stored_as_its_hash(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        _, key = await api_keys.create_key(
            conn, user_id=user.id, name="n", at=SystemClock().now(), expires_at=None
        )
        cursor = await conn.execute("select k::text as text, key_sha256 from understudy.api_keys k")
        (stored,) = await cursor.fetchall()
    assert key not in stored["text"]
    assert key.rsplit("_", 1)[-1] not in stored["text"]
    assert stored["key_sha256"] == api_keys.hash_key(key)


async def test_a_key_goes_with_its_account(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        _, key = await api_keys.create_key(
            conn, user_id=user.id, name="n", at=SystemClock().now(), expires_at=None
        )
        await conn.execute("delete from auth.users where id = %s", (user.id,))
    assert await status(api, key) == 401
