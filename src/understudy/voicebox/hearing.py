"""Hear which digits a recording says: proof that speech, not just noise, arrived.

pocketsphinx with a grammar of the ten digits. Open vocabulary is no gate here (word error rate 0.5 and more,
facts/libraries.md section 4), so checks let voices speak digits. English only.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from understudy.audio.wav import Clip, read_wav, resample
from understudy.errors import ConfigurationError, ValidationError, VoiceboxError

_RECOGNISER_RATE = 16_000
_PEAK = 0.25
#: Synthetic silence is exactly zero, which the recogniser takes for speech; this much noise makes it a room.
#: Tuned on 48 digits in each of six male shapes of this voicebox: 2 of 288 wrong, where 0.003 had 18.
_DITHER_SIGMA = 0.001
_DITHER_SEED = 20261124
_PADDING_S = 0.5
#: Cost of one more word: without it "seven" is often heard as "two one".
_WORD_PENALTY = 0.01
_LONGEST_S = 60
_DEADLINE_S = 60.0
_NOT_INSTALLED = 3

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = {word: str(value) for value, word in enumerate(_WORDS)} | {"oh": "0"}


async def hear_digits(wav: bytes) -> list[str]:
    """Return the digits heard in ``wav``, each as one character; the same bytes give the same answer.

    Recognition runs in a process of its own: about 0.5 s for six digits, and the caller's loop stays free.

    Raises
    ------
    ValidationError
        Not a WAV of at most 60 s.
    ConfigurationError
        The extra ``local`` (pocketsphinx) is not installed.
    VoiceboxError
        The recogniser failed or took more than a minute.
    """
    _check(read_wav(wav))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.voicebox.hearing",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_DEADLINE_S):
            answer, _ = await process.communicate(wav)
    except TimeoutError:
        raise VoiceboxError("The recogniser did not answer in time.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == _NOT_INSTALLED:
        raise ConfigurationError("Hearing needs the extra `local` (pip install 'understudy[local]').")
    if process.returncode != 0:
        raise VoiceboxError("The recogniser failed.")
    heard: list[str] = json.loads(answer)
    return heard


def recognise_digits(clip: Clip) -> list[str]:
    """Return the digits in ``clip``; blocks for about a tenth of the clip's length.

    Raises
    ------
    ImportError
        pocketsphinx is not installed.
    """
    from pocketsphinx import Decoder  # noqa: PLC0415  # optional, and 0.2 s to load

    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder) / "digits.gram"
        grammar.write_text(f"#JSGF V1.0; grammar digits; public <digits> = ({' | '.join(_WORDS)})+ ;")
        decoder = Decoder(
            samprate=_RECOGNISER_RATE, jsgf=str(grammar), loglevel="FATAL", cmn="batch", wip=_WORD_PENALTY
        )
    floats = resample(clip, _RECOGNISER_RATE).samples.astype(np.float64) / 32768.0
    peak = float(np.max(np.abs(floats))) if floats.size else 0.0
    if peak == 0.0:
        return []
    padding = np.zeros(round(_RECOGNISER_RATE * _PADDING_S))
    padded = np.concatenate([padding, floats * (_PEAK / peak), padding])
    dithered = padded + np.random.default_rng(_DITHER_SEED).normal(0.0, _DITHER_SIGMA, len(padded))
    decoder.start_utt()
    decoder.process_raw((np.clip(dithered, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return [_DIGITS[word] for word in hypothesis.hypstr.split()] if hypothesis else []


def to_digits(said: str | Sequence[str]) -> list[str]:
    """Return the digits of ``said``: "4 7 1", "471", "four seven one" or a list of either."""
    words = said.lower().replace(",", " ").replace(".", " ").split() if isinstance(said, str) else said
    digits: list[str] = []
    for word in words:
        digits.extend([_DIGITS[word]] if word in _DIGITS else [c for c in word if c.isdigit()])
    return digits


def digit_error_rate(said: str | Sequence[str], heard: str | Sequence[str]) -> float:
    """Edit distance between both digit strings over the length of ``said``; 0 is perfect, it may exceed 1.

    Raises
    ------
    ValidationError
        ``said`` holds no digit.
    """
    expected, actual = to_digits(said), to_digits(heard)
    if not expected:
        raise ValidationError("No digit was said, so none can be missed.")
    row = list(range(len(actual) + 1))
    for index, digit in enumerate(expected, start=1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(actual, start=1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (digit != other))
            diagonal, row[column] = row[column], cost
    return row[-1] / len(expected)


def _check(clip: Clip) -> None:
    if len(clip.samples) > clip.rate * _LONGEST_S:
        raise ValidationError(f"The recording is longer than {_LONGEST_S} s.")


def main() -> None:
    """Read a WAV from standard input, write the digits as JSON."""
    clip = read_wav(sys.stdin.buffer.read())
    try:
        heard = recognise_digits(clip)
    except ImportError:
        raise SystemExit(_NOT_INSTALLED) from None
    sys.stdout.write(json.dumps(heard))


if __name__ == "__main__":
    main()
