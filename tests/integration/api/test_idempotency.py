"""Idempotency-Key: one key, one task, whatever is sent at once, again, or after a crash."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.scripted_provider import speech_of
from understudy.api import idempotency as hook
from understudy.api.idempotency import HEADER, REPLAYED_HEADER
from understudy.audio.wav import write_wav
from understudy.errors import KeyInFlightError, StoreUnavailableError
from understudy.speech import generations, spending, voices
from understudy.speech.context import Caller
from understudy.speech.voices import VoiceDraft
from understudy.store import idempotency, valves
from understudy.store.buckets import REFERENCES
from understudy.store.idempotency import KEPT_FOR, LEASE_S, KeyClaim
from understudy.store.retention import count_expired, drop_plain

pytestmark = pytest.mark.integration

DRAFT = {"name": "Jane", "language": "English", "transcript": "four seven"}
ROUTE = "POST /api/generate"
RECORDING = write_wav(speech_of("four seven"))
PREVIEW = {"text": "Four seven.", "language": "English", "instruct": "calm"}


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def replayed(self) -> bool:
        return self.headers.get(REPLAYED_HEADER.lower()) == "true"


async def post(user: User, path: str, key: str | None, **sent: Any) -> Answer:
    headers = {HEADER: key} if key is not None else {}
    async with user.client.post(path, headers=headers, **sent) as answer:
        return Answer(
            answer.status,
            await answer.json(),
            {name.lower(): value for name, value in answer.headers.items()},
        )


async def clone(api: Api, user: User) -> str:
    caller, draft = Caller(user.id), VoiceDraft(DRAFT["name"], DRAFT["language"], DRAFT["transcript"])
    ticket = await voices.start_upload(api.ctx, caller, draft)
    await api.ctx.objects.put(REFERENCES, ticket.object_key, RECORDING, "audio/wav")
    return str((await voices.finalize_clone(api.ctx, caller, ticket.voice_id, draft)).id)


async def rows(api: Api, statement: str, *values: object) -> list[dict[str, Any]]:
    async with api.ctx.database.service() as conn:
        return await (await conn.execute(statement.encode(), values)).fetchall()


async def tasks_of(api: Api, user: User) -> list[UUID]:
    found = await rows(api, "select id from public.tasks where user_id = %s order by created_at", user.id)
    return [row["id"] for row in found]


async def test_the_same_request_again_is_answered_and_not_done_again(api: Api, user: User) -> None:
    body = {"voice_id": await clone(api, user), "text": "four seven", "language": "English"}
    first = await post(user, "/api/generate", "k-1", json=body)
    again = await post(user, "/api/generate", "k-1", json=body)
    assert (first.status, first.replayed) == (200, False)
    assert (again.status, again.body, again.replayed) == (200, first.body, True)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert [str(task) for task in await tasks_of(api, user)] == [first.body["task_id"]]


async def test_without_a_key_nothing_is_kept(api: Api, user: User) -> None:
    assert (await post(user, "/api/voices/design/preview", None, json=PREVIEW)).status == 200
    assert (await post(user, "/api/voices/design/preview", None, json=PREVIEW)).status == 200
    assert len(await tasks_of(api, user)) == 2
    assert await rows(api, "select * from understudy.idempotency_keys") == []


async def test_of_64_at_once_one_is_done(api: Api, user: User) -> None:
    sent = await asyncio.gather(
        *(post(user, "/api/voices/design/preview", "race", json=PREVIEW) for _ in range(64))
    )
    assert len(await tasks_of(api, user)) == 1
    assert {answer.status for answer in sent} <= {200, 409}
    done = [answer for answer in sent if answer.status == 200]
    assert done
    assert len({answer.body["task_id"] for answer in done}) == 1
    assert sum(not answer.replayed for answer in done) == 1
    for answer in sent:
        if answer.status == 409:
            assert int(answer.headers["retry-after"]) > 0
            assert "Idempotency-Key" in answer.body["detail"]
    last = await post(user, "/api/voices/design/preview", "race", json=PREVIEW)
    assert (last.status, last.replayed) == (200, True)


async def test_a_key_stands_for_one_body(api: Api, user: User) -> None:
    await post(user, "/api/voices/design/preview", "one", json=PREVIEW)
    other = await post(user, "/api/voices/design/preview", "one", json=PREVIEW | {"text": "Nine."})
    assert other.status == 400
    assert "another request" in other.body["detail"]
    assert len(await tasks_of(api, user)) == 1


async def test_a_key_is_one_users_on_one_route(api: Api, user: User, sign_up: SignUp) -> None:
    other = await sign_up()
    mine = await post(user, "/api/voices/design/preview", "same", json=PREVIEW)
    theirs = await post(other, "/api/voices/design/preview", "same", json=PREVIEW | {"text": "Nine."})
    ticket = await post(user, "/api/clone/upload-url", "same", json=DRAFT)
    assert (mine.status, theirs.status, ticket.status) == (200, 200, 200)
    assert not theirs.replayed
    assert not ticket.replayed
    assert mine.body["task_id"] != theirs.body["task_id"]
    assert len(await tasks_of(api, other)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "tab\there"])
async def test_a_malformed_key_is_a_400(api: Api, user: User, key: str) -> None:
    head = (
        f"POST /api/voices/design/preview HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {user.client.headers['Authorization']}\r\nContent-Length: 2\r\n"
        f"Connection: close\r\n{HEADER}: {key}\r\n\r\n{{}}"
    )
    status, _, body = await api.raw(head.encode())
    assert status == 400
    assert b"Idempotency-Key must be" in body


async def test_two_keys_in_one_request_are_a_400(api: Api, user: User) -> None:
    headers = [(HEADER, "a"), (HEADER, "b")]
    async with user.client.post("/api/voices/design/preview", json=PREVIEW, headers=headers) as answer:
        assert answer.status == 400
    assert await tasks_of(api, user) == []


async def test_a_refusal_frees_the_key(api: Api, user: User) -> None:
    wrong = await post(user, "/api/voices/design/preview", "retry", json=PREVIEW | {"text": ""})
    right = await post(user, "/api/voices/design/preview", "retry", json=PREVIEW)
    assert (wrong.status, right.status, right.replayed) == (400, 200, False)


async def save_design(user: User, key: str, boundary: str, name: str) -> Answer:
    """Save a voice of a recording, in a form whose boundary is ``boundary``."""
    fields: dict[str, Any] = {"name": name, "text": "four seven", "instruct": "calm", "language": "English"}
    form = aiohttp.MultipartWriter("form-data", boundary=boundary)
    for field, value in fields.items():
        form.append(value).set_content_disposition("form-data", name=field)
    form.append(RECORDING).set_content_disposition("form-data", name="audio", filename="a.wav")
    return await post(user, "/api/voices/design", key, data=form)


async def test_a_form_sent_again_with_another_boundary_is_the_same(api: Api, user: User) -> None:
    first = await save_design(user, "form", "aaaa", "Elinor")
    again = await save_design(user, "form", "bbbb", "Elinor")
    other = await save_design(user, "form", "aaaa", "Marianne")
    assert (first.status, again.status, other.status) == (200, 200, 400)
    assert again.replayed
    assert again.body["id"] == first.body["id"]
    assert len(await rows(api, "select id from public.voices where user_id = %s", user.id)) == 1


async def lose_the_answer(*_: Any, **__: Any) -> None:
    raise StoreUnavailableError


async def let_the_lease_run_out(api: Api, key: str) -> None:
    past = api.ctx.clock.now() - timedelta(seconds=1)
    found = await rows(
        api,
        "update understudy.idempotency_keys set lease_expires_at = %s where key = %s returning key",
        past,
        key,
    )
    assert len(found) == 1


@pytest.mark.parametrize("path", ["/api/generate", "/api/voices/design/preview"])
async def test_a_crash_after_the_commit_is_found_again_by_its_task(
    api: Api, user: User, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = await clone(api, user)
    body = PREVIEW if "design" in path else {"voice_id": voice, "text": "four", "language": "English"}
    with monkeypatch.context() as dying:
        dying.setattr(idempotency, "finish", lose_the_answer)
        first = await post(user, path, "crash", json=body)
    assert (await post(user, path, "crash", json=body)).status == 409
    await let_the_lease_run_out(api, "crash")
    again = await post(user, path, "crash", json=body)
    assert (again.status, again.body, again.replayed) == (200, first.body, True)
    assert len(await tasks_of(api, user)) == 1
    assert (await post(user, path, "crash", json=body)).body == first.body


async def test_a_crash_after_the_commit_leaves_one_voice(
    api: Api, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(idempotency, "finish", lose_the_answer)
        first = await save_design(user, "crash", "aaaa", "Elinor")
    await let_the_lease_run_out(api, "crash")
    again = await save_design(user, "crash", "bbbb", "Elinor")
    assert (again.status, again.body["id"]) == (200, first.body["id"])
    assert len(await rows(api, "select id from public.voices where user_id = %s", user.id)) == 1


async def test_a_crash_before_the_commit_leaves_the_key_free_when_its_lease_is_over(
    api: Api, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    async def die_without_a_word(*_: Any, **__: Any) -> None:
        return None

    with monkeypatch.context() as dying:
        dying.setattr(idempotency, "bind", die)
        dying.setattr(idempotency, "let_go", die_without_a_word)
        assert (await post(user, "/api/voices/design/preview", "crash", json=PREVIEW)).status == 500
    assert await tasks_of(api, user) == []
    assert (await post(user, "/api/voices/design/preview", "crash", json=PREVIEW)).status == 409
    await let_the_lease_run_out(api, "crash")
    again = await post(user, "/api/voices/design/preview", "crash", json=PREVIEW)
    assert (again.status, again.replayed) == (200, False)
    assert len(await tasks_of(api, user)) == 1


async def test_who_was_thought_dead_creates_nothing(api: Api, user: User) -> None:
    voice_id = UUID(await clone(api, user))
    slow, next_one = KeyClaim(user.id, ROUTE, "late"), KeyClaim(user.id, ROUTE, "late")
    now, fingerprint = api.ctx.clock.now(), "f" * 64
    async with api.ctx.database.service() as conn:
        await idempotency.begin(conn, slow, fingerprint, now - timedelta(seconds=LEASE_S + 1))
        assert await idempotency.begin(conn, next_one, fingerprint, now) is None
        assert not await idempotency.extend(conn, slow, now)
        assert await idempotency.extend(conn, next_one, now)
    for claim, refused in ((slow, True), (next_one, False)):
        caller = Caller(user.id, claim=claim)
        try:
            await generations.start_generation(api.ctx, caller, voice_id=voice_id, text="four", language=None)
        except KeyInFlightError:
            assert refused
        else:
            assert not refused
    assert await tasks_of(api, user) == [next_one.task_id]


async def test_a_long_request_keeps_its_key(
    api: Api, user: User, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(hook, "LEASE_S", 0.06)
    held, extended = asyncio.Event(), 0
    extend, reserve = idempotency.extend, spending.reserve

    async def counted(*given: Any) -> bool:
        nonlocal extended
        extended += 1
        return await extend(*given)

    async def slow(*given: Any, **named: Any) -> None:
        await held.wait()
        await reserve(*given, **named)

    monkeypatch.setattr(idempotency, "extend", counted)
    monkeypatch.setattr(spending, "reserve", slow)
    running = asyncio.create_task(post(user, "/api/voices/design/preview", "long", json=PREVIEW))
    await eventually(lambda: extended >= 3, what="the lease extended while the request runs")
    assert (await post(user, "/api/voices/design/preview", "long", json=PREVIEW)).status == 409
    held.set()
    assert (await running).status == 200
    after = extended
    assert (await post(user, "/api/voices/design/preview", "long", json=PREVIEW)).replayed
    assert extended == after


async def test_a_key_is_free_after_a_day_and_the_collection_drops_it(api: Api, user: User) -> None:
    first = await post(user, "/api/voices/design/preview", "day", json=PREVIEW)
    old = api.ctx.clock.now() - KEPT_FOR - timedelta(seconds=1)
    await rows(api, "update understudy.idempotency_keys set created_at = %s returning key", old)
    again = await post(user, "/api/voices/design/preview", "day", json=PREVIEW | {"text": "Nine."})
    assert (again.status, again.replayed) == (200, False)
    assert again.body["task_id"] != first.body["task_id"]
    async with api.ctx.database.service() as conn:
        now = api.ctx.clock.now()
        assert await drop_plain(conn, "idempotency_keys", now - KEPT_FOR, 10) == 0
        assert await count_expired(conn, "idempotency_keys", now + timedelta(seconds=1)) == 1
        assert await drop_plain(conn, "idempotency_keys", now + timedelta(seconds=1), 10) == 1


async def test_what_failed_may_be_sent_again(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        await valves.set_valve(conn, valves.GENERATION, closed=True, actor="ada", reason="too dear")
    body = {"voice_id": await clone(api, user), "text": "four", "language": "English"}
    refused = await post(user, "/api/generate", "again", json=body)
    assert (refused.status, refused.replayed) == (429, False)
    assert int(refused.headers["retry-after"]) > 0
    async with api.ctx.database.service() as conn:
        await valves.set_valve(conn, valves.GENERATION, closed=False, actor="ada", reason="paid")
    assert (await post(user, "/api/generate", "again", json=body)).status == 200
