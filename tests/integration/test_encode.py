"""What the encoders write decodes as one file, leaves early, and ends with its caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from understudy.audio import encode
from understudy.audio.decode import decode_upload
from understudy.audio.encode import NAMES, PLAIN, Encoders, encoded
from understudy.audio.wav import Clip, duration_ms, is_silent, to_pcm, write_wav
from understudy.errors import EncodingError

pytestmark = pytest.mark.integration

RATE = 24_000
COMPRESSED = [name for name in NAMES if name not in PLAIN]
MAGIC = {"mp3": b"\xff", "opus": b"OggS", "aac": b"\xff", "flac": b"fLaC", "wav": b"RIFF", "pcm": b""}
#: Bytes that come before the first frame: of FLAC, mostly padding.
HEADERS = {"flac": 8_400, "opus": 200, "wav": 44}
#: How much a format may add at its edges: whole frames, and the encoder's delay.
EDGES_MS = 120


def tone(seconds: float, rate: int = RATE) -> bytes:
    t = np.arange(int(seconds * rate)) / rate
    return to_pcm(Clip((np.sin(2 * np.pi * 220 * t) * 9000).astype(np.int16), rate))


async def fed(pcm: bytes, size: int = 1_920) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


async def decoded(name: str, data: bytes) -> Clip:
    if name == "pcm":
        return Clip(np.frombuffer(data, dtype="<i2"), RATE)
    return await decode_upload(data)


def children_of(pid: int) -> list[int]:
    """Live child processes; one that has ended and is not collected yet does not count."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def ended(pid: int) -> bool:
    """Whether a process is over; who inherits it may be slow to collect it, and a zombie is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest_asyncio.fixture
async def encoders() -> AsyncIterator[Encoders]:
    made = Encoders()
    yield made
    await made.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [RATE, 16_000, 22_050])
async def test_every_format_decodes_to_the_same_length(encoders: Encoders, name: str, rate: int) -> None:
    pieces = [piece async for piece in encoded(await encoders.open(name, rate), fed(tone(2.0, rate)))]
    assert b"".join(pieces).startswith(MAGIC[name])
    clip = await decoded(name, b"".join(pieces))
    assert 2_000 - 10 <= duration_ms(clip) <= 2_000 + EDGES_MS
    assert not is_silent(clip)


@pytest.mark.parametrize("name", NAMES)
async def test_bytes_leave_before_the_speech_is_over(encoders: Encoders, name: str) -> None:
    encoder = await encoders.open(name, RATE)
    pcm = tone(0.4)
    given = out = 0
    async for chunk in fed(pcm):
        given += len(chunk)
        out += len(await encoder.encode(chunk))
        if out > HEADERS.get(name, 0):
            break
    assert out > HEADERS.get(name, 0)
    assert given < len(pcm)
    await encoder.aclose()


@pytest.mark.parametrize("name", NAMES)
async def test_samples_may_be_cut_anywhere(encoders: Encoders, name: str) -> None:
    pcm = tone(0.5)
    whole = [piece async for piece in encoded(await encoders.open(name, RATE), fed(pcm, 2_000))]
    odd = [piece async for piece in encoded(await encoders.open(name, RATE), fed(pcm, 1_999))]
    one, other = await decoded(name, b"".join(whole)), await decoded(name, b"".join(odd))
    assert abs(duration_ms(one) - duration_ms(other)) <= 1


@pytest.mark.parametrize("name", NAMES)
async def test_half_a_sample_at_the_end_is_an_error(encoders: Encoders, name: str) -> None:
    with pytest.raises(EncodingError):
        async for _ in encoded(await encoders.open(name, RATE), fed(tone(0.1) + b"\x01")):
            pass


async def test_a_whole_clip_in_one_piece_is_encoded_in_several(encoders: Encoders) -> None:
    async def at_once() -> AsyncGenerator[bytes, None]:
        yield tone(30.0)

    pieces = [piece async for piece in encoded(await encoders.open("mp3", RATE), at_once())]
    assert len(pieces) > 20
    assert 29_990 <= duration_ms(await decode_upload(b"".join(pieces))) <= 30_000 + EDGES_MS


@pytest.mark.parametrize("name", COMPRESSED)
async def test_what_the_speech_raises_is_raised_and_nothing_follows(encoders: Encoders, name: str) -> None:
    class TruncatedError(Exception):
        pass

    async def broken() -> AsyncGenerator[bytes, None]:
        yield tone(1.0)
        raise TruncatedError

    with pytest.raises(TruncatedError):
        async for _ in encoded(await encoders.open(name, RATE), broken()):
            pass


async def test_a_hang_up_ends_the_child_and_leaves_the_others(
    encoders: Encoders, eventually: Callable[..., Any]
) -> None:
    leaving, staying = await encoders.open("aac", RATE), await encoders.open("aac", RATE)
    pid = encoders.pid
    assert pid is not None
    assert len(children_of(pid)) == 2
    stream = encoded(leaving, fed(tone(60.0)))
    await anext(stream)
    await stream.aclose()
    await eventually(lambda: len(children_of(pid)) == 1, what="the stream's child to end")
    rest = [piece async for piece in encoded(staying, fed(tone(1.0)))]
    assert duration_ms(await decode_upload(b"".join(rest))) >= 990
    with pytest.raises(EncodingError):
        await leaving.encode(b"\0\0")


async def test_the_death_of_a_stream_is_an_error_of_that_stream_only(encoders: Encoders) -> None:
    dying, staying = await encoders.open("opus", RATE), await encoders.open("opus", RATE)
    assert encoders.pid is not None
    os.kill(min(children_of(encoders.pid)), signal.SIGKILL)
    with pytest.raises(EncodingError):
        await dying.encode(tone(0.1))
    assert await staying.encode(tone(0.1)) + await staying.finish()
    await staying.aclose()


async def test_a_dead_encoder_process_is_started_again(
    encoders: Encoders, eventually: Callable[..., Any]
) -> None:
    await (await encoders.open("flac", RATE)).aclose()
    assert encoders.pid is not None
    first = encoders.pid
    os.kill(first, signal.SIGKILL)
    pieces = [piece async for piece in encoded(await encoders.open("flac", RATE), fed(tone(0.5)))]
    assert encoders.pid not in (None, first)
    assert duration_ms(await decode_upload(b"".join(pieces))) == 500


async def test_the_process_outlives_the_signals_of_its_group_and_ends_with_its_owner(
    encoders: Encoders, eventually: Callable[..., Any]
) -> None:
    encoder = await encoders.open("mp3", RATE)
    pid = encoders.pid
    assert pid is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
        os.kill(children_of(pid)[0], number)
    pieces = [piece async for piece in encoded(encoder, fed(tone(0.5)))]
    assert duration_ms(await decode_upload(b"".join(pieces))) >= 500
    assert encoders.pid == pid
    await encoders.close()
    await eventually(lambda: ended(pid), what="the process to be gone")


KILLED_OWNER = """
import asyncio, os
from understudy.audio.encode import Encoders
async def main():
    encoders = Encoders()
    encoder = await encoders.open("aac", 24_000)
    await encoder.encode(bytes(48_000))
    os.write(1, str(encoders.pid).encode())
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


