"""What every object store must do, over the interface and over HTTP: a local folder and S3, one suite."""

from __future__ import annotations

import asyncio
import hashlib
import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from tests.conformance.storage import REFERENCES_BUCKET, Storage, moto_port, put_raw, settings_of, storage
from tests.integration.api.conftest import Api, api
from tests.integration.conftest import DatabaseUrls, database_urls, postgres_server
from understudy.clock import SystemClock
from understudy.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    StoreUnavailableError,
    ValidationError,
)
from understudy.settings import Settings
from understudy.store.buckets import BUCKETS, GENERATIONS, MEGABYTE, REFERENCES, TOMBSTONES, ObjectStat
from understudy.store.object_choice import open_objects, prove_objects
from understudy.store.objects import LocalObjects, ObjectStore
from understudy.store.s3_objects import READ_BYTES, S3Objects
from understudy.store.signing import UrlSigner

pytestmark = pytest.mark.conformance

#: Fixtures of other rooms that these tests stand on.
__all__ = ["api", "database_urls", "moto_port", "postgres_server", "storage"]

KEY = "user/voice/reference.wav"
AUDIO = bytes(range(256)) * 9000
WAV = {"Content-Type": "audio/wav"}


@pytest.fixture(params=["local", "s3"])
def store_settings(request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Settings:
    return settings_of(tmp_path, **(storage.settings() if request.param == "s3" else {}))


@pytest.fixture
def settings(store_settings: Settings, database_urls: DatabaseUrls) -> Settings:
    """Settings of a whole api on either store."""
    return store_settings.model_copy(update={"database_url": database_urls.app})


@pytest.fixture
def objects(store_settings: Settings) -> ObjectStore:
    return open_objects(store_settings, SystemClock())


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def keys(objects: ObjectStore, bucket: str, **where: str) -> list[str]:
    return [item.key async for item in objects.list(bucket, **where)]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_settings_choose_the_store(store_settings: Settings, objects: ObjectStore) -> None:
    assert isinstance(objects, S3Objects if store_settings.objects == "s3" else LocalObjects)


async def test_what_is_put_is_got_with_type_and_digest(objects: ObjectStore) -> None:
    stored = await objects.put(REFERENCES, KEY, AUDIO, "audio/mpeg")
    assert stored == ObjectStat(len(AUDIO), "audio/mpeg", digest(AUDIO))
    assert await objects.get(REFERENCES, KEY) == AUDIO
    assert await objects.stat(REFERENCES, KEY) == stored
    assert await objects.stat(GENERATIONS, KEY) is None


async def test_an_empty_object_is_one(objects: ObjectStore) -> None:
    await objects.put(GENERATIONS, KEY, b"", "audio/wav")
    assert await objects.get(GENERATIONS, KEY) == b""
    assert await objects.stat(GENERATIONS, KEY) == ObjectStat(0, "audio/wav", digest(b""))


async def test_what_is_missing_is_none_or_not_found_and_may_be_deleted(objects: ObjectStore) -> None:
    assert await objects.stat(REFERENCES, KEY) is None
    for attempt in (objects.get(REFERENCES, KEY), objects.open(REFERENCES, KEY)):
        with pytest.raises(NotFoundError):
            await attempt
    await objects.delete(REFERENCES, KEY)
    await objects.put(REFERENCES, KEY, b"x", "audio/wav")
    await objects.delete(REFERENCES, KEY)
    assert await objects.stat(REFERENCES, KEY) is None
    assert await keys(objects, REFERENCES) == []


@pytest.mark.parametrize(
    "span", [(0, 1), (5, 300), (READ_BYTES - 3, 7), (0, len(AUDIO)), (len(AUDIO) - 1, 1)]
)
async def test_any_span_is_read(objects: ObjectStore, span: tuple[int, int]) -> None:
    await objects.put(REFERENCES, KEY, AUDIO, "audio/wav")
    reader = await objects.open(REFERENCES, KEY)
    try:
        assert await reader.read(*span) == AUDIO[span[0] : sum(span)]
    finally:
        await reader.close()


async def test_a_replacement_is_never_mixed_with_what_it_replaces(objects: ObjectStore) -> None:
    old, new = b"a" * (3 * READ_BYTES), b"b" * (3 * READ_BYTES)
    await objects.put(REFERENCES, KEY, old, "audio/wav")
    reader = await objects.open(REFERENCES, KEY)
    try:
        assert await reader.read(0, 10) == old[:10]
        await objects.put(REFERENCES, KEY, new, "audio/mpeg")
        try:
            assert await reader.read(10, len(old) - 10) == old[10:]
        except StoreUnavailableError as error:
            assert "replaced" in error.message  # noqa: PT017  (one of two right outcomes)
    finally:
        await reader.close()
    assert await objects.get(REFERENCES, KEY) == new
    assert await objects.stat(REFERENCES, KEY) == ObjectStat(len(new), "audio/mpeg", digest(new))


@pytest.mark.parametrize(
    "key", ["", "/x", "../x", "user/../x", "user//x", "user/", ".x", "a\0b", "a\\b", "user/ü.wav", "x.object"]
)
async def test_no_key_leaves_its_bucket(objects: ObjectStore, key: str) -> None:
    for attempt in (
        objects.put(REFERENCES, key, b"x", "audio/wav"),
        objects.put_stream(REFERENCES, key, body(b"x"), "audio/wav"),
        objects.get(REFERENCES, key),
        objects.stat(REFERENCES, key),
        objects.open(REFERENCES, key),
        objects.delete(REFERENCES, key),
        objects.sign_get(REFERENCES, key),
        objects.sign_put(REFERENCES, key),
        objects.stat("another-bucket", KEY),
    ):
        with pytest.raises(NotFoundError):
            await attempt


async def test_what_the_bucket_does_not_take_leaves_nothing(objects: ObjectStore) -> None:
    limit = BUCKETS[REFERENCES].max_bytes
    await objects.put(REFERENCES, "user/at-the-limit.wav", b"x" * limit, "audio/wav")
    with pytest.raises(PayloadTooLargeError, match="10 MB"):
        await objects.put(REFERENCES, KEY, b"x" * (limit + 1), "audio/wav")
    with pytest.raises(PayloadTooLargeError, match="10 MB"):
        await objects.put_stream(REFERENCES, KEY, body(*[b"x" * MEGABYTE] * 11), "audio/wav")
    for attempt in (
        objects.put(REFERENCES, KEY, b"<html>", "text/html"),
        objects.put_stream(REFERENCES, KEY, body(b"<html>"), "text/html"),
    ):
        with pytest.raises(ValidationError, match="audio/wav"):
            await attempt
    assert await keys(objects, REFERENCES) == ["user/at-the-limit.wav"]


async def test_a_body_cut_short_leaves_nothing(objects: ObjectStore) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await objects.put_stream(REFERENCES, KEY, cut(), "audio/wav")
    assert await keys(objects, REFERENCES) == []


async def test_of_puts_at_once_one_stands_whole(objects: ObjectStore) -> None:
    bodies = [bytes([n]) * 200_000 for n in range(8)]
    await asyncio.gather(*(objects.put(REFERENCES, KEY, data, "audio/wav") for data in bodies))
    found = await objects.get(REFERENCES, KEY)
    assert found in bodies
    stat = await objects.stat(REFERENCES, KEY)
    assert stat is not None
    assert stat.sha256 == digest(found)


async def test_of_exclusive_uploads_at_once_one_wins(objects: ObjectStore) -> None:
    results = await asyncio.gather(
        *(
            objects.put_stream(REFERENCES, KEY, body(bytes([n]) * 1000), "audio/wav", exclusive=True)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    (stored,) = [result for result in results if isinstance(result, ObjectStat)]
    assert sum(isinstance(result, ConflictError) for result in results) == 5
    assert digest(await objects.get(REFERENCES, KEY)) == stored.sha256


async def test_objects_are_listed_in_the_order_of_keys(objects: ObjectStore) -> None:
    names = ["a/b.wav", "a/b/c.wav", "a/b0.wav", "a-b/x.wav", "a.wav", "b/1.wav", "b/10.wav", "b/2.wav"]
    for name in names:
        await objects.put(GENERATIONS, name, b"xy", "audio/wav")
    assert await keys(objects, GENERATIONS) == sorted(names)
    for name in names:
        assert await keys(objects, GENERATIONS, after=name) == [key for key in sorted(names) if key > name]
    assert await keys(objects, GENERATIONS, prefix="a/b") == ["a/b.wav", "a/b/c.wav", "a/b0.wav"]
    assert await keys(objects, GENERATIONS, prefix="b/", after="b/1.wav") == ["b/10.wav", "b/2.wav"]
    listed = [item async for item in objects.list(GENERATIONS, prefix="b/")]
    now = SystemClock().now()
    assert all(item.size == 2 and abs((now - item.modified_at).total_seconds()) < 60 for item in listed)
    assert await keys(objects, REFERENCES) == []


async def test_tombstones_lie_apart_from_audio_and_take_no_audio(objects: ObjectStore) -> None:
    key = "20261129/1-1-2.json"
    await objects.put(TOMBSTONES, key, b"[]", "application/json")
    await objects.put(REFERENCES, "u/v.wav", b"xy", "audio/wav")
    assert await objects.get(TOMBSTONES, key) == b"[]"
    assert await keys(objects, TOMBSTONES) == [key]
    assert await keys(objects, REFERENCES) == ["u/v.wav"]
    assert await keys(objects, GENERATIONS) == []
    with pytest.raises(ValidationError):
        await objects.put(TOMBSTONES, "a.wav", b"xy", "audio/wav")
    await objects.delete(TOMBSTONES, key)
    assert await objects.stat(TOMBSTONES, key) is None


# --- over HTTP ---------------------------------------------------------------------------------------------


async def put_http(api: Api, url: str, data: bytes = AUDIO, content_type: str = "audio/wav") -> int:
    headers = {"Content-Type": content_type}
    async with api.client.put(url, data=io.BytesIO(data), headers=headers) as answer:
        detail = await answer.json()
        assert answer.status == 200 or set(detail) == {"detail"}
        return answer.status


async def test_a_link_takes_one_put_and_serves_ranges_and_head(api: Api) -> None:
    objects = api.ctx.objects
    upload, link = await objects.sign_put(REFERENCES, KEY), await objects.sign_get(REFERENCES, KEY)
    assert upload.startswith("/objects/")
    assert await put_http(api, upload) == 200
    assert await put_http(api, upload, b"again") == 409
    async with api.client.get(link) as answer:
        assert await answer.read() == AUDIO
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["ETag"] == f'"{digest(AUDIO)}"'
    async with api.client.head(link) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(AUDIO)))
        assert answer.headers["Accept-Ranges"] == "bytes"
    for wanted, start, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=-7", len(AUDIO) - 7, len(AUDIO)),
        ("bytes=1000000-", 1_000_000, len(AUDIO)),
    ):
        async with api.client.get(link, headers={"Range": wanted}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(AUDIO)}"
            assert await answer.read() == AUDIO[start:end]
    async with api.client.get(link, headers={"Range": f"bytes={len(AUDIO)}-"}) as answer:
        assert (answer.status, set(await answer.json())) == (416, {"detail"})


