"""What an attacker, or a broken client, sends: the right status, one sentence, and nothing left behind."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import numpy as np
import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.api.test_bad_requests import is_one_sentence
from tests.integration.api.test_routes import DRAFT, RECORDING, clone
from understudy.audio.wav import Clip, write_wav
from understudy.settings import Settings

pytestmark = pytest.mark.integration

WAV = {"Content-Type": "audio/wav"}
MEGABYTE = 1024 * 1024


async def everything(api: Api, home: Path) -> tuple[dict[str, Any], set[str]]:
    """All rows a tenant can cause, counted, and every stored object."""
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute(
            "select (select count(*) from public.voices) as voices,"
            " (select count(*) from public.generations) as generations,"
            " (select count(*) from public.tasks) as tasks,"
            " (select count(*) from public.profiles where handle is not null) as handles"
        )
        rows = await cursor.fetchone()
    assert rows is not None
    objects = {str(path.relative_to(home)) for path in (home / "objects").rglob("*") if path.is_file()}
    return dict(rows), objects


async def refused(user: User, method: str, path: str, status: int, **sent: Any) -> str:
    async with user.client.request(method, path, **sent) as answer:
        body = await answer.read()
        assert answer.status == status, (method, path, body[:300])
        assert is_one_sentence(body, answer.headers), body[:300]
        return str(json.loads(body)["detail"])


async def put(api: Api, user: User, data: bytes, status: int = 200) -> str:
    """Upload ``data`` for a new voice; return the voice's id."""
    async with user.client.post("/api/clone/upload-url", json=DRAFT) as answer:
        ticket = await answer.json()
    async with api.client.put(ticket["upload_url"], data=io.BytesIO(data), headers=WAV) as answer:
        assert answer.status == status, await answer.text()
    return str(ticket["voice_id"])


def silence(seconds: int, rate: int) -> bytes:
    return write_wav(Clip(np.zeros(seconds * rate, dtype=np.int16), rate))


def tone(seconds: int, rate: int) -> bytes:
    times = np.arange(seconds * rate) / rate
    return write_wav(Clip((np.sin(2 * np.pi * 220 * times) * 9000).astype(np.int16), rate))


#: By name: what is uploaded as a recording. Each is within 10 MB, and none is one.
NOT_A_RECORDING = {
    "zero-length": b"",
    "text": b"hello, I am a voice",
    "a page": b"<!doctype html><script>alert(1)</script>" * 50,
    "a wav of no samples": silence(0, 24_000),
    "a wav of silence": silence(5, 24_000),
    "an hour of audio": tone(3600, 1000),
    "a wav that lies about its length": RECORDING[:44],
    "an archive that begins as a wav": RECORDING[:12] + b"PK\x03\x04" + b"\0" * 4096,
    "a picture that begins as a wav": b"RIFF\x24\x00\x00\x00WAVE\x89PNG\r\n\x1a\n" + b"\0" * 4096,
    "a playlist that opens a file": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "a stream description": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=audio 9 RTP/AVP 0\r\n",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 64,
}


async def test_what_is_no_recording_makes_no_voice(api: Api, user: User, settings: Settings) -> None:
    uploaded = {what: await put(api, user, data) for what, data in NOT_A_RECORDING.items()}
    rows, objects = await everything(api, settings.understudy_home)
    for what, voice_id in uploaded.items():
        detail = await refused(user, "POST", "/api/clone/finalize", 400, json=DRAFT | {"voice_id": voice_id})
        assert "/etc" not in detail, what
    # The upload stays until it is collected, as it came: nothing was made of it.
    assert await everything(api, settings.understudy_home) == (rows, objects)
    assert rows["voices"] == 0


async def test_what_is_no_recording_makes_no_designed_voice(api: Api, user: User, settings: Settings) -> None:
    before = await everything(api, settings.understudy_home)
    for what, data in NOT_A_RECORDING.items():
        if len(data) > MEGABYTE:
            continue
        form = aiohttp.FormData({"name": "x", "text": "one", "language": "en", "instruct": "deep"})
        form.add_field("audio", io.BytesIO(data), filename="../../x.wav", content_type="audio/wav")
        async with user.client.post("/api/voices/design", data=form) as answer:
            assert answer.status == 400, (what, await answer.text())
            assert is_one_sentence(await answer.read(), answer.headers), what
    assert await everything(api, settings.understudy_home) == before


