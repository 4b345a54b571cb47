"""The few numbers that make one espeak-ng voice sound like another."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any

#: Speaking rates that the digit recogniser still follows (measured here: 120 to 160 words a minute).
SLOWEST_WPM, FASTEST_WPM = 120, 160
#: Beyond these ratios Praat's resampled envelope stops sounding like speech to the recogniser.
LOWEST_FORMANT, HIGHEST_FORMANT = 0.93, 1.10
LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ = 70.0, 320.0


@dataclass(frozen=True, slots=True)
class VoiceShape:
    """How a voice differs from the plain engine.

    Parameters
    ----------
    pitch_hz
        Median fundamental frequency.
    formant_ratio
        Formants relative to the plain engine's; above 1 is a shorter vocal tract.
    words_per_minute
        Speaking rate.
    liveliness
        Factor on the pitch range; below 1 is calmer.
    """

    pitch_hz: float = 110.0
    formant_ratio: float = 1.0
    words_per_minute: int = 140
    liveliness: float = 1.0

    def within_limits(self) -> VoiceShape:
        """Return the nearest shape that stays intelligible."""
        return VoiceShape(
            pitch_hz=_clamp(self.pitch_hz, LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ),
            formant_ratio=_clamp(self.formant_ratio, LOWEST_FORMANT, HIGHEST_FORMANT),
            words_per_minute=round(_clamp(self.words_per_minute, SLOWEST_WPM, FASTEST_WPM)),
            liveliness=_clamp(self.liveliness, 0.3, 1.5),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, for a frame or a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> VoiceShape:
        """Read what :meth:`to_json` wrote."""
        return cls(
            pitch_hz=float(fields["pitch_hz"]),
            formant_ratio=float(fields["formant_ratio"]),
            words_per_minute=int(fields["words_per_minute"]),
            liveliness=float(fields["liveliness"]),
        )


_SPEAKERS = (
    (r"child|kid|boy|girl|儿童|孩", VoiceShape(pitch_hz=265.0, formant_ratio=1.10)),
    (
        r"female|woman|women|lady|mother|grandmother|she|her|女",
        VoiceShape(pitch_hz=205.0, formant_ratio=1.08),
    ),
    (r"male|man|men|gentleman|father|grandfather|he|his|男", VoiceShape(pitch_hz=112.0)),
)
_NEUTRAL = VoiceShape(pitch_hz=150.0, formant_ratio=1.03)
#: (words, factor on pitch, factor on rate, factor on liveliness)
_TRAITS = (
    (r"deep|low|bass|baritone|gruff|低沉", 0.82, 1.0, 1.0),
    (r"high|bright|light|soprano|shrill|清亮", 1.18, 1.0, 1.0),
    (r"old|elderly|aged|grand\w+|老", 0.92, 0.94, 0.9),
    (r"young|youthful|teen\w*|年轻", 1.08, 1.03, 1.1),
    (r"slow|slowly|unhurried|measured|缓慢", 1.0, 0.87, 1.0),
    (r"fast|quick|rapid|brisk|hurried|快", 1.0, 1.14, 1.0),
    (r"calm|gentle|soft|soothing|monotone|serious|warm|平静|温柔", 0.98, 0.96, 0.7),
    (r"excited|energetic|cheerful|lively|happy|expressive|活泼", 1.06, 1.05, 1.4),
)


def shape_from_description(text: str) -> VoiceShape:
    """Map a description ("a calm, deep male narrator") to a shape.

    The same text always gives the same shape; texts that name no trait still differ a little from each other.
    """
    lowered = text.lower()
    speaker = next((shape for words, shape in _SPEAKERS if _mentions(lowered, words)), _NEUTRAL)
    pitch, rate, liveliness = speaker.pitch_hz, float(speaker.words_per_minute), speaker.liveliness
    for words, on_pitch, on_rate, on_liveliness in _TRAITS:
        if _mentions(lowered, words):
            pitch, rate, liveliness = pitch * on_pitch, rate * on_rate, liveliness * on_liveliness
    nuance = hashlib.sha256(lowered.encode()).digest()[0] / 255.0
    shape = VoiceShape(pitch * (0.96 + 0.08 * nuance), speaker.formant_ratio, round(rate), liveliness)
    return shape.within_limits()


def _mentions(text: str, words: str) -> bool:
    """Whether a word of ``words`` stands in ``text``; Han has no word boundaries, so it matches anywhere."""
    latin = "|".join(word for word in words.split("|") if word.isascii())
    han = [word for word in words.split("|") if not word.isascii()]
    return re.search(rf"\b(?:{latin})\b", text) is not None or any(word in text for word in han)


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
