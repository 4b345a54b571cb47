from __future__ import annotations

import itertools
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.restored_incident import NAMES, START, check, smoke_run
from understudy.audio.wav import duration_ms, is_silent, read_wav
from understudy.errors import TargetError, ValidationError
from understudy.restoration.verification.checklist import CHECKLIST, derive_checklist
from understudy.restoration.verification.checks.languages import SPOKEN_BY_QWEN
from understudy.restoration.verification.client import Reply
from understudy.restoration.verification.evidence import Outcome, SmokeResult
from understudy.restoration.verification.junit import to_junit
from understudy.restoration.verification.listening import plausible_ms
from understudy.restoration.verification.recordings import SENTENCES, canary_recording
from understudy.restoration.verification.smoke import CHECKS
from understudy.restoration.verification.visit import identifier, member

pytestmark = pytest.mark.unit

PLAYBOOK = """\
- [ ] `GET /api/health` returns `{ ok: true }`.
- [ ] `GET /api/languages` reports expected provider capabilities.
- [ ] Modal generate task creation works and completes.
- [ ] Task polling returns terminal status and audio URL.
- [ ] Voice clone finalize succeeds.
- [ ] Voice design preview succeeds.
- [ ] No cross-tenant leakage in voices/generations/tasks.
- [ ] Error responses remain JSON `{ detail: string }`.
"""


def test_the_sentences_are_the_playbooks() -> None:
    assert derive_checklist(None).markdown() == PLAYBOOK
    assert derive_checklist(smoke_run()).markdown() == PLAYBOOK.replace("[ ]", "[x]")


def test_nothing_is_ticked_without_a_run() -> None:
    empty = derive_checklist(None)
    assert not empty.ok
    assert not any(item.ok or item.evidence for item in empty.items)
    assert not derive_checklist(smoke_run([])).ok


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.sampled_from([*Outcome, None]), min_size=len(NAMES), max_size=len(NAMES)
    )
)
def test_a_point_is_ticked_exactly_when_its_check_passed(outcomes: dict[str, Outcome | None]) -> None:
    run = smoke_run([check(name, outcome=outcome) for name, outcome in outcomes.items() if outcome])
    ticked = {item.sentence: item.ok for item in derive_checklist(run).items}
    passed = {name for name, outcome in outcomes.items() if outcome is Outcome.PASSED}
    for sentence, (name,) in CHECKLIST:
        needed = {name, "task_polling"} if sentence.startswith("Modal") else {name}
        assert ticked[sentence] is (needed <= passed)
    assert derive_checklist(run).ok is (passed == set(NAMES))


def test_a_check_that_sent_nothing_proves_nothing() -> None:
    run = smoke_run([replace(check(name), requests=()) for name in NAMES])
    assert run.ok
    assert not any(item.ok for item in derive_checklist(run).items)


@pytest.mark.parametrize("provider", ["qwen", None])
def test_the_modal_point_needs_modal_to_have_spoken(provider: str | None) -> None:
    run = smoke_run([check(name, provider=provider) for name in NAMES])
    items = derive_checklist(run).items
    assert [item.sentence for item in items if not item.ok] == [CHECKLIST[2][0]]
    assert ("qwen" if provider else "not shown") in items[2].reason


def test_the_modal_point_is_no_objection_where_another_provider_is_to_serve() -> None:
    spoken_by_qwen = derive_checklist(smoke_run([check(name, provider="qwen") for name in NAMES]))
    assert not spoken_by_qwen.objections("qwen")
    assert [item.sentence for item in spoken_by_qwen.objections("modal")] == [CHECKLIST[2][0]]
    assert not derive_checklist(smoke_run()).objections("modal")
    unknown = derive_checklist(smoke_run([check(name, provider=None) for name in NAMES]))
    assert unknown.objections("qwen")
    silent = [check(name, provider="qwen", outcome=Outcome.FAILED) for name in NAMES]
    assert len(derive_checklist(smoke_run(silent)).objections("qwen")) == len(CHECKLIST)