async def test_a_byte_over_ten_megabytes_is_refused_and_not_kept(
    api: Api, user: User, settings: Settings
) -> None:
    before = await everything(api, settings.understudy_home)
    voice_id = await put(api, user, b"\0" * (10 * MEGABYTE + 1), status=413)
    assert await everything(api, settings.understudy_home) == before
    detail = await refused(user, "POST", "/api/clone/finalize", 400, json=DRAFT | {"voice_id": voice_id})
    assert detail == "Audio file not uploaded."


async def test_a_text_of_a_billion_characters_is_refused_early(
    api: Api, user: User, settings: Settings
) -> None:
    voice_id = await clone(api, user)
    before = await everything(api, settings.understudy_home)
    sent = 0

    async def billion() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'{"voice_id": "%s", "text": "' % voice_id.encode()
        for _ in range(1_000):
            sent += 1_000_000
            yield b"a" * 1_000_000
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    # Announced, the refusal comes before the first byte of it; streamed, after a few megabytes.
    announced = headers | {"Content-Length": "1000000100", "Expect": "100-continue"}
    async with user.client.post("/api/generate", data=billion(), headers=announced) as answer:
        assert answer.status == 413
        assert is_one_sentence(await answer.read(), answer.headers)
    assert sent == 0
    # The server answers and closes; whether the client sees that answer or the closed connection is a race.
    try:
        async with user.client.post("/api/generate", data=billion(), headers=headers) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass
    assert sent < 100_000_000
    assert await everything(api, settings.understudy_home) == before


NAMES = [
    "../../etc/passwd",
    "..",
    "/etc/passwd",
    "C:\\x",
    "a/b",
    "%2e%2e%2f",
    "'; drop table voices; --",
    "\u202egnp.wav",
]


async def test_a_name_with_a_path_in_it_is_only_a_name(api: Api, user: User, settings: Settings) -> None:
    for name in NAMES:
        voice_id = await clone(api, user, name)
        async with user.client.get("/api/voices", params={"search": name}) as answer:
            found = (await answer.json())["voices"]
        assert (voice_id, name) in {(voice["id"], voice["name"]) for voice in found}
    _, objects = await everything(api, settings.understudy_home)
    own = f"objects/references/{user.id}/"
    assert objects
    assert all(name.startswith(own) for name in objects), objects


async def test_fields_of_the_wrong_kind_change_nothing(api: Api, user: User, settings: Settings) -> None:
    before = await everything(api, settings.understudy_home)
    wrong: list[Any] = [1, True, None, 1.5, [], {}, ["x"], {"a": 1}, "", " ", "\0", "\ud800"]
    draft = DRAFT | {"voice_id": str(uuid4())}
    bodies: list[tuple[str, str, dict[str, Any], list[str]]] = [
        ("POST", "/api/clone/upload-url", DRAFT, ["name", "transcript"]),
        ("POST", "/api/clone/finalize", draft, ["name", "transcript", "voice_id"]),
        ("POST", "/api/generate", {"voice_id": str(uuid4()), "text": "a"}, ["voice_id", "text"]),
        ("POST", "/api/voices/design/preview", {"text": "a", "instruct": "b"}, ["text", "instruct"]),
        ("PATCH", "/api/profile", {"handle": "abc", "display_name": "A"}, ["handle", "display_name"]),
    ]
    for method, path, body, fields in bodies:
        for field in fields:
            for value in wrong:
                # By hand: a client library would refuse half a surrogate pair itself.
                data = json.dumps(body | {field: value}).encode()
                await refused(
                    user, method, path, 400, data=data, headers={"Content-Type": "application/json"}
                )
            if method == "POST":
                without = {name: item for name, item in body.items() if name != field}
                await refused(user, method, path, 400, json=without)
    for path in ("/api/voices", "/api/generations"):
        for query in ("page=-1", "page=0", "page=1.5", "per_page=0", "per_page=-5", "page=%00", "page="):
            await refused(user, "GET", f"{path}?{query}", 400)
    assert await everything(api, settings.understudy_home) == before


