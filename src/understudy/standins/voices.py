"""The voices of the DashScope account: a file pair each, so that a restarted stand-in still knows them."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from understudy.standins.durable import write_atomically
from understudy.voicebox.shape import VoiceShape

VoiceKind = Literal["vc", "vd"]


@dataclass(frozen=True, slots=True)
class AccountVoice:
    """One enrolled (``vc``) or designed (``vd``) voice, bound to ``target_model`` for good."""

    voice: str
    kind: VoiceKind
    target_model: str
    language: str
    created_at: datetime
    shape: VoiceShape
    prompt: str = ""
    preview_text: str = ""

    def to_json(self) -> dict[str, object]:
        """Fields for the file."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}


def name_voice(kind: VoiceKind, preferred_name: str, at: datetime) -> str:
    """Make a voice id as the vendor does: time to the millisecond for clones, to the second for designs."""
    stamp = at.strftime("%Y%m%d%H%M%S") + (f"{at.microsecond // 1000:03d}" if kind == "vc" else "")
    return f"qwen-tts-{kind}-{preferred_name}-voice-{stamp}-{secrets.token_hex(2)}"


class VoiceShelf:
    """All voices of the account, in memory and under ``folder``.

    The audio is written first; the JSON file beside it makes the voice exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._voices: dict[str, AccountVoice] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in sorted(folder.glob("*.json")):
            fields = json.loads(file.read_text())
            fields["created_at"] = datetime.fromisoformat(fields["created_at"])
            fields["shape"] = VoiceShape.from_json(fields["shape"])
            voice = AccountVoice(**fields)
            self._voices[voice.voice] = voice

    def __len__(self) -> int:
        return len(self._voices)

    def find(self, voice: str) -> AccountVoice | None:
        """Return the voice with this id."""
        return self._voices.get(voice)

    def listed(self, kind: VoiceKind) -> list[AccountVoice]:
        """Voices of ``kind``, newest first."""
        found = [voice for voice in self._voices.values() if voice.kind == kind]
        return sorted(found, key=lambda voice: (voice.created_at, voice.voice), reverse=True)

    async def add(self, voice: AccountVoice, wav: bytes) -> None:
        """Keep ``voice`` with the recording it came from, durably."""
        record = json.dumps(voice.to_json()).encode()
        await asyncio.to_thread(write_atomically, self._folder / f"{voice.voice}.wav", wav)
        await asyncio.to_thread(write_atomically, self._folder / f"{voice.voice}.json", record)
        self._voices[voice.voice] = voice

    async def remove(self, voice: str) -> bool:
        """Forget a voice; whether there was one."""
        if self._voices.pop(voice, None) is None:
            return False
        await asyncio.to_thread((self._folder / f"{voice}.json").unlink, missing_ok=True)
        await asyncio.to_thread((self._folder / f"{voice}.wav").unlink, missing_ok=True)
        return True
