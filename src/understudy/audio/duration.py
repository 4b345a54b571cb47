"""How long encoded speech lasts, told from its framing alone, while it arrives.

Nothing is decoded: PCM and WAV are counted in samples, MP3 in frames, Ogg Opus in granule positions. A
:class:`DurationMeter` takes the bytes in whatever pieces they come, so a stream that ends early is known to
be short without a decoder. Digital silence shows in the framing as well: it takes no bits. How loud the rest
is, is for a decoder to say.
"""

from __future__ import annotations

import struct
from typing import Protocol

#: Bits of an MP3 frame's header, MPEG 1 / 2 / 2.5, layer III (ISO 11172-3, 13818-3).
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MP3_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_III = 1
_MPEG_1 = 3
_OPUS_RATE = 48_000
_OGG_HEADER_BYTES = 27
_BEGIN_OF_STREAM = 0x02
_MAX_WAV_HEADER_BYTES = 64 * 1024
#: An Opus packet of digital silence: its first byte and the two of a coder that has nothing to code.
_SILENT_OPUS_BYTES = 3


class DurationMeter(Protocol):
    """Takes encoded audio piece by piece and knows at any time how much of it is whole."""

    @property
    def duration_ms(self) -> int:
        """Of the frames that arrived whole."""
        ...

    @property
    def frames(self) -> int:
        """How many frames arrived whole; samples for PCM and WAV, pages of audio for Ogg."""
        ...

    @property
    def sounding(self) -> int:
        """How many of them are not digital silence; for PCM and WAV all, whose samples tell it themselves."""
        ...

    @property
    def stray_bytes(self) -> int:
        """Bytes that belong to no frame: the stream is not what it claims, or pieces of it are missing."""
        ...

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        ...


def duration_meter(audio_format: str, rate: int) -> DurationMeter:
    """Return a meter for ``pcm`` (16 bit, mono), ``wav``, ``mp3`` or ``opus`` (in Ogg).

    Parameters
    ----------
    rate
        Samples a second of raw PCM; every other format carries its own.

    Raises
    ------
    ValueError
        There is no such format here.
    """
    match audio_format:
        case "pcm":
            return PcmDuration(rate)
        case "wav":
            return WavDuration()
        case "mp3":
            return Mp3Duration()
        case "opus":
            return OggOpusDuration()
    raise ValueError(f"No duration is known of {audio_format}.")


def duration_ms_of(data: bytes, audio_format: str, rate: int) -> int:
    """Milliseconds of whole audio in ``data``, complete or cut off."""
    meter = duration_meter(audio_format, rate)
    meter.feed(data)
    return meter.duration_ms


class PcmDuration:
    """16-bit mono samples at ``rate``."""

    stray_bytes = 0

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._bytes = 0

    @property
    def duration_ms(self) -> int:
        """Milliseconds of whole samples."""
        return self.frames * 1000 // self._rate

    @property
    def frames(self) -> int:
        """Whole samples."""
        return self._bytes // 2

    @property
    def sounding(self) -> int:
        """All of them, as far as this meter looks."""
        return self.frames

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._bytes += len(data)


class WavDuration:
    """A PCM WAV: what follows the start of its ``data`` chunk, whatever length a streamed header promises.

    ``data_offset`` is where the samples start, once the header is there.
    """

    def __init__(self) -> None:
        self._header = b""
        self._data_bytes = 0
        self._bytes_a_second = 0
        self._block = 2
        self.data_offset: int | None = None
        self.stray_bytes = 0

    @property
    def duration_ms(self) -> int:
        """Milliseconds of whole samples."""
        return self.frames * self._block * 1000 // self._bytes_a_second if self._bytes_a_second else 0

    @property
    def frames(self) -> int:
        """Whole samples (of all channels)."""
        return self._data_bytes // self._block

    @property
    def sounding(self) -> int:
        """All of them, as far as this meter looks."""
        return self.frames

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        if self.data_offset is not None:
            self._data_bytes += len(data)
            return
        if self.stray_bytes:
            self.stray_bytes += len(data)
            return
        self._header += data
        self._read_header()

    def _read_header(self) -> None:
        header = self._header
        if not b"RIFF".startswith(header[:4]) or not b"WAVE".startswith(header[8:12]):
            self.stray_bytes = len(header)
        offset = 12
        while not self.stray_bytes and len(header) >= offset + 8:
            name, size = header[offset : offset + 4], struct.unpack_from("<I", header, offset + 4)[0]
            if name == b"data":
                self.data_offset = offset + 8
                self._data_bytes = len(header) - self.data_offset
                self._header = b""
                return
            if name == b"fmt " and len(header) >= offset + 24:
                self._bytes_a_second, block = struct.unpack_from("<IH", header, offset + 16)
                self._block = block or 2
            offset += 8 + size + size % 2
        if len(header) > _MAX_WAV_HEADER_BYTES:
            self.stray_bytes = len(header)


def without_header(data: bytes) -> bytes:
    """``data`` without the WAV header that it begins with, if it begins with a whole one."""
    meter = WavDuration()
    meter.feed(data)
    return data[meter.data_offset :] if meter.data_offset is not None else data


