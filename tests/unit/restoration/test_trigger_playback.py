from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.restoration.signals_of import MODE, NOW, signals
from understudy.restoration.signals.readings import PlaybackReading, PlaybackSession
from understudy.restoration.triggers.playback import (
    Beacons,
    DecodeErrors,
    NotCompleted,
    Playback,
    Stalls,
    judge,
)
from understudy.restoration.triggers.verdict import Finding, Verdict

pytestmark = pytest.mark.unit

SHARE = {
    "mode": "pause",
    "cures": ["env_switch", "code_rollback"],
    "window_s": 900,
    "max_percent": 20.0,
    "minimum_sessions": 20,
    "minimum_users": 3,
    "alpha": 0.001,
}
POLICY = Playback(
    not_completed=NotCompleted(**SHARE, grace_s=60),  # type: ignore[arg-type]
    stalls=Stalls(**SHARE, minimum_stalls=2),  # type: ignore[arg-type]
    decode_errors=DecodeErrors(**{**SHARE, "max_percent": 2.0}),  # type: ignore[arg-type]
    beacons=Beacons(
        mode="pause",
        cures=["code_rollback"],
        minimum_delivered=20,
        usual_percent=50.0,
        minimum_percent_of_usual=50.0,
        alpha=0.001,
    ),
)
#: Fewest of 20 that chance explains with less than 0.001 at 20 %.
CRITICAL = 11


