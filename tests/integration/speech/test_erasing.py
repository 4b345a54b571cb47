"""Erasure: nothing of the account is left, nothing of anybody else's is touched, and it resumes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.speech.conftest import Studio
from tests.integration.speech.test_collecting import Night, spoken
from understudy.errors import NotFoundError, StoreUnavailableError
from understudy.speech import erasing
from understudy.speech.context import Caller
from understudy.speech.erasing import erase_account
from understudy.speech.voices import find_voice
from understudy.store import erasures
from understudy.store.buckets import BUCKETS
from understudy.store.erasures import Erasure
from understudy.store.users import ensure_user

pytestmark = pytest.mark.integration


async def erase(studio: Studio, user_id: UUID) -> Erasure:
    ctx = studio.ctx
    return await erase_account(ctx.database, ctx.objects, ctx.clock, user_id, actor="operator")


async def left_of(studio: Studio, user_id: UUID) -> dict[str, int]:
    """Rows of every table with a column that names the account, and objects in its folders."""
    found = {}
    columns = await studio.sql(
        "SELECT table_schema AS s, table_name AS t, column_name AS c FROM information_schema.columns"
        " WHERE (column_name = 'user_id' OR (table_name IN ('profiles', 'users') AND column_name = 'id'))"
        " AND table_schema IN ('public', 'auth', 'understudy') AND table_name <> 'erasures'"
    )
    assert len(columns) >= 8
    for row in columns:
        (counted,) = await studio.sql(
            f"SELECT count(*)::int AS n FROM {row['s']}.{row['t']} WHERE {row['c']} = %s", user_id
        )
        if counted["n"]:
            found[f"{row['s']}.{row['t']}"] = counted["n"]
    for bucket in BUCKETS:
        async for _ in studio.ctx.objects.list(bucket, prefix=f"{user_id}/"):
            found[bucket] = found.get(bucket, 0) + 1
    return found


async def furnished(studio: Studio) -> Caller:
    """An account with a bit of everything."""
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await spoken(studio, caller, voice, days_old=1)
    await studio.sql(
        "INSERT INTO public.profiles (id, handle) VALUES (%s, %s)", caller.user_id, f"u_{uuid4().hex[:8]}"
    )
    await studio.sql(
        "INSERT INTO understudy.refresh_tokens (token_hash, user_id, session_id) VALUES (%s, %s, %s)",
        uuid4().hex, caller.user_id, uuid4(),
    )  # fmt: skip
    await studio.sql(
        "INSERT INTO understudy.api_keys (id, user_id, name, prefix, key_sha256)"
        " VALUES (gen_random_uuid(), %s, 'nightly', 'usk_', encode(sha256(%s), 'hex'))",
        caller.user_id, uuid4().bytes,
    )  # fmt: skip
    return caller


async def test_nothing_of_the_account_is_left_and_others_keep_everything(studio: Studio) -> None:
    await studio.flip("qwen")
    caller, other = await furnished(studio), await furnished(studio)
    before = await left_of(studio, other.user_id)
    calls = len(await studio.calls())
    erased = await erase(studio, caller.user_id)
    assert await left_of(studio, caller.user_id) == {}
    assert await left_of(studio, other.user_id) == before
    # Ids and an instant: what deletes the account again after a restore. Those of what it had went with it.
    stones = await studio.sql("SELECT kind, subject, user_id FROM understudy.tombstones")
    assert {tuple(row.values()) for row in stones} == {("account", str(caller.user_id), None)}
    assert erased.completed_at is not None
    assert {
        "voices": 1,
        "generations": 1,
        "sessions": 1,
        "api_keys": 1,
        "profiles": 1,
        "accounts": 1,
    }.items() <= (erased.counts.items())
    assert erased.counts["objects"] >= 2
    (voice,) = erased.provider_voices
    assert (voice["provider"], voice["region"]) == ("qwen", "intl")
    assert voice["voice_id"].startswith("qwen-tts-vc-")
    rows = await studio.calls()
    assert len(rows) == calls
    assert sum(row["user_id"] is None for row in rows) == erased.counts["calls_kept"] >= 1
    assert sum(row["cost_microusd"] for row in rows if row["user_id"] is None) > 0
    assert await erase(studio, caller.user_id) == erased


async def test_an_unknown_account_is_not_found_and_leaves_no_tombstone(studio: Studio) -> None:
    with pytest.raises(NotFoundError):
        await erase(studio, uuid4())
    assert await studio.sql("SELECT * FROM understudy.erasures") == []


async def test_what_is_being_spoken_ends_and_is_not_stored(studio: Studio) -> None:
    caller = await furnished(studio)
    (row,) = await studio.sql("SELECT id FROM public.voices WHERE user_id = %s", caller.user_id)
    voice = await find_voice(studio.ctx, caller, row["id"])
    studio.modal.gate.clear()
    async with studio.working():
        task = await studio.speak(caller, voice)

        async def taken() -> bool:
            return (await studio.task(task.id)).status == "processing"

        await studio.until(taken, "the task in a worker's hand")
        await erase(studio, caller.user_id)
        studio.modal.gate.set()
        assert await left_of(studio, caller.user_id) == {}
    assert await left_of(studio, caller.user_id) == {}


@pytest.mark.parametrize("killed_at", ["objects", "rows", "finish"])
async def test_killed_midway_it_resumes_by_call_or_by_collection(
    studio: Studio, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await furnished(studio)

    async def die(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError

    where: tuple[Any, str] = {
        "objects": (studio.ctx.objects, "delete"),
        "rows": (erasing.erasures, "remove_rows"),
        "finish": (erasing.erasures, "finish_erasure"),
    }[killed_at]
    with monkeypatch.context() as patched:
        patched.setattr(*where, die)
        with pytest.raises(StoreUnavailableError):
            await erase(studio, caller.user_id)
    async with studio.ctx.database.service() as conn:
        begun = await erasures.find_erasure(conn, caller.user_id)
    assert begun is not None
    assert begun.completed_at is None
    night = Night(studio)
    assert (await night.run()).removed["erasures"] == 0
    assert (await night.run(3600)).removed["erasures"] == 1
    assert await left_of(studio, caller.user_id) == {}
    finished = await erase(studio, caller.user_id)
    assert finished.counts["voices"] == finished.counts["accounts"] == 1


async def test_what_a_last_request_stored_goes_at_first_sight(studio: Studio) -> None:
    caller = await furnished(studio)
    await erase(studio, caller.user_id)
    await studio.upload(caller, uuid4())
    assert (await Night(studio).run()).removed["orphans"] == 1
    assert await left_of(studio, caller.user_id) == {}


async def test_an_account_back_from_a_backup_is_erased_again(studio: Studio) -> None:
    caller = await furnished(studio)
    first = await erase(studio, caller.user_id)
    await studio.sql("INSERT INTO auth.users (id, email) VALUES (%s, 'back@example.org')", caller.user_id)
    await studio.upload(caller, uuid4())
    again = await erase(studio, caller.user_id)
    assert again.requested_at == first.requested_at
    assert again.counts["accounts"] == 2
    assert await left_of(studio, caller.user_id) == {}


async def test_a_token_of_another_issuer_does_not_bring_the_account_back(studio: Studio) -> None:
    caller = await furnished(studio)
    await erase(studio, caller.user_id)
    async with studio.ctx.database.service() as conn:
        await ensure_user(conn, caller.user_id)
        fresh = uuid4()
        await ensure_user(conn, fresh)
    assert await left_of(studio, caller.user_id) == {}
    assert await left_of(studio, fresh) == {"auth.users": 1}