class Mp3Duration:
    """MP3 frames of any MPEG version, layer III; constant or variable bit rate.

    A frame counts once all its bytes are there. A frame that only indexes the others (Xing, Info) is not
    speech and does not count.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0
        self._seconds = 0.0
        self.frames = 0
        self.sounding = 0
        self.stray_bytes = 0

    @property
    def duration_ms(self) -> int:
        """Milliseconds of whole frames."""
        return int(self._seconds * 1000)

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        buffer = self._buffer
        buffer += data
        at = 0
        while True:
            if self._skip:
                skipped = min(self._skip, len(buffer) - at)
                at += skipped
                self._skip -= skipped
                if self._skip:
                    break
            if len(buffer) - at < 4:
                break
            tag = self._tag_length(at)
            if tag is not None:
                if tag == 0:
                    break
                self._skip = tag
                continue
            frame = mp3_frame(buffer[at : at + 4])
            if frame is None:
                found = buffer.find(0xFF, at + 1)
                start = found if found >= 0 else len(buffer)
                self.stray_bytes += start - at
                at = start
                continue
            length, seconds = frame
            if len(buffer) - at < length:
                break
            if not _is_index(buffer[at : at + length]):
                self._seconds += seconds
                self.frames += 1
                self.sounding += _has_sound(buffer[at : at + length])
            at += length
        del buffer[:at]

    def _tag_length(self, at: int) -> int | None:
        """Bytes of an ID3 tag that starts here, 0 when its head is not all there yet, ``None`` for no tag."""
        if self._buffer[at : at + 3] == b"TAG":
            return 128
        if self._buffer[at : at + 3] != b"ID3":
            return None
        head = self._buffer[at : at + 10]
        if len(head) < 10:
            return 0
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size


def mp3_frame(header: bytes | bytearray) -> tuple[int, float] | None:
    """Bytes and seconds of the MP3 frame that these 4 bytes start; ``None`` where none starts."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    kbps_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _MP3_RATES or layer != _LAYER_III or rate_index == 3 or kbps_index in {0, 15}:
        return None
    rate = _MP3_RATES[version][rate_index]
    bits = (_MP3_KBPS_1 if version == _MPEG_1 else _MP3_KBPS_2)[kbps_index] * 1000
    samples = 1152 if version == _MPEG_1 else 576
    return samples // 8 * bits // rate + padding, samples / rate


def _has_sound(frame: bytearray) -> bool:
    """Whether a granule of the frame spends bits on its spectrum (``part2_3_length``, ISO 11172-3)."""
    channels = 1 if frame[3] >> 6 == 3 else 2
    if frame[1] >> 3 & 3 == _MPEG_1:
        at, granules, granule_bits = (14 if channels == 1 else 12) + 4 * channels, 2, 59
    else:
        at, granules, granule_bits = 8 + channels, 1, 63
    start = 4 if frame[1] & 1 else 6
    side = int.from_bytes(frame[start : start + 32].ljust(32, b"\0"), "big")
    lengths = range(at, at + granules * channels * granule_bits, granule_bits)
    return any(side >> (256 - 12 - length) & 0xFFF for length in lengths)


def _is_index(frame: bytearray) -> bool:
    return b"Xing" in frame[:48] or b"Info" in frame[:48]


class OggOpusDuration:
    """Ogg Opus by its granule positions (RFC 7845): 48 000 a second, less the pre-skip; chained streams add.

    A page counts once all its bytes are there; ``frames`` counts pages of audio.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended_samples = 0
        self._pre_skip = 0
        self._granule = 0
        self._packet_bytes = 0
        self.frames = 0
        self.sounding = 0
        self.stray_bytes = 0

    @property
    def duration_ms(self) -> int:
        """Milliseconds of whole pages."""
        return (self._ended_samples + max(0, self._granule - self._pre_skip)) * 1000 // _OPUS_RATE

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            if buffer[at : at + 4] != b"OggS":
                found = buffer.find(b"OggS", at + 1)
                # The last three bytes may begin the next page.
                start = found if found >= 0 else len(buffer) - 3
                self.stray_bytes += start - at
                at = start
                continue
            if len(buffer) - at < _OGG_HEADER_BYTES:
                break
            segments = buffer[at + 26]
            body = at + _OGG_HEADER_BYTES + segments
            if len(buffer) < body:
                break
            end = body + sum(buffer[at + _OGG_HEADER_BYTES : body])
            if len(buffer) < end:
                break
            granule = struct.unpack_from("<q", buffer, at + 6)[0]
            self._page(buffer[at + 5], granule, buffer[at + _OGG_HEADER_BYTES : body], buffer[body:end])
            at = end
        del buffer[:at]

    def _page(self, flags: int, granule: int, segments: bytearray, body: bytearray) -> None:
        if flags & _BEGIN_OF_STREAM:
            self._ended_samples += max(0, self._granule - self._pre_skip)
            self._granule = 0
            head = body[:8] == b"OpusHead" and len(body) >= 12
            self._pre_skip = struct.unpack_from("<H", body, 10)[0] if head else 0
        elif body[:8] != b"OpusTags" and granule > 0:
            self._granule = granule
            self.frames += 1
            self.sounding += self._has_sound(segments)

    def _has_sound(self, segments: bytearray) -> bool:
        """Whether a packet that ends on this page is more than digital silence takes."""
        largest = 0
        for size in segments:
            self._packet_bytes += size
            if size < 255:
                largest, self._packet_bytes = max(largest, self._packet_bytes), 0
        return largest > _SILENT_OPUS_BYTES