def session(number: int, **changes: object) -> PlaybackSession:
    started = NOW - timedelta(seconds=300)
    base = PlaybackSession(
        generation=f"g{number}",
        user=f"u{number % 7}",
        provider="qwen",
        mode_epoch=7,
        client="studio",
        client_version="1",
        started_at=started,
        last_at=started,
        finished=True,
        audio_s=3.0,
        served=True,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def some(bad: int, of: int, first: int = 0, **changes: object) -> list[PlaybackSession]:
    return [session(first + number, **({"finished": number >= bad} | changes)) for number in range(of)]


def found(sessions: Sequence[PlaybackSession], check: str = "not_completed", **reading: object) -> Finding:
    playback = PlaybackReading(NOW, NOW, tuple(sessions), **reading)  # type: ignore[arg-type]
    return next(
        finding
        for finding in judge(POLICY, signals(playback=playback), known_good="modal", now=NOW)
        if finding.check == check
    )


@pytest.mark.parametrize(
    ("bad", "of", "expected"),
    [
        (4, 20, Verdict.PASS),  # exactly 20 %
        (5, 20, Verdict.INCONCLUSIVE),  # one more, and chance explains it
        (CRITICAL - 1, 20, Verdict.INCONCLUSIVE),
        (CRITICAL, 20, Verdict.FAIL),
        (19, 19, Verdict.INCONCLUSIVE),  # one session too few
        (20, 20, Verdict.FAIL),
        (0, 3, Verdict.PASS),
    ],
)
def test_started_and_not_completed(bad: int, of: int, expected: Verdict) -> None:
    finding = found(some(bad, of))
    assert (finding.verdict, finding.n, finding.failures) == (expected, of, bad)
    assert (finding.provider, finding.mode_epoch) == (MODE.value, MODE.epoch)


def test_no_session_is_no_data_and_no_reading_is_blind() -> None:
    assert found([]).verdict is Verdict.NO_DATA
    verdicts = [
        finding.verdict
        for finding in judge(
            POLICY,
            signals(playback=PlaybackReading(NOW, NOW, tuple(some(20, 20)), blind="away")),
            known_good="modal",
            now=NOW,
        )
    ]
    assert verdicts == [Verdict.BLIND] * 4
    unset = replace(signals(), mode=None)
    assert {f.verdict for f in judge(POLICY, unset, known_good="modal", now=NOW)} == {Verdict.BLIND}


def test_two_users_are_not_enough_and_three_are() -> None:
    sessions = some(20, 20)
    assert (
        found([replace(s, user=f"u{i % 2}") for i, s in enumerate(sessions)]).verdict is Verdict.INCONCLUSIVE
    )
    assert found([replace(s, user=f"u{i % 3}") for i, s in enumerate(sessions)]).verdict is Verdict.FAIL


def test_a_session_is_judged_from_the_length_of_its_audio_and_the_grace_on() -> None:
    def last(seconds_ago: float, **more: object) -> int:
        at = NOW - timedelta(seconds=seconds_ago)
        return found([session(1, finished=False, started_at=at, last_at=at, **more)]).n

    assert last(63.0) == 1  # 3 s of audio and 60 s of grace
    assert last(62.999) == 0
    assert last(60.0, audio_s=None) == 1
    assert last(10.0, ended_early=True) == 1  # it said so: nothing to wait for
    stalling = session(1, finished=False, last_at=NOW - timedelta(seconds=59))
    assert found([stalling]).n == 0  # the player is alive


def test_the_edges_of_the_window() -> None:
    def judged(seconds_ago: float) -> int:
        at = NOW - timedelta(seconds=seconds_ago)
        return found([session(1, started_at=at, last_at=at)]).n

    assert judged(900) == 1
    assert judged(900.001) == 0
    assert judged(0) == 1
    assert judged(-0.001) == 0  # from the future


@pytest.mark.parametrize(
    ("old_bad", "old", "new_bad", "new", "expected"),
    [
        (0, 40, 20, 20, Verdict.INCONCLUSIVE),  # the new version alone
        (40, 40, 20, 20, Verdict.FAIL),  # both
        (0, 19, 20, 20, Verdict.FAIL),  # too few others to acquit the bytes
        (0, 20, 20, 20, Verdict.INCONCLUSIVE),  # just enough
        (0, 400, 20, 20, Verdict.INCONCLUSIVE),  # 5 % of all, and all of one version
        (0, 400, 19, 19, Verdict.PASS),  # one session too few to speak of that version
        (20, 40, 20, 20, Verdict.FAIL),  # half of the others too
    ],
)
def test_one_version_that_fails_alone_is_named_and_never_flips(
    old_bad: int, old: int, new_bad: int, new: int, expected: Verdict
) -> None:
    finding = found(some(old_bad, old) + some(new_bad, new, first=1000, client_version="2"))
    assert finding.verdict is expected
    if expected is Verdict.INCONCLUSIVE:
        assert "studio 2" in finding.detail
    assert finding.evidence["versions"]["studio 2"] == {"sessions": new, "wrong": new_bad}


def test_other_epochs_and_providers_are_not_judged() -> None:
    others = some(20, 20, mode_epoch=6) + some(20, 20, first=100, provider="modal")
    assert found(others).verdict is Verdict.NO_DATA
    playback = PlaybackReading(NOW, NOW, tuple(some(20, 20)))
    known_good = judge(POLICY, signals(playback=playback), known_good="qwen", now=NOW)
    assert {finding.verdict for finding in known_good} == {Verdict.NO_DATA}


@pytest.mark.parametrize(("stalls", "expected"), [(1, Verdict.PASS), (2, Verdict.FAIL)])
def test_stalls(stalls: int, expected: Verdict) -> None:
    assert found(some(0, 20, stalls=stalls), "stalls").verdict is expected


@pytest.mark.parametrize(
    ("bad", "expected"),
    [(0, Verdict.PASS), (1, Verdict.INCONCLUSIVE), (3, Verdict.INCONCLUSIVE), (4, Verdict.FAIL)],
)
def test_decode_errors(bad: int, expected: Verdict) -> None:
    sessions = [session(i, decode_errors=int(i < bad), served=i % 2 == 0) for i in range(20)]
    finding = found(sessions, "decode_errors")
    assert finding.verdict is expected
    assert sum(finding.evidence["our_audio_of_the_wrong"].values()) == bad


@pytest.mark.parametrize(
    ("delivered", "reported", "usual", "expected"),
    [
        (0, 0, 0.9, Verdict.NO_DATA),
        (20, 0, None, Verdict.NO_DATA),  # nobody ever reported
        (20, 0, 0.499, Verdict.NO_DATA),
        (20, 0, 0.5, Verdict.BLIND),
        (19, 0, 0.9, Verdict.PASS),
        (20, 9, 0.9, Verdict.PASS),  # exactly half of the usual share
        (20, 8, 0.9, Verdict.BLIND),
        (20, 20, 1.0, Verdict.PASS),
    ],
)
def test_missing_beacons(delivered: int, reported: int, usual: float | None, expected: Verdict) -> None:
    finding = found([], "beacons", delivered={7: delivered}, reported={7: reported}, usual_share=usual)
    assert finding.verdict is expected


def test_beacons_of_another_epoch_say_nothing() -> None:
    finding = found([], "beacons", delivered={6: 100}, reported={6: 0}, usual_share=0.9)
    assert finding.verdict is Verdict.NO_DATA


def test_a_player_s_name_is_a_tenant_s_text() -> None:
    named = found(some(11, 20, client_version="<script>my secret"))
    assert named.verdict is Verdict.FAIL
    assert "my secret" not in str(named.document())
    many = found([session(i, finished=False, client_version=str(i)) for i in range(400)])
    assert many.verdict is Verdict.FAIL
    assert len(many.evidence["versions"]) == 20
