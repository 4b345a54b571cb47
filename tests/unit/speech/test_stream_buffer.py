"""The hand-over of streamed speech: in order, bounded pieces, one end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from understudy.errors import StreamCancelledError, StreamTruncatedError
from understudy.speech.stream_buffer import READ_BYTES, StreamBuffer

pytestmark = pytest.mark.unit


async def drained(buffer: StreamBuffer) -> list[bytes]:
    return [data async for data in buffer.chunks()]


async def test_a_reader_that_keeps_up_gets_each_piece() -> None:
    buffer = StreamBuffer()
    async with aclosing(buffer.chunks()) as chunks:
        for piece in (b"one", b"two"):
            buffer.write(piece)
            assert await anext(chunks) == piece
        waiting = asyncio.create_task(anext(chunks))
        await asyncio.sleep(0)
        assert not waiting.done()
        buffer.finish()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_a_reader_that_fell_behind_gets_more_at_once_in_bounds() -> None:
    buffer = StreamBuffer()
    pieces = [bytes([number]) * 10_000 for number in range(20)]
    for piece in pieces:
        buffer.write(piece)
    buffer.finish()
    read = await drained(buffer)
    assert b"".join(read) == b"".join(pieces)
    assert len(read) == 4
    assert max(map(len, read)) <= READ_BYTES


async def test_one_piece_larger_than_that_goes_as_it_is() -> None:
    buffer = StreamBuffer()
    buffer.write(b"x" * (READ_BYTES + 1))
    buffer.write(b"y")
    buffer.finish()
    assert list(map(len, await drained(buffer))) == [READ_BYTES + 1, 1]


async def test_what_was_spoken_is_heard_before_the_break() -> None:
    buffer = StreamBuffer()
    buffer.write(b"begun")
    buffer.fail(StreamTruncatedError())
    chunks = buffer.chunks()
    assert await anext(chunks) == b"begun"
    with pytest.raises(StreamTruncatedError):
        await anext(chunks)


async def test_only_the_first_end_counts() -> None:
    buffer = StreamBuffer()
    buffer.fail(StreamCancelledError())
    buffer.fail(StreamTruncatedError())
    with pytest.raises(StreamCancelledError):
        await buffer.committed()
    whole = StreamBuffer()
    whole.write(b"x")
    whole.finish()
    whole.fail(StreamTruncatedError())
    assert await drained(whole) == [b"x"]


async def test_the_first_audio_is_the_commit_point() -> None:
    buffer = StreamBuffer()
    waiting = asyncio.create_task(buffer.committed())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not buffer.heard
    buffer.write(b"x")
    await waiting
    assert buffer.heard
