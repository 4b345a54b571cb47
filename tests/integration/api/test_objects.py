"""Signed URLs over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from tests.integration.api.conftest import Api
from understudy.clock import SystemClock
from understudy.store.buckets import BUCKETS, GENERATIONS, REFERENCES
from understudy.store.objects import LocalObjects

pytestmark = pytest.mark.integration

KEY = "user/voice/reference.wav"
AUDIO = bytes(range(256)) * 4000
WAV = {"Content-Type": "audio/wav"}


def files(api: Api) -> list[Path]:
    return [path for path in api.ctx.settings.objects_path.rglob("*") if path.is_file()]


async def put(
    api: Api, url: str, data: bytes = AUDIO, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    async with api.client.put(
        url, data=io.BytesIO(data), headers=WAV if headers is None else headers
    ) as answer:
        return answer.status, await answer.json()


async def test_what_is_put_is_got(api: Api) -> None:
    url = await api.objects.sign_put(REFERENCES, KEY)
    status, body = await put(api, url)
    assert (status, body["sha256"]) == (200, hashlib.sha256(AUDIO).hexdigest())
    async with api.client.get(await api.objects.sign_get(REFERENCES, KEY)) as answer:
        assert answer.status == 200
        assert await answer.read() == AUDIO
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["Content-Length"] == str(len(AUDIO))
        assert answer.headers["Content-Disposition"] == 'inline; filename="reference.wav"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"] == f'"{body["sha256"]}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "status", "content_range", "body"),
    [
        ("bytes=0-99", 206, f"bytes 0-99/{len(AUDIO)}", AUDIO[:100]),
        ("bytes=-7", 206, f"bytes {len(AUDIO) - 7}-{len(AUDIO) - 1}/{len(AUDIO)}", AUDIO[-7:]),
        ("bytes=300000-", 206, f"bytes 300000-{len(AUDIO) - 1}/{len(AUDIO)}", AUDIO[300000:]),
        ("bytes=0-1,5-6", 200, None, AUDIO),
        ("lines=1-2", 200, None, AUDIO),
        (f"bytes={len(AUDIO)}-", 416, f"bytes */{len(AUDIO)}", None),
    ],
)
async def test_one_range_is_served(
    api: Api, wanted: str, status: int, content_range: str | None, body: bytes | None
) -> None:
    await api.objects.put(REFERENCES, KEY, AUDIO, "audio/wav")
    async with api.client.get(
        await api.objects.sign_get(REFERENCES, KEY), headers={"Range": wanted}
    ) as answer:
        assert answer.status == status
        assert answer.headers.get("Content-Range") == content_range
        if body is None:
            assert set(await answer.json()) == {"detail"}
        else:
            assert await answer.read() == body


async def test_head_and_conditions(api: Api) -> None:
    await api.objects.put(GENERATIONS, "user/a.wav", AUDIO, "audio/wav")
    url = await api.objects.sign_get(GENERATIONS, "user/a.wav")
    async with api.client.head(url) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(AUDIO)))
        assert await answer.read() == b""
        etag = answer.headers["ETag"]
    async with api.client.get(url, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    fresh = {"Range": "bytes=0-9", "If-Range": etag}
    async with api.client.get(url, headers=fresh) as answer:
        assert (answer.status, await answer.read()) == (206, AUDIO[:10])
    async with api.client.get(url, headers=fresh | {"If-Range": '"older"'}) as answer:
        assert (answer.status, len(await answer.read())) == (200, len(AUDIO))


async def test_an_empty_object_is_an_empty_answer(api: Api) -> None:
    await api.objects.put(GENERATIONS, "user/empty.wav", b"", "audio/wav")
    async with api.client.get(await api.objects.sign_get(GENERATIONS, "user/empty.wav")) as answer:
        assert (answer.status, await answer.read(), answer.headers["Content-Length"]) == (200, b"", "0")


async def test_a_link_is_good_for_its_object_method_and_time_only(api: Api) -> None:
    await api.objects.put(REFERENCES, KEY, AUDIO, "audio/wav")
    await api.objects.put(REFERENCES, "other/voice/reference.wav", AUDIO, "audio/wav")
    get, put_url = await api.objects.sign_get(REFERENCES, KEY), await api.objects.sign_put(REFERENCES, KEY)
    expired = LocalObjects(
        api.ctx.settings.objects_path, api.ctx.settings.object_url_secret, -10, SystemClock()
    )
    stranger = LocalObjects(api.ctx.settings.objects_path, SecretStr("s" * 32), 60, SystemClock())
    for method, url, detail in [
        ("GET", get.replace("/user/", "/other/"), "This link is not valid."),
        ("GET", get.replace("expires=1", "expires=2"), "This link is not valid."),
        ("GET", get[:-1] + ("0" if get[-1] != "0" else "1"), "This link is not valid."),
        ("GET", get.split("?")[0], "This link is not valid."),
        ("GET", put_url, "This link is not valid."),
        ("PUT", get, "This link is not valid."),
        ("GET", await expired.sign_get(REFERENCES, KEY), "This link has expired."),
        ("PUT", await expired.sign_put(REFERENCES, "user/new/reference.wav"), "This link has expired."),
        ("GET", await stranger.sign_get(REFERENCES, KEY), "This link is not valid."),
    ]:
        async with api.client.request(method, url, headers=WAV) as answer:
            assert (answer.status, await answer.json()) == (403, {"detail": detail}), url
    async with api.client.get(await api.objects.sign_get(REFERENCES, "user/none/reference.wav")) as answer:
        assert answer.status == 404


async def test_an_upload_is_taken_once(api: Api) -> None:
    url = await api.objects.sign_put(REFERENCES, KEY)
    results = await asyncio.gather(*(put(api, url, bytes([n]) * 1000) for n in range(6)))
    assert sorted(status for status, _ in results) == [200, 409, 409, 409, 409, 409]
    won = next(body for status, body in results if status == 200)
    assert hashlib.sha256(await api.objects.get(REFERENCES, KEY)).hexdigest() == won["sha256"]


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "text/html"}, {"Content-Type": "audio/x-evil"}, {"Content-Type": ""}]
)
async def test_an_upload_of_another_type_is_refused(api: Api, headers: dict[str, str]) -> None:
    status, body = await put(api, await api.objects.sign_put(REFERENCES, KEY), headers=headers)
    assert (status, set(body)) == (400, {"detail"})
    status, _ = await put(api, await api.objects.sign_put(REFERENCES, KEY, "audio/mpeg"))
    assert status == 400
    assert files(api) == []


async def test_an_upload_over_the_limit_is_told_so_and_leaves_nothing(api: Api) -> None:
    size = BUCKETS[REFERENCES].max_bytes + 1
    url = await api.objects.sign_put(REFERENCES, KEY)
    status, body = await put(api, url, b"x" * size)
    assert (status, body) == (413, {"detail": "Audio must be at most 10 MB."})
    assert files(api) == []


async def test_a_client_that_asks_first_is_answered_before_it_sends(api: Api) -> None:
    url = await api.objects.sign_put(REFERENCES, KEY)
    head = "Host: a\r\nContent-Type: audio/wav\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    status, headers, body = await api.raw(f"PUT {url} HTTP/1.1\r\n{head}".encode())
    assert (status, headers["connection"]) == (413, "close")
    assert b"10 MB" in body


async def test_an_upload_that_announces_nothing_is_cut_at_the_limit_and_leaves_nothing(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield b"x" * 2**20

    url = await api.objects.sign_put(REFERENCES, KEY)
    # The server answers and closes; whether the client sees that answer or the closed connection is a race.
    try:
        async with api.client.put(url, data=endless(), headers=WAV) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass
    assert sent < 4 * BUCKETS[REFERENCES].max_bytes
    assert files(api) == []


async def test_an_upload_cut_by_the_client_leaves_nothing(api: Api, eventually) -> None:  # type: ignore[no-untyped-def]
    url = await api.objects.sign_put(REFERENCES, KEY)
    _, writer = await asyncio.open_connection(*api.address)
    writer.write(
        f"PUT {url} HTTP/1.1\r\nHost: a\r\nContent-Type: audio/wav\r\nContent-Length: 900000\r\n\r\n".encode()
    )
    writer.write(b"x" * 600_000)
    await writer.drain()
    await eventually(lambda: len(files(api)) == 1, what="the upload has begun")
    writer.transport.abort()
    await eventually(lambda: files(api) == [], what="the half upload is gone")


async def test_a_client_that_hangs_up_gives_the_file_back(api: Api, eventually) -> None:  # type: ignore[no-untyped-def]
    big = b"x" * (8 * 2**20)
    await api.objects.put(GENERATIONS, "user/big.wav", big, "audio/wav")
    url = await api.objects.sign_get(GENERATIONS, "user/big.wav")

    def held() -> list[Path]:
        links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
        return [link for link in links if link.is_relative_to(api.ctx.settings.objects_path.resolve())]

    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await reader.readexactly(1000)
    assert len(held()) == 1
    writer.transport.abort()
    await eventually(lambda: held() == [], what="the file is closed")
