"""The DashScope account: keys by lane, billing by character, voices bound to models and kept on disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.standins.access import KeyVerdict, judge_key, passes_proxy
from understudy.standins.billing import billed_characters
from understudy.standins.configuration import StandInSettings, load_standin_settings
from understudy.standins.refusals import RefusalError
from understudy.standins.sessions import SessionConfig, find_voice
from understudy.standins.voices import AccountVoice, VoiceShelf, name_voice
from understudy.voicebox.shape import VoiceShape

pytestmark = pytest.mark.unit

MODEL = "qwen3-tts-vc-realtime-2026-01-15"
OTHER_SNAPSHOT = "qwen3-tts-vc-realtime-2025-11-27"
NOW = datetime(2026, 11, 24, 12, 30, 45, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ("Bearer sk-standin-intl-0001", KeyVerdict.ACCEPTED),
        ("bearer sk-standin-intl-0001", KeyVerdict.ACCEPTED),
        ("Bearer sk-standin-cn-0001", KeyVerdict.WRONG_LANE),
        ("Bearer sk-other", KeyVerdict.UNKNOWN),
        ("Basic sk-standin-intl-0001", KeyVerdict.UNKNOWN),
        ("Bearer ", KeyVerdict.UNKNOWN),
        ("", KeyVerdict.UNKNOWN),
        (None, KeyVerdict.UNKNOWN),
    ],
)
def test_keys_are_judged_by_lane(header: str | None, verdict: KeyVerdict) -> None:
    assert judge_key(header, StandInSettings()) is verdict


def test_the_other_lane_takes_the_other_key() -> None:
    settings = StandInSettings(lane="cn")
    assert judge_key("Bearer sk-standin-cn-0001", settings) is KeyVerdict.ACCEPTED
    assert judge_key("Bearer sk-standin-intl-0001", settings) is KeyVerdict.WRONG_LANE


def test_modals_proxy_is_open_until_it_has_credentials() -> None:
    closed = StandInSettings(modal_key=SecretStr("wk-1"), modal_secret=SecretStr("ws-1"))
    assert passes_proxy({}, StandInSettings())
    assert passes_proxy({"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}, closed)
    assert not passes_proxy({"Modal-Key": "wk-1", "Modal-Secret": "ws-2"}, closed)
    assert not passes_proxy({}, closed)


@pytest.mark.parametrize(
    ("text", "characters"),
    [("", 0), ("abc 1!", 6), ("中文", 4), ("㐀𠀀豈", 6), ("かな カナ", 5), ("한국 a中", 6)],
)
def test_a_han_character_is_billed_twice(text: str, characters: int) -> None:
    assert billed_characters(text) == characters


def test_voice_ids_look_like_the_vendors() -> None:
    assert name_voice("vc", "guanyu", NOW).startswith("qwen-tts-vc-guanyu-voice-20261124123045678-")
    assert name_voice("vd", "announcer", NOW).startswith("qwen-tts-vd-announcer-voice-20261124123045-")


async def test_a_voice_outlives_the_process_and_a_removed_one_does_not(tmp_path: Path) -> None:
    kept = AccountVoice("qwen-tts-vc-a-voice-1-0001", "vc", MODEL, "en", NOW, VoiceShape(99.0))
    removed = AccountVoice("qwen-tts-vd-b-voice-1-0002", "vd", MODEL, "zh", NOW, VoiceShape(), "低沉", "你好")
    shelf = VoiceShelf(tmp_path)
    await shelf.add(kept, b"RIFF")
    await shelf.add(removed, b"RIFF")
    assert await shelf.remove(removed.voice)
    assert not await shelf.remove(removed.voice)
    again = VoiceShelf(tmp_path)
    assert again.find(kept.voice) == kept
    assert again.find(removed.voice) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{kept.voice}.json", f"{kept.voice}.wav"]


async def test_a_voice_speaks_with_its_own_model_only(tmp_path: Path) -> None:
    shelf = VoiceShelf(tmp_path)
    made = AccountVoice("qwen-tts-vc-a-voice-1-0001", "vc", MODEL, "en", NOW, VoiceShape(99.0))
    await shelf.add(made, b"RIFF")
    assert find_voice(MODEL, made.voice, shelf, mismatch_code="X") == made.shape
    assert find_voice("qwen3-tts-flash-realtime", "Cherry", shelf, mismatch_code="X").pitch_hz > 180
    refused = [
        (OTHER_SNAPSHOT, made.voice, "X"),
        (MODEL, "qwen-tts-vc-unknown", "X"),
        ("qwen3-tts-flash-realtime", made.voice, "X"),
        (MODEL, "Cherry", "CLIENT_ERROR"),
    ]
    for model, voice, code in refused:
        with pytest.raises(RefusalError) as caught:
            find_voice(model, voice, shelf, mismatch_code="X")
        assert (caught.value.wire_code, caught.value.fatal) == (code, True)


def test_unknown_session_fields_are_ignored_and_known_ones_kept() -> None:
    config = SessionConfig().updated(
        {"voice": "v", "format": "mp3", "rate": 2, "speech_rate": 1.5, "volume": None}
    )
    assert config == SessionConfig(voice="v", speech_rate=1.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "later"},
        {"response_format": "flac"},
        {"sample_rate": 22050},
        {"language_type": "en"},
        {"speech_rate": 2.5},
        {"pitch_rate": 0.1},
        {"volume": 101},
        {"volume": "loud"},
        {"bit_rate": 5},
        {"voice": 7},
    ],
)
def test_values_outside_their_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RefusalError) as caught:
        SessionConfig().updated(fields)
    assert caught.value.wire_code == "invalid_value"
    assert next(iter(fields)) in caught.value.message


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_MODAL_OVERHEAD_S", "-1")
    with pytest.raises(ConfigurationError, match="STANDIN_MODAL_OVERHEAD_S"):
        load_standin_settings()