async def test_nothing_outlives_a_killed_owner(eventually: Callable[..., Any]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_OWNER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    pid = int(out.splitlines()[-1])

    await eventually(
        lambda: ended(pid) and not children_of(pid), what="the encoder of a killed process to be gone"
    )


async def test_a_child_may_open_nothing_and_the_process_is_told_no_secret(
    encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret")
    encoder = await encoders.open("mp3", RATE)
    assert encoders.pid is not None
    child = children_of(encoders.pid)[0]
    limits = Path(f"/proc/{child}/limits").read_text()
    found = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()}
    assert found["Max open files"] == "0"
    assert found["Max file size"] == "0"
    assert found["Max cpu time"] == "60"
    assert found["Max address space"] == str(1024**3)
    assert b"sk-secret" not in Path(f"/proc/{encoders.pid}/environ").read_bytes()
    await encoder.aclose()


async def test_plain_formats_start_no_process(encoders: Encoders) -> None:
    for name in PLAIN:
        await encoders.prepare(name)
        assert [piece async for piece in encoded(await encoders.open(name, RATE), fed(tone(0.1)))]
    assert encoders.pid is None


async def test_without_the_codecs_only_plain_formats_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encode.available() == NAMES
    monkeypatch.setattr(encode.importlib.util, "find_spec", lambda _: None)
    assert encode.available() == PLAIN


async def test_a_streamed_wav_says_what_it_is(encoders: Encoders) -> None:
    pcm = tone(0.5)
    data = b"".join([piece async for piece in encoded(await encoders.open("wav", RATE), fed(pcm))])
    assert data[44:] == pcm
    exact = write_wav(Clip(np.frombuffer(pcm, dtype="<i2"), RATE))
    # The same header but for the two lengths, which nobody knows at the beginning.
    assert data[:4] + exact[4:8] + data[8:40] + exact[40:44] == exact[:44]
    assert struct.unpack("<I", data[40:44]) == (0xFFFFFFFF,)


async def test_many_streams_at_once(encoders: Encoders) -> None:
    async def one(name: str) -> int:
        pieces = [piece async for piece in encoded(await encoders.open(name, RATE), fed(tone(1.0)))]
        return duration_ms(await decoded(name, b"".join(pieces)))

    lengths = await asyncio.gather(*(one(name) for name in NAMES for _ in range(3)))
    assert min(lengths) >= 990
    assert max(lengths) <= 1_000 + EDGES_MS
