"""Local objects: whole or not at all, private, and nowhere but in their folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.errors import (
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    StoreUnavailableError,
    UnderstudyError,
    ValidationError,
)
from understudy.store.buckets import BUCKETS, MEGABYTE
from understudy.store.object_files import ABANDONED_AFTER_S
from understudy.store.objects import REFERENCES, LocalObjects, ObjectStat

pytestmark = pytest.mark.unit

KEY = "user/voice/reference.wav"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def objects(tmp_path: Path, clock: HandClock) -> LocalObjects:
    return LocalObjects(tmp_path / "objects", SecretStr("s" * 32), 60, clock)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_what_is_put_is_got_with_type_and_digest(objects: LocalObjects, tmp_path: Path) -> None:
    data = bytes(range(256)) * 3000
    await objects.put(REFERENCES, KEY, data, "audio/wav")
    assert await objects.get(REFERENCES, KEY) == data
    assert await objects.stat(REFERENCES, KEY) == ObjectStat(
        len(data), "audio/wav", hashlib.sha256(data).hexdigest()
    )
    assert len(files(tmp_path)) == 2
    for path in tmp_path.joinpath("objects").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


async def test_a_missing_object_is_none_or_not_found(objects: LocalObjects) -> None:
    assert await objects.stat(REFERENCES, KEY) is None
    with pytest.raises(NotFoundError):
        await objects.get(REFERENCES, KEY)
    await objects.delete(REFERENCES, KEY)


async def test_a_replacement_leaves_one_copy_and_an_open_reader_whole(
    objects: LocalObjects, tmp_path: Path
) -> None:
    old, new = b"a" * 600_000, b"b" * 10
    await objects.put(REFERENCES, KEY, old, "audio/wav")
    reader = await objects.open(REFERENCES, KEY)
    try:
        await objects.put(REFERENCES, KEY, new, "audio/mpeg")
        assert await reader.read(0, len(old)) == old
    finally:
        await reader.close()
    assert await objects.get(REFERENCES, KEY) == new
    assert len(files(tmp_path)) == 2


async def test_deleting_leaves_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    await objects.put(REFERENCES, KEY, b"x", "audio/wav")
    await objects.delete(REFERENCES, KEY)
    assert await objects.stat(REFERENCES, KEY) is None
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../secret",
        "user/../../secret",
        "user/./x",
        "user//x",
        "user/",
        ".hidden",
        "user/x\0y",
        "user\\..\\x",
        "user/x.object",
        "user/" + "x" * 101,
        "a/" * 9 + "b",
        "user/ü",
        "user/x\n",
        "~root/x",
        "-rf",
    ],
)
async def test_no_key_leaves_the_folder(objects: LocalObjects, tmp_path: Path, key: str) -> None:
    for attempt in (
        objects.put(REFERENCES, key, b"x", "audio/wav"),
        objects.get(REFERENCES, key),
        objects.stat(REFERENCES, key),
        objects.delete(REFERENCES, key),
        objects.sign_get(REFERENCES, key),
        objects.sign_put(REFERENCES, key),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert list(tmp_path.iterdir()) == []


async def test_an_unknown_bucket_is_not_found(objects: LocalObjects) -> None:
    with pytest.raises(NotFoundError):
        await objects.put("..", KEY, b"x", "audio/wav")


async def test_a_type_the_bucket_does_not_take_is_refused(objects: LocalObjects, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="audio/wav"):
        await objects.put(REFERENCES, KEY, b"<html>", "text/html")
    assert files(tmp_path) == []


async def test_a_body_over_the_limit_leaves_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    limit = BUCKETS[REFERENCES].max_bytes
    megabyte = b"x" * MEGABYTE
    await objects.put_stream(REFERENCES, KEY, body(*[megabyte] * (limit // MEGABYTE)), "audio/wav")
    await objects.delete(REFERENCES, KEY)
    with pytest.raises(PayloadTooLargeError, match="10 MB"):
        await objects.put_stream(REFERENCES, KEY, body(*[megabyte] * (limit // MEGABYTE), b"x"), "audio/wav")
    assert files(tmp_path) == []


async def test_a_body_cut_short_leaves_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await objects.put_stream(REFERENCES, KEY, cut(), "audio/wav")
    assert files(tmp_path) == []


async def test_a_cancelled_upload_leaves_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    stuck = asyncio.Event()

    async def never_ending() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        stuck.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(objects.put_stream(REFERENCES, KEY, never_ending(), "audio/wav"))
    await stuck.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert files(tmp_path) == []


async def test_of_two_exclusive_uploads_one_wins(objects: LocalObjects, tmp_path: Path) -> None:
    results = await asyncio.gather(
        *(
            objects.put_stream(REFERENCES, KEY, body(bytes([n]) * 1000), "audio/wav", exclusive=True)
            for n in range(8)
        ),
        return_exceptions=True,
    )
    stored = [result for result in results if isinstance(result, ObjectStat)]
    assert len(stored) == 1
    assert sum(isinstance(result, ConflictError) for result in results) == 7
    assert hashlib.sha256(await objects.get(REFERENCES, KEY)).hexdigest() == stored[0].sha256
    assert len(files(tmp_path)) == 2


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow past 100 kB: the kernel says so as it says that a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_is_said_and_leaves_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"no space left to store audio; nothing was kept\."):
        await objects.put(REFERENCES, KEY, b"x" * 300_000, "audio/wav")
    assert files(tmp_path) == []
    await objects.put(REFERENCES, KEY, b"x" * 1000, "audio/wav")
    assert len(await objects.get(REFERENCES, KEY)) == 1000


async def test_damaged_bytes_are_never_handed_out(objects: LocalObjects, tmp_path: Path) -> None:
    await objects.put(REFERENCES, KEY, b"x" * 1000, "audio/wav")
    data = next(path for path in files(tmp_path) if not path.name.endswith(".object"))
    data.write_bytes(b"x" * 999 + b"y")
    with pytest.raises(UnderstudyError, match="damaged"):
        await objects.get(REFERENCES, KEY)
    data.write_bytes(b"x" * 10)
    with pytest.raises(UnderstudyError, match="shorter"):
        await objects.get(REFERENCES, KEY)
    data.unlink()
    with pytest.raises(NotFoundError):
        await objects.get(REFERENCES, KEY)


async def test_a_symbolic_link_is_not_followed(objects: LocalObjects, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    await objects.put(REFERENCES, KEY, b"public", "audio/wav")
    data = next(path for path in files(tmp_path) if path.name.endswith("-reference.wav"))
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(StoreUnavailableError):
        await objects.get(REFERENCES, KEY)


async def test_only_abandoned_uploads_are_swept(
    objects: LocalObjects, tmp_path: Path, clock: HandClock
) -> None:
    assert await objects.sweep() == 0
    await objects.put(REFERENCES, KEY, b"x", "audio/wav")
    left = tmp_path / "objects" / ".unfinished" / "0123"
    left.write_bytes(b"half")
    now_s = clock.now().timestamp()
    os.utime(left, (now_s, now_s))
    clock.advance(ABANDONED_AFTER_S)
    assert await objects.sweep() == 0
    clock.advance(1)
    assert await objects.sweep() == 1
    assert await objects.get(REFERENCES, KEY) == b"x"
