"""Read the recording of a clone request, with the checks of facts/dashscope.md section 5."""

from __future__ import annotations

import base64
import binascii
import re

from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms
from understudy.errors import ConfigurationError, ValidationError
from understudy.standins.refusals import RefusalError, invalid_parameter

#: Both the file and its base64 text stay under this.
MAX_BYTES = 10 * 1024 * 1024
MIN_RATE = 24_000
LONGEST_MS, SHORTEST_MS = 60_000, 3_000

_DATA_URL = re.compile(r"data:(audio/(?:wav|mpeg|mp4));base64,(.*)", re.DOTALL)


async def read_recording(data: object) -> Clip:
    """Decode ``input.audio.data`` and check size, rate and length.

    A compressed file is decoded at 24 kHz, so only a WAV can be refused for its rate. Links are not followed:
    a stand-in reaches nothing beyond this machine.

    Raises
    ------
    RefusalError
        With the vendor's code for each reason.
    """
    if not isinstance(data, str) or not (found := _DATA_URL.fullmatch(data)):
        raise invalid_parameter("audio.data must be a base64 data URL of audio/wav, audio/mpeg or audio/mp4.")
    encoded = found.group(2)
    if len(encoded) >= MAX_BYTES:
        raise invalid_parameter("The audio exceeds 10 MB after base64 encoding.")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise invalid_parameter("audio.data is not valid base64.") from None
    try:
        clip = await decode_upload(raw)
    except (ValidationError, ConfigurationError) as error:
        raise RefusalError("Audio.DecoderError", f"Failed to decode the audio: {error.message}") from None
    if clip.rate < MIN_RATE:
        raise RefusalError("Audio.AudioRateError", f"The sample rate {clip.rate} Hz is below {MIN_RATE} Hz.")
    if duration_ms(clip) > LONGEST_MS:
        raise RefusalError("Audio.DurationLimitError", "The audio is longer than 60 seconds.")
    if duration_ms(clip) < SHORTEST_MS:
        raise too_little_speech()
    return clip


def too_little_speech() -> RefusalError:
    """Silence, noise, or less than 3 s."""
    return RefusalError("Audio.PreprocessError", "No segments meet minimum duration requirement")
