"""Qwen3-TTS open weights as the engine (package ``qwen-tts`` 0.1, checked against its source).

The models are given, so that everything but their arithmetic can be tried without a GPU.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from understudy.audio.wav import Clip, read_wav, write_wav
from understudy.errors import ValidationError
from understudy.jobserver.orders import DesignOrder, SpeechOrder

CLONE_MODEL = "Qwen/Qwen3-TTS-12Hz-1.7B-Base"
DESIGN_MODEL = "Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign"

Waves = Sequence[npt.NDArray[np.float32]]


class QwenModel(Protocol):
    """What is used of ``qwen_tts.Qwen3TTSModel``; waves are float, -1 to 1, with their rate."""

    def generate_voice_clone(
        self,
        text: str,
        language: str,
        ref_audio: tuple[npt.NDArray[np.float32], int],
        ref_text: str,
        **sampling: Any,
    ) -> tuple[Waves, int]:
        """Speak in the voice of a recording (the Base model)."""
        ...

    def generate_voice_design(
        self, text: str, instruct: str, language: str, **sampling: Any
    ) -> tuple[Waves, int]:
        """Speak in a voice as described (the VoiceDesign model)."""
        ...

    def get_supported_languages(self) -> list[str] | None:
        """Lower-case English names; ``None`` is any."""
        ...


class QwenEngine:
    """An :class:`understudy.jobserver.engine.Engine`; a GPU does one thing at a time."""

    def __init__(self, *, clone: QwenModel, design: QwenModel) -> None:
        self._clone = clone
        self._design = design
        self._gpu = asyncio.Lock()

    async def speak(self, order: SpeechOrder) -> bytes:
        """Clone the reference's voice."""
        _check_language(self._clone, order.language)
        reference = _waveform(order.reference)
        async with self._gpu:
            waves, rate = await asyncio.to_thread(
                self._clone.generate_voice_clone,
                text=order.text,
                language=order.language,
                ref_audio=reference,
                ref_text=order.transcript,
                max_new_tokens=order.max_new_tokens,
            )
        return _wav(waves, rate)

    async def design(self, order: DesignOrder) -> bytes:
        """Invent a voice."""
        _check_language(self._design, order.language)
        async with self._gpu:
            waves, rate = await asyncio.to_thread(
                self._design.generate_voice_design,
                text=order.text,
                instruct=order.instruct,
                language=order.language,
            )
        return _wav(waves, rate)


def load_model(name: str) -> QwenModel:
    """Load weights onto the GPU; needs ``qwen-tts`` and CUDA, which only the container has."""
    import torch  # noqa: PLC0415
    from qwen_tts import Qwen3TTSModel  # noqa: PLC0415

    model: QwenModel = Qwen3TTSModel.from_pretrained(
        name, device_map="cuda:0", dtype=torch.bfloat16, attn_implementation="sdpa"
    )
    return model


def _check_language(model: QwenModel, language: str) -> None:
    known = model.get_supported_languages()
    if known is not None and language != "Auto" and language.lower() not in {name.lower() for name in known}:
        raise ValidationError(f"Unknown language {language!r}: expected Auto or one of {', '.join(known)}.")


def _waveform(reference: str) -> tuple[npt.NDArray[np.float32], int]:
    try:
        clip = read_wav(base64.b64decode(reference, validate=True))
    except binascii.Error:
        raise ValidationError("ref_audio_base64 is not valid base64.") from None
    return (clip.samples / 32768.0).astype(np.float32), clip.rate


def _wav(waves: Waves, rate: int) -> bytes:
    wave = np.asarray(waves[0], dtype=np.float64)
    return write_wav(Clip(np.rint(np.clip(wave, -1.0, 1.0) * 32767).astype(np.int16), rate))