async def test_what_may_not_be_uploaded_is_refused_and_not_kept(api: Api) -> None:
    objects = api.ctx.objects
    upload = await objects.sign_put(REFERENCES, KEY)
    assert await put_http(api, upload, b"<html>", "text/html") == 400
    assert await put_http(api, upload, b"x" * (10 * MEGABYTE + 1)) == 413
    assert await keys(objects, REFERENCES) == []
    assert await put_http(api, upload, b"x" * (10 * MEGABYTE)) == 200


async def test_forged_and_expired_links_are_refused(api: Api, settings: Settings) -> None:
    objects = api.ctx.objects
    await objects.put(REFERENCES, KEY, AUDIO, "audio/wav")
    link = await objects.sign_get(REFERENCES, KEY)
    expired = UrlSigner(settings.object_url_secret, -10, SystemClock())
    stranger = UrlSigner(SecretStr("s" * 32), 60, SystemClock())
    for url, detail in (
        (link.replace("/user/", "/other/"), "This link is not valid."),
        (link[:-1] + ("0" if link[-1] != "0" else "1"), "This link is not valid."),
        (link.split("?")[0], "This link is not valid."),
        (await objects.sign_put(REFERENCES, KEY), "This link is not valid."),
        (stranger.sign("GET", REFERENCES, KEY), "This link is not valid."),
        (expired.sign("GET", REFERENCES, KEY), "This link has expired."),
    ):
        async with api.client.get(url) as answer:
            assert (answer.status, await answer.json()) == (403, {"detail": detail})
    assert await put_http(api, expired.sign("PUT", REFERENCES, "user/new.wav", "audio/*")) == 403
    assert await keys(objects, REFERENCES) == [KEY]


