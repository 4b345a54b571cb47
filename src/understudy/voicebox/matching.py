"""Measure a reference's pitch, formants and rate, and move the engine's voice there (Praat, by parselmouth).

Only the worker process imports this: parselmouth is GPL-3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import parselmouth
from parselmouth.praat import call, run

from understudy.audio.wav import Clip
from understudy.errors import ValidationError
from understudy.voicebox.shape import VoiceShape

_FLOOR_HZ, _CEILING_HZ = 60.0, 500.0
_STEP_S = 0.01
#: Third and fourth formant of the plain engine (en-us+klatt4, measured here over 7 s of prose).
#: Lower formants depend on which vowels were said, so they say little about the speaker.
_ENGINE_F3_HZ, _ENGINE_F4_HZ = 2479.0, 3326.0
#: Praat needs three periods of the lowest pitch.
_SHORTEST_S = 3.5 / _FLOOR_HZ
#: Less voiced speech than this gives no pitch to trust.
_LEAST_VOICED_S = 0.5
#: English prose has about 1.5 syllables a word.
_SYLLABLES_PER_WORD = 1.5

Samples = npt.NDArray[np.int16]


def measure_pitch_hz(clip: Clip) -> float:
    """Median fundamental frequency over the voiced frames; 0 when nothing is voiced."""
    return _pitch(_sound(clip.samples, clip.rate))[0]


def shape_of_reference(clip: Clip) -> VoiceShape:
    """Estimate the shape of the voice in ``clip``.

    Raises
    ------
    ValidationError
        Too little voiced speech to tell.
    """
    sound = _sound(clip.samples, clip.rate)
    pitch_hz, voiced_at_s = _pitch(sound) if sound.duration > _SHORTEST_S else (0.0, np.zeros(0))
    if len(voiced_at_s) * _STEP_S < _LEAST_VOICED_S:
        raise ValidationError("The recording holds too little voiced speech.")
    formants = sound.to_formant_burg(time_step=_STEP_S, maximum_formant=5500.0)
    moments = voiced_at_s[:: max(1, len(voiced_at_s) // 400)]
    ratios = [
        np.nanmedian([formants.get_value_at_time(number, moment) for moment in moments]) / engine_hz
        for number, engine_hz in ((3, _ENGINE_F3_HZ), (4, _ENGINE_F4_HZ))
    ]
    known = [float(ratio) for ratio in ratios if np.isfinite(ratio)]
    return VoiceShape(
        pitch_hz=pitch_hz,
        formant_ratio=sum(known) / len(known) if known else 1.0,
        words_per_minute=round(_syllables_per_s(sound, voiced_at_s) * 60.0 / _SYLLABLES_PER_WORD),
    ).within_limits()


def apply_shape(samples: Samples, rate: int, shape: VoiceShape) -> Samples:
    """Move ``samples`` (shape ``(n,)``) to the shape's pitch, formants and pitch range.

    Pieces too short or without voice come back as they are.
    """
    sound = _sound(samples, rate)
    if sound.duration <= _SHORTEST_S:
        return samples
    # Praat fills unvoiced stretches at random moments; seeded, the same request is the same audio.
    run("random_initializeWithSeedUnsafelyButPredictably (1)")
    try:
        moved = call(
            sound,
            "Change gender",
            _FLOOR_HZ,
            _CEILING_HZ,
            shape.formant_ratio,
            shape.pitch_hz,
            shape.liveliness,
            1.0,
        )
    except parselmouth.PraatError:  # Praat's answer to a piece without any voiced frame
        return samples
    values = np.asarray(moved.values[0])
    loudest = float(np.max(np.abs(values))) if values.size else 0.0
    return np.rint(values * (32767.0 / max(1.0, loudest))).astype(np.int16)


def _sound(samples: Samples, rate: int) -> parselmouth.Sound:
    return parselmouth.Sound(samples.astype(np.float64) / 32768.0, float(rate))


def _pitch(sound: parselmouth.Sound) -> tuple[float, npt.NDArray[np.float64]]:
    """Median pitch in Hz and the voiced moments in s: a wide search, then one around its median."""
    wide = sound.to_pitch(time_step=_STEP_S, pitch_floor=_FLOOR_HZ, pitch_ceiling=_CEILING_HZ)
    voiced = wide.selected_array["frequency"]
    voiced = voiced[voiced > 0]
    if not voiced.size:
        return 0.0, np.zeros(0)
    middle = float(np.median(voiced))
    near = sound.to_pitch(time_step=_STEP_S, pitch_floor=max(50.0, middle * 0.6), pitch_ceiling=middle * 2.0)
    values = near.selected_array["frequency"]
    if not np.any(values > 0):
        return middle, wide.xs()[wide.selected_array["frequency"] > 0]
    return float(np.median(values[values > 0])), near.xs()[values > 0]


def _syllables_per_s(sound: parselmouth.Sound, voiced_at_s: npt.NDArray[np.float64]) -> float:
    """Peaks of intensity in voiced speech, 2 dB above the dips beside them (de Jong and Wempe 2009)."""
    intensity = sound.to_intensity(minimum_pitch=_FLOOR_HZ, time_step=_STEP_S)
    levels, moments = np.asarray(intensity.values[0]), intensity.xs()
    quiet = np.percentile(levels, 95) - 25.0
    peaks, dip = 0, float("inf")
    for index in range(1, len(levels) - 1):
        dip = min(dip, float(levels[index]))
        is_peak = levels[index - 1] < levels[index] >= levels[index + 1] and levels[index] > quiet
        if (
            is_peak
            and levels[index] - dip > 2.0
            and np.min(np.abs(voiced_at_s - moments[index])) < 2 * _STEP_S
        ):
            peaks, dip = peaks + 1, float("inf")
    speaking_s = max(_STEP_S, float(np.count_nonzero(levels > quiet)) * _STEP_S)
    return peaks / speaking_s
