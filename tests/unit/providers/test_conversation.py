"""What a realtime session's events may be, in which order, and what each breach is called."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from understudy.audio.wav import Clip, streaming_wav_header, to_pcm
from understudy.errors import FailureClass, ProviderUnavailableError
from understudy.providers.base import AudioFormat, SpeechFinished
from understudy.providers.qwen.conversation import RATE, Conversation, Utterance
from understudy.standins.encoders import encode_whole

pytestmark = pytest.mark.unit

TEXT = "One two three."
Event = dict[str, Any]


def sound(milliseconds: int, amplitude: float = 0.3) -> bytes:
    times = np.arange(RATE * milliseconds // 1000) / RATE
    samples = np.sin(2 * np.pi * 220 * times) * amplitude * 32767
    return to_pcm(Clip(samples.astype(np.int16), RATE))


def created(response: str = "resp_1") -> Event:
    return {"type": "response.created", "response": {"id": response, "status": "in_progress"}}


def delta(data: bytes, response: str | None = "resp_1", item: str = "item_1") -> Event:
    encoded = base64.b64encode(data).decode()
    return {"type": "response.audio.delta", "response_id": response, "item_id": item, "delta": encoded}


def audio_done(response: str = "resp_1", item: str = "item_1") -> Event:
    return {"type": "response.audio.done", "response_id": response, "item_id": item}


def done(response: str | None = "resp_1", *, characters: Any = 14, status: str = "completed") -> Event:
    fields: Event = {"status": status, "usage": {"characters": characters}}
    return {"type": "response.done", "response": fields | ({"id": response} if response else {})}


def conversation(text: str = TEXT, audio_format: AudioFormat = AudioFormat.PCM) -> Conversation:
    return Conversation(Utterance(text, "voice", "model", "vc", "English", audio_format))


def told(*events: Event, talk: Conversation | None = None) -> tuple[bytes, SpeechFinished]:
    talk = talk or conversation()
    heard = b"".join(talk.take(event) for event in events)
    return heard, talk.finish()


def breach(*events: Event, talk: Conversation | None = None) -> ProviderUnavailableError:
    with pytest.raises(ProviderUnavailableError) as caught:
        told(*events, talk=talk)
    assert caught.value.failure_class is FailureClass.PROTOCOL
    return caught.value


def test_one_response_is_one_utterance() -> None:
    speech = sound(900)
    heard, finished = told(created(), delta(speech), audio_done(), done())
    assert heard == speech
    assert (finished.characters, finished.counted_characters) == (14, 14)
    assert (finished.provider_request_id, finished.cost_microusd) == ("resp_1", 182)


def test_what_clients_must_not_depend_on_is_let_pass() -> None:
    noise = [
        {"type": "response.content_part.done", "response_id": "resp_1"},
        {"type": "response.output_item.added", "response_id": "resp_9"},
        {"type": "rate_limits.updated"},
    ]
    heard, _ = told(
        noise[2], created(), noise[1], delta(sound(900)), noise[0], done(), audio_done(), noise[0]
    )
    assert heard


def test_events_without_ids_mean_the_latest_response() -> None:
    heard, finished = told(created(), delta(sound(900), response=None), done(response=None))
    assert heard
    assert finished.provider_request_id == "resp_1"


def test_several_responses_are_added_up_also_when_they_overlap() -> None:
    heard, finished = told(
        created("a"),
        delta(sound(400), "a"),
        created("b"),
        delta(sound(400), "b"),
        done("b", characters=6),
        audio_done("a"),
        done("a", characters=8),
    )
    assert len(heard) == len(sound(800))
    assert (finished.characters, finished.provider_request_id) == (14, "a")


def test_a_second_wav_header_is_no_speech() -> None:
    first, second = streaming_wav_header(RATE) + sound(600), streaming_wav_header(RATE) + sound(400)
    talk = conversation(audio_format=AudioFormat.WAV)
    events = [created("a"), delta(first, "a"), done("a", characters=7)]
    events += [created("b"), delta(second, "b"), delta(sound(100), "b"), done("b", characters=7)]
    heard, _ = told(*events, talk=talk)
    assert heard == first + sound(400) + sound(100)


def test_two_audio_parts_of_one_response_end_on_their_own() -> None:
    heard, _ = told(created(), delta(sound(400)), audio_done(), delta(sound(400), item="item_2"), done())
    assert len(heard) == len(sound(800))


@pytest.mark.parametrize(
    "events",
    [
        [delta(sound(100)), created(), done()],
        [created(), delta(sound(900)), done(), delta(sound(100))],
        [created(), delta(sound(900)), audio_done(), delta(sound(100)), done()],
        [created(), delta(sound(900), "resp_7"), done()],
        [created(), delta(sound(900)), done(), done()],
        [done()],
        [created(), delta(sound(900)), done(), created()],
        [{"type": "response.created", "response": {}}],
        [created(), delta(sound(900))],
        [created(), delta(sound(900)), done(), created("resp_2")],
        [],
    ],
    ids=[
        "audio before response.created",
        "audio after response.done",
        "audio after audio.done",
        "audio of a response that was never created",
        "a response done twice",
        "a response done before it is created",
        "a response created again",
        "a response without a name",
        "finished before response.done",
        "finished while a second response is open",
        "finished before anything",
    ],
)
def test_a_broken_order_is_a_protocol_failure(events: list[Event]) -> None:
    assert breach(*events).provider_code == "event_order"


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_a_response_that_did_not_complete_is_the_providers_word(status: str) -> None:
    with pytest.raises(ProviderUnavailableError) as caught:
        told(created(), delta(sound(900)), done(status=status))
    assert caught.value.failure_class is FailureClass.PROVIDER
    assert caught.value.provider_code == f"response_{status}"


def test_a_response_that_is_done_and_still_in_progress_breaks_the_order() -> None:
    assert breach(created(), delta(sound(900)), done(status="in_progress")).provider_code == "event_order"


def test_samples_that_break_off_in_the_middle_are_truncated() -> None:
    error = breach(created(), delta(sound(900) + b"\0"), done())
    assert error.provider_code == "audio_truncated"


@pytest.mark.parametrize("encoded", ["%%%", "a", 7, ["x"]])
def test_what_is_not_base64_is_a_failure(encoded: object) -> None:
    error = breach(created(), {"type": "response.audio.delta", "delta": encoded})
    assert error.provider_code == "audio_unreadable"


def test_silence_never_passes_the_commit_point() -> None:
    talk = conversation()
    talk.take(created())
    assert talk.take(delta(bytes(48_000))) == b""
    assert not talk.committed
    error = breach(delta(bytes(4_800)), done(), talk=talk)
    assert (error.provider_code, error.evidence["audio_ms"]) == ("audio_silent", 1_100)


def test_leading_silence_is_held_and_then_passed_on_whole() -> None:
    talk = conversation()
    talk.take(created())
    # An odd number of bytes: a delta may end inside a sample.
    silence, speech = bytes(4_801), b"\0" + sound(900)
    assert talk.take(delta(silence)) == b""
    assert talk.take(delta(speech)) == silence + speech
    talk.take(done())
    assert talk.finish().characters == 14


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_speech_much_shorter_than_its_text_is_truncated(audio_format: AudioFormat) -> None:
    talk = conversation("A long sentence with quite a few words in it. " * 4, audio_format)
    short = encode_whole(audio_format, sound(1_000), RATE)
    error = breach(created(), delta(short), done(), talk=talk)
    assert error.provider_code == "audio_truncated"
    assert 900 < error.evidence["audio_ms"] < 1_200


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_format_is_committed_and_whole(audio_format: AudioFormat) -> None:
    data = encode_whole(audio_format, sound(900), RATE)
    talk = conversation(audio_format=audio_format)
    pieces = [delta(data[start : start + 300]) for start in range(0, len(data), 300)]
    heard, _ = told(created(), *pieces, done(), talk=talk)
    assert heard == data


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OPUS])
def test_another_format_than_asked_for_is_refused_at_the_first_bytes(audio_format: AudioFormat) -> None:
    error = breach(created(), delta(sound(900)), talk=conversation(audio_format=audio_format))
    assert error.provider_code == "audio_unreadable"


def test_a_wav_of_silence_is_held_back() -> None:
    talk = conversation(audio_format=AudioFormat.WAV)
    talk.take(created())
    assert talk.take(delta(streaming_wav_header(RATE) + bytes(9_600))) == b""
    assert talk.take(delta(sound(900)))


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS])
def test_compressed_audio_waits_for_its_first_whole_frame(audio_format: AudioFormat) -> None:
    talk = conversation(audio_format=audio_format)
    talk.take(created())
    data = encode_whole(audio_format, sound(900), RATE)
    assert talk.take(delta(data[:40])) == b""
    assert talk.take(delta(data[40:])) == data


def test_speech_without_end_is_cut_off() -> None:
    error = breach(created(), *[delta(sound(1_000))] * 100)
    assert error.provider_code == "audio_overlong"
    assert error.evidence["audio_ms"] < 40_000


def test_usage_that_disagrees_is_billed_as_the_provider_says_and_told() -> None:
    with capture_logs() as logs:
        _, finished = told(created(), delta(sound(900)), done(characters=28))
    assert (finished.characters, finished.counted_characters, finished.usage_disagrees) == (28, 14, True)
    assert finished.cost_microusd == 364
    (line,) = [entry for entry in logs if entry["event"] == "usage_disagrees"]
    assert (line["reported"], line["counted"], line["log_level"]) == (28, 14, "warning")


@pytest.mark.parametrize("usage", [None, True, "14", -1, 0])
def test_without_usage_our_own_count_is_billed(usage: object) -> None:
    _, finished = told(created(), delta(sound(900)), done(characters=usage))
    assert (finished.characters, finished.usage_disagrees) == (14, False)


def test_han_characters_count_two() -> None:
    talk = conversation("你好 a")
    _, finished = told(created(), delta(sound(900)), done(characters=6), talk=talk)
    assert (finished.counted_characters, finished.usage_disagrees) == (6, False)