async def test_a_signed_link_to_nothing_is_not_found(api: Api) -> None:
    async with api.client.get(await api.ctx.objects.sign_get(REFERENCES, KEY)) as answer:
        assert (answer.status, set(await answer.json())) == (404, {"detail"})


# --- S3 alone ----------------------------------------------------------------------------------------------


@pytest.fixture
def s3(storage: Storage, tmp_path: Path) -> ObjectStore:
    return open_objects(settings_of(tmp_path, **storage.settings()), SystemClock())


async def test_storage_that_is_away_is_said_and_nothing_is_half_left(
    s3: ObjectStore, storage: Storage
) -> None:
    await s3.put(REFERENCES, KEY, AUDIO, "audio/wav")
    reader = await s3.open(REFERENCES, KEY)
    await storage.proxy.stop()
    for attempt in (
        s3.put(REFERENCES, "user/new.wav", AUDIO, "audio/wav"),
        s3.get(REFERENCES, KEY),
        s3.stat(REFERENCES, KEY),
        s3.open(REFERENCES, KEY),
        s3.delete(REFERENCES, KEY),
        reader.read(0, 10),
        keys(s3, REFERENCES),
    ):
        with pytest.raises(StoreUnavailableError, match="cannot be reached") as raised:
            await attempt
        assert raised.value.status == 503
        assert "127.0.0.1" not in raised.value.message
    await prove_objects(s3)
    await storage.proxy.start()
    assert await keys(s3, REFERENCES) == [KEY]
    assert await s3.get(REFERENCES, KEY) == AUDIO


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused_are_told_from_a_storage_that_is_away(
    tmp_path: Path, storage: Storage, status: int
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="<Error><Code>AccessDenied</Code></Error>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    # The port that CI once drew: its number must not be taken for the status.
    port, listener = next(
        (port, listener) for port in range(40300, 40400) if (listener := _listener(port)) is not None
    )
    await web.SockSite(runner, listener).start()
    given = {**storage.settings(), "s3_endpoint": f"http://127.0.0.1:{port}"}
    objects = open_objects(settings_of(tmp_path, **given), SystemClock())
    assert isinstance(objects, S3Objects)
    with pytest.raises(ConfigurationError, match="refuses these credentials"):
        await prove_objects(objects)
    await runner.cleanup()
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await objects.check()


def _listener(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


async def test_an_upload_that_loses_the_storage_midway_leaves_nothing(
    s3: ObjectStore, storage: Storage
) -> None:
    async def losing() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        await storage.proxy.stop()
        yield b"x" * 600_000

    with pytest.raises(StoreUnavailableError):
        await s3.put_stream(REFERENCES, KEY, losing(), "audio/wav")
    await storage.proxy.start()
    assert await keys(s3, REFERENCES) == []


async def test_an_answer_cut_short_is_no_audio(s3: ObjectStore, storage: Storage) -> None:
    await s3.put(REFERENCES, KEY, AUDIO, "audio/wav")
    storage.proxy.reset_after_bytes = 100_000
    with pytest.raises(StoreUnavailableError):
        await s3.get(REFERENCES, KEY)


async def test_what_somebody_put_there_by_hand_is_digested_and_bounded(
    s3: ObjectStore, storage: Storage, moto_port: int
) -> None:
    place = f"{REFERENCES_BUCKET}/{storage.prefix}/user"
    put_raw(moto_port, f"{place}/hand.wav", AUDIO, "audio/wav")
    put_raw(moto_port, f"{place}/huge.wav", b"x" * (10 * MEGABYTE + 1), "audio/wav")
    put_raw(moto_port, f"{place}/page.wav", b"<html>", "text/html")
    assert await s3.stat(REFERENCES, "user/hand.wav") == ObjectStat(len(AUDIO), "audio/wav", digest(AUDIO))
    assert await s3.get(REFERENCES, "user/hand.wav") == AUDIO
    assert await s3.stat(REFERENCES, "user/huge.wav") == ObjectStat(10 * MEGABYTE + 1, "audio/wav", "")
    with pytest.raises(PayloadTooLargeError):
        await s3.get(REFERENCES, "user/huge.wav")
    page = await s3.stat(REFERENCES, "user/page.wav")
    assert page is not None
    assert page.content_type == "text/html"


async def test_a_missing_bucket_is_named_at_the_start(storage: Storage, tmp_path: Path) -> None:
    missing = {**storage.settings(), "s3_bucket_generations": "no-such-bucket"}
    objects = open_objects(settings_of(tmp_path, **missing), SystemClock())
    with pytest.raises(ConfigurationError, match=r"no-such-bucket does not exist.*S3_BUCKET_GENERATIONS"):
        await prove_objects(objects)
    for attempt in (
        objects.put(GENERATIONS, KEY, b"x", "audio/wav"),
        objects.get(GENERATIONS, KEY),
    ):
        with pytest.raises(StoreUnavailableError):
            await attempt


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"s3_secret_access_key": SecretStr("")}, "S3_SECRET_ACCESS_KEY not set"),
        ({"s3_bucket_generations": REFERENCES_BUCKET}, "name the same bucket"),
        ({"s3_endpoint": "http://storage.example.org"}, "only https"),
        ({"s3_prefix": "../other"}, "S3_PREFIX"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    storage: Storage, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_objects(settings_of(tmp_path, **{**storage.settings(), **changes}), SystemClock())


@pytest.mark.parametrize("store_settings", ["s3"], indirect=True)
async def test_the_api_answers_503_while_storage_is_away(api: Api, storage: Storage) -> None:
    link = await api.ctx.objects.sign_get(REFERENCES, KEY)
    upload = await api.ctx.objects.sign_put(REFERENCES, KEY)
    await storage.proxy.stop()
    async with api.client.get(link) as answer:
        assert (answer.status, set(await answer.json())) == (503, {"detail"})
    assert await put_http(api, upload) == 503
    await storage.proxy.start()
    assert await put_http(api, upload) == 200
    async with api.client.get(link) as answer:
        assert await answer.read() == AUDIO