def test_each_tick_names_its_evidence_by_hash() -> None:
    run = smoke_run()
    for item in derive_checklist(run).items:
        for ref in item.evidence:
            named = run.check(ref.check)
            assert named is not None
            assert named.evidence_hash == ref.sha256
        assert item.evidence


def test_the_suite_covers_the_checklist_and_only_it() -> None:
    named = set(itertools.chain.from_iterable(names for _, names in CHECKLIST))
    assert named == {item.name for item in CHECKS} == set(NAMES)


def test_recorded_evidence_that_contradicts_itself_is_not_believed() -> None:
    data = json.loads(json.dumps(smoke_run().to_json()))
    assert SmokeResult.from_json(data).evidence_hash == smoke_run().evidence_hash
    red = smoke_run([check(name, outcome=Outcome.FAILED) for name in NAMES]).to_json()
    for forged in (
        {**red, "ok": True},
        {**red, "checks": [{**item, "ok": True} for item in red["checks"]]},
        {**red, "checks": []} | {"ok": True},
        {**red, "duration_ms": 1},
    ):
        with pytest.raises(ValidationError):
            SmokeResult.from_json(forged)
    for broken in ({}, {**data, "checks": None}, {**data, "started_at": "yesterday"}):
        with pytest.raises(ValidationError):
            SmokeResult.from_json(broken)


def test_junit_never_shows_a_blocked_check_as_green_and_holds_any_text() -> None:
    checks = [check(name) for name in NAMES]
    checks[0] = replace(checks[0], outcome=Outcome.FAILED, detail="bad \x00\x1b[31m <&> \ud800 bytes")
    checks[1] = replace(checks[1], outcome=Outcome.BLOCKED)
    suite = ET.fromstring(to_junit(smoke_run(checks)).encode("utf-8"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("8", "1", "1")
    assert suite.get("timestamp") == START.replace(tzinfo=None).isoformat()
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == list(NAMES)
    assert [len(case) for case in cases] == [2, 2, 1, 1, 1, 1, 1, 1]


def test_the_shipped_recording_is_speech_of_a_length_that_a_clone_wants() -> None:
    recording = canary_recording()
    clip = read_wav(recording.audio)
    assert 10_000 <= duration_ms(clip) <= 20_000
    assert not is_silent(clip)
    assert len(recording.audio) < 10 * 1024 * 1024
    assert recording.transcript.startswith("and mister john dashwood")


def test_every_language_has_a_sentence() -> None:
    assert set(SENTENCES) == SPOKEN_BY_QWEN | {"Auto"}


@given(st.text(min_size=1))
def test_a_plausible_duration_is_a_range_that_grows_with_the_text(text: str) -> None:
    shortest, longest = plausible_ms(text)
    assert 0 <= shortest < longest
    more = plausible_ms(text + "abc")
    assert more[0] > shortest
    assert more[1] > longest


@pytest.mark.parametrize("language", SENTENCES)
def test_ordinary_speech_is_plausible_in_every_language(language: str) -> None:
    # 5 Han, Kana or Hangul letters a second, or 14 Latin ones: an ordinary pace.
    text = SENTENCES[language]
    wide = language in {"Chinese", "Japanese", "Korean"}
    shortest, longest = plausible_ms(text)
    spoken = len(text) * 1000 // (5 if wide else 14)
    assert shortest < spoken < longest
    assert spoken // 4 < shortest


def test_members_are_believed_only_as_what_they_must_be() -> None:
    assert member({"n": 3}, "n", int) == 3
    for wrong in ({"n": True}, {"n": "3"}, {"n": None}, {}):
        with pytest.raises(TargetError, match="where int is promised"):
            member(wrong, "n", int)
    with pytest.raises(TargetError, match="no UUID"):
        identifier({"id": "../../etc"}, "id")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_a_body_that_is_no_json_is_a_finding_and_no_crash(body: bytes) -> None:
    reply = Reply("GET /x", "http://127.0.0.1/x", 200, {"content-type": "application/json"}, body)
    with pytest.raises(TargetError, match="not JSON"):
        reply.json()
