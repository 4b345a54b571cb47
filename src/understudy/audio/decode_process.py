"""The decoder process: compressed bytes on standard input, s16le mono on standard output.

Run as ``python -m understudy.audio.decode_process RATE MAX_DURATION_MS``. It opens no file and no
address: without the two allow-lists an ffconcat upload opens whatever it names (tried, facts/libraries.md
section 6).
"""

from __future__ import annotations

import io
import resource
import sys

from understudy.audio.decode import CODECS_MISSING

MEMORY_LIMIT_BYTES = 2 * 1024**3
CPU_LIMIT_S = 15

CONTAINER_OPTIONS = {
    "format_whitelist": "wav,mp3,flac,ogg,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,aiff",
    "protocol_whitelist": "",
    "max_streams": "4",
}


def main() -> int:
    """Decode standard input; the exit code says how it went (0 done, 1 refused, 3 no codecs)."""
    rate, max_duration_ms = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        import av  # noqa: PLC0415  (an extra; its absence is an answer, not a crash)
    except ImportError:
        return CODECS_MISSING
    data = sys.stdin.buffer.read()
    budget = rate * max_duration_ms // 1000 * 2 + 2
    try:
        with av.open(io.BytesIO(data), mode="r", options=CONTAINER_OPTIONS) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            for frame in container.decode(container.streams.audio[0]):
                for converted in resampler.resample(frame):
                    budget -= _write(converted)
                    if budget < 0:
                        return 0
            for converted in resampler.resample(None):
                _write(converted)
    except (av.FFmpegError, IndexError, ValueError, MemoryError):
        return 1
    return 0


def _write(frame: object) -> int:
    pcm: bytes = frame.to_ndarray().tobytes()  # type: ignore[attr-defined]
    sys.stdout.buffer.write(pcm)
    return len(pcm)


if __name__ == "__main__":
    sys.exit(main())