def forged(api: Api, user: User, settings: Settings) -> dict[str, str]:
    """Tokens that look right, by what is wrong with them."""
    good = user.session["access_token"]
    secret = settings.jwt_secret.get_secret_value()
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, signature = good.split(".")
    return {
        "expired": jwt.encode(claims | {"exp": claims["iat"] - 3600}, secret, "HS256"),
        "another secret": jwt.encode(claims, "x" * 64, "HS256"),
        "no signature": f"{head}.{body}.",
        "algorithm none": jwt.encode(claims, None, "none"),
        "another audience": jwt.encode(claims | {"aud": "anon"}, secret, "HS256"),
        "another issuer": jwt.encode(claims | {"iss": "elsewhere"}, secret, "HS256"),
        "another role": jwt.encode(claims | {"role": "service_role"}, secret, "HS256"),
        "no user": jwt.encode({k: v for k, v in claims.items() if k != "sub"}, secret, "HS256"),
        "a user that is no id": jwt.encode(claims | {"sub": "' or 1=1"}, secret, "HS256"),
        "swapped parts": f"{body}.{head}.{signature}",
        "longer than any": "a" * 20_000,
    }


async def test_a_forged_token_opens_nothing(api: Api, user: User, settings: Settings) -> None:
    voice_id = await clone(api, user)
    before = await everything(api, settings.understudy_home)
    for what, token in forged(api, user, settings).items():
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in [("GET", "/api/voices"), ("DELETE", f"/api/voices/{voice_id}")]:
            async with api.client.request(method, path, headers=headers) as answer:
                found = (answer.status, await answer.json())
                assert found == (401, {"detail": "Invalid or expired token"}), (what, method)
    assert await everything(api, settings.understudy_home) == before


async def test_finalizing_twice_at_once_is_one_voice(api: Api, user: User, settings: Settings) -> None:
    voice_id = await put(api, user, RECORDING)

    async def finalize() -> tuple[int, Any]:
        body = DRAFT | {"voice_id": voice_id}
        async with user.client.post("/api/clone/finalize", json=body) as answer:
            return answer.status, await answer.json()

    answers = await asyncio.gather(*(finalize() for _ in range(4)))
    assert {(status, found["id"]) for status, found in answers} == {(200, voice_id)}
    rows, objects = await everything(api, settings.understudy_home)
    assert rows["voices"] == 1
    assert await finalize() == (200, {"id": voice_id, "name": DRAFT["name"]})
    assert await everything(api, settings.understudy_home) == (rows, objects)


async def test_saving_a_design_twice_is_one_voice(api: Api, user: User, settings: Settings) -> None:
    brief = {"text": "one two", "language": "English", "instruct": "deep"}
    async with user.client.post("/api/voices/design/preview", json=brief) as answer:
        task_id = (await answer.json())["task_id"]
    key = f"{user.id}/{task_id}/preview.wav"
    await api.ctx.objects.put("references", key, RECORDING, "audio/wav")
    preview = json.dumps({"preview": {"object_key": key}, "binding": {}})
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "update public.tasks set status = 'completed', metadata = metadata || %s::jsonb where id = %s",
            (preview, task_id),
        )

    async def save(name: str) -> tuple[int, Any]:
        async with user.client.post(
            "/api/voices/design", data=brief | {"name": name, "task_id": task_id}
        ) as r:
            return r.status, (await r.json()).get("id")

    answers = set(await asyncio.gather(*(save(f"Voice {number}") for number in range(4))))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 200
    after = await everything(api, settings.understudy_home)
    assert after[0]["voices"] == 1
    assert {await save("again")} == answers
    assert await everything(api, settings.understudy_home) == after


async def test_another_tenants_ids_change_nothing(api: Api, sign_up: SignUp, settings: Settings) -> None:
    ann, eve = await sign_up(), await sign_up()
    voice_id = await clone(api, ann)
    async with ann.client.post("/api/generate", json={"voice_id": voice_id, "text": "one"}) as answer:
        started = await answer.json()
    before = await everything(api, settings.understudy_home)
    task, generation = started["task_id"], started["generation_id"]
    for method, path in [
        ("DELETE", f"/api/voices/{voice_id}"),
        ("POST", f"/api/tasks/{task}/cancel"),
        ("DELETE", f"/api/tasks/{task}"),
        ("DELETE", f"/api/generations/{generation}"),
        ("POST", f"/api/generations/{generation}/regenerate"),
        ("GET", f"/api/voices/{voice_id}/preview"),
        ("GET", f"/api/generations/{generation}/audio"),
    ]:
        await refused(eve, method, path, 404)
    await refused(eve, "POST", "/api/generate", 404, json={"voice_id": voice_id, "text": "one"})
    form = {"name": "x", "text": "a", "instruct": "b", "task_id": task}
    await refused(eve, "POST", "/api/voices/design", 404, data=form)
    await refused(eve, "POST", "/api/clone/finalize", 400, json=DRAFT | {"voice_id": voice_id})
    assert await everything(api, settings.understudy_home) == before
