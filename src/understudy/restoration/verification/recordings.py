"""The voice that canaries clone: three public-domain recordings that ship with the package."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.audio.wav import Clip, join, read_wav, write_wav
from understudy.resources import samples_dir

#: LibriVox, "Sense and Sensibility", chapter 1, one reader; joined 18.4 s, inside the 10-20 s a clone wants.
SPOKEN = {
    "austen-0870.wav": "and mister john dashwood had then leisure to consider how much there might be "
    "prudently in his power to do for them",
    "austen-0890.wav": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    "austen-0920.wav": "had he married a more a amiable woman he might have been made still more "
    "respectable than he was",
}

#: Digits, so that an offline recogniser can hear them back; the languages of facts/api.md.
SENTENCES = {
    "Auto": "Four seven one. Nine two eight. The understudy is ready.",
    "English": "Four seven one. Nine two eight. The understudy is ready.",
    "Chinese": "四七一，九二八，替补演员已经准备好了。",
    "German": "Vier sieben eins. Neun zwei acht. Die Zweitbesetzung ist bereit.",
    "Italian": "Quattro sette uno. Nove due otto. Il sostituto è pronto.",
    "Portuguese": "Quatro sete um. Nove dois oito. O substituto está pronto.",
    "Spanish": "Cuatro siete uno. Nueve dos ocho. El suplente está listo.",
    "Japanese": "よん、なな、いち。きゅう、に、はち。だいやくのじゅんびができました。",
    "Korean": "사 칠 일. 구 이 팔. 대역 배우가 준비되었습니다.",
    "French": "Quatre sept un. Neuf deux huit. La doublure est prête.",
    "Russian": "Четыре семь один. Девять два восемь. Дублёр готов.",
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded voice: one WAV (mono, 16 bit, 16 kHz) and what is said in it, in English."""

    audio: bytes
    transcript: str
    language: str = "English"
    content_type: str = "audio/wav"


def canary_recording() -> Recording:
    """Return the three shipped recordings as one."""
    clips: list[Clip] = [read_wav((samples_dir() / name).read_bytes()) for name in SPOKEN]
    return Recording(audio=write_wav(join(clips)), transcript=" ".join(SPOKEN.values()))
