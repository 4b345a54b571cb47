"""Streamed speech on its way into storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from understudy.audio.wav import from_pcm, read_wav, write_wav
from understudy.providers.base import AudioFormat
from understudy.store.buckets import GENERATIONS
from understudy.store.objects import ObjectStat, ObjectStore

#: Handed to storage at once; a shorter clip is one write at its end. Half a minute of MP3 at 64 kbit/s.
BLOCK_BYTES = 256 * 1024

#: Formats a player opens as they are streamed; PCM becomes a WAV, whose header needs the length.
_AS_STREAMED = frozenset({AudioFormat.MP3, AudioFormat.OPUS})


class Recording:
    """Takes speech as it is streamed; :meth:`finish` makes it one object, :meth:`discard` none.

    Parameters
    ----------
    key
        In the bucket of generations, without the extension that the format decides.
    """

    def __init__(self, objects: ObjectStore, key: str, audio_format: AudioFormat, sample_rate: int) -> None:
        self._objects = objects
        self._streamed = audio_format in _AS_STREAMED
        self._rate = sample_rate
        self._from_pcm = audio_format is AudioFormat.PCM
        #: As it is stored: what ``generations.output_format`` says.
        self.audio_format = audio_format if self._streamed else AudioFormat.WAV
        self.key = f"{key}.{self.audio_format}"
        self._pending = bytearray()
        self._blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._storing: asyncio.Task[ObjectStat] | None = None

    def write(self, data: bytes) -> None:
        """Take the next piece; never waits: what storage has not taken yet is held, up to the clip."""
        self._pending += data
        if self._streamed and len(self._pending) >= BLOCK_BYTES:
            self._hand_over()

    async def finish(self) -> ObjectStat:
        """Store what came, durably.

        Raises
        ------
        StoreUnavailableError
            The storage failed; nothing is kept.
        PayloadTooLargeError
            It is more than an object may be.
        """
        if self._storing is None:
            data = bytes(self._pending)
            if not self._streamed:
                data = await asyncio.to_thread(self._whole_wav, data)
            return await self._objects.put(GENERATIONS, self.key, data, self.audio_format.content_type)
        self._hand_over()
        self._blocks.put_nowait(None)
        return await self._storing

    def _whole_wav(self, data: bytes) -> bytes:
        """As a WAV whose header says how long it is; a streamed one leaves that open."""
        return write_wav(from_pcm(data, self._rate) if self._from_pcm else read_wav(data))

    async def discard(self) -> None:
        """Keep nothing, whatever is stored already."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.wait({self._storing})
        self._pending.clear()
        await self._objects.delete(GENERATIONS, self.key)

    def _hand_over(self) -> None:
        self._blocks.put_nowait(bytes(self._pending))
        self._pending.clear()
        if self._storing is None:
            self._storing = asyncio.create_task(
                self._objects.put_stream(
                    GENERATIONS, self.key, self._bodies(), self.audio_format.content_type
                ),
                name=f"store-{self.key}",
            )

    async def _bodies(self) -> AsyncGenerator[bytes, None]:
        while (block := await self._blocks.get()) is not None:
            yield block
