from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.unit.restoration.signals_of import NOW, signals
from understudy.lanes import fingerprint
from understudy.restoration.signals.readings import (
    CanaryRead,
    KeyRefusal,
    ProcessSecrets,
    SecretHit,
    SecurityReading,
)
from understudy.restoration.signals.security import key_lane, lane_conflicts, mismatches
from understudy.restoration.triggers.security import (
    CrossTenantRead,
    SecretLeak,
    SecretMismatch,
    Security,
    WrongRegionKey,
    judge,
)
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.settings import Settings, settings_from
from understudy.store.mode import ProcessRow

pytestmark = pytest.mark.unit

POLICY = Security(
    secret_mismatch=SecretMismatch(mode="pause", cures=["reapply_settings"], grace_s=120.0),
    wrong_region_key=WrongRegionKey(mode="pause", cures=["env_switch"], window_s=900.0),
    secret_leak=SecretLeak(mode="pause", cures=["close_reads"], window_s=3600.0),
    cross_tenant_read=CrossTenantRead(mode="pause", cures=["close_reads"], stale_after_s=600.0),
)
API = ProcessSecrets("i1", "api", 11, NOW, {"JWT_SECRET": "aa"})
WORKER = ProcessSecrets("i2", "worker", 12, NOW, {"JWT_SECRET": "bb"})


def ago(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def found(check: str, **reading: object) -> Finding:
    security = SecurityReading(NOW, **reading)  # type: ignore[arg-type]
    judged = judge(POLICY, signals(security=security), known_good="modal", now=NOW)
    return next(finding for finding in judged if finding.check == check)


@pytest.mark.parametrize(("lasts_s", "expected"), [(120, Verdict.INCONCLUSIVE), (120.001, Verdict.FAIL)])
def test_secrets_that_disagree_for_longer_than_a_redeploy(lasts_s: float, expected: Verdict) -> None:
    since = {"JWT_SECRET": NOW - ago(lasts_s)}
    finding = found("secret_mismatch", processes=(API, WORKER), mismatch_since=since)
    assert finding.verdict is expected
    assert finding.evidence["groups"] == {"JWT_SECRET": [["api 11 (i1)"], ["worker 12 (i2)"]]}
    assert "aa" not in str(finding.document())  # not even the digest


def test_secrets_that_agree_pass_and_nobody_telling_is_no_data() -> None:
    assert found("secret_mismatch", processes=(API,)).verdict is Verdict.PASS
    assert found("secret_mismatch").verdict is Verdict.NO_DATA


def refusal(seconds_ago: float = 10, key: str | None = "cn", configured: str = "intl") -> KeyRefusal:
    return KeyRefusal(NOW - ago(seconds_ago), "qwen", "InvalidApiKey", key, configured)


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        ((), Verdict.PASS),
        ((refusal(),), Verdict.FAIL),  # a single one
        ((refusal(900),), Verdict.FAIL),
        ((refusal(900.001),), Verdict.PASS),
        ((refusal(0),), Verdict.FAIL),  # this instant
        ((refusal(-0.001),), Verdict.PASS),  # from the future
        ((refusal(key="intl"),), Verdict.INCONCLUSIVE),  # revoked, on its own lane
        ((refusal(key=None),), Verdict.INCONCLUSIVE),
        ((refusal(key=None), refusal()), Verdict.FAIL),
    ],
)
def test_a_key_of_another_lane(refusals: tuple[KeyRefusal, ...], expected: Verdict) -> None:
    assert found("wrong_region_key", refusals=refusals).verdict is expected


def test_settings_that_contradict_themselves_need_no_refusal() -> None:
    finding = found("wrong_region_key", lane_conflicts=("the key is of cn, the region intl",))
    assert (finding.verdict, finding.failures) == (Verdict.FAIL, 1)


@pytest.mark.parametrize(("seconds_ago", "expected"), [(3600, Verdict.FAIL), (3600.001, Verdict.PASS)])
def test_one_hit_of_a_secret_is_enough(seconds_ago: float, expected: Verdict) -> None:
    hit = SecretHit(NOW - ago(seconds_ago), "log", "api", "canary-1", 1)
    assert found("secret_leak", hits=(hit,)).verdict is expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (None, Verdict.NO_DATA),
        (CanaryRead(NOW - ago(600), asked=5), Verdict.PASS),
        (CanaryRead(NOW - ago(600.001), asked=5), Verdict.BLIND),
        (CanaryRead(NOW, asked=5, blind="cannot sign in"), Verdict.BLIND),
        (CanaryRead(NOW, ("/api/voices/{id}",), 5), Verdict.FAIL),
        (CanaryRead(NOW, ("/api/voices/{id}",), 5, blind="half tried"), Verdict.FAIL),
    ],
)
def test_one_tenant_reading_anothers(read: CanaryRead | None, expected: Verdict) -> None:
    assert found("cross_tenant_read", canary_read=read).verdict is expected


def test_the_canary_sees_what_a_blind_database_hides() -> None:
    leak = CanaryRead(NOW, ("/api/voices",), 5)
    security = SecurityReading(NOW, canary_read=leak, blind="away")
    findings = judge(POLICY, signals(security=security), known_good="modal", now=NOW)
    assert [finding.verdict for finding in findings] == [Verdict.BLIND] * 3 + [Verdict.FAIL]


def process(kind: str, digests: Mapping[str, str]) -> ProcessRow:
    return ProcessRow(
        uuid4(), kind, 1, "h", "qwen", 7, "FRESH", "qwen", NOW, NOW, secret_digests=dict(digests)
    )


@pytest.mark.parametrize(
    ("told", "recorded", "expected"),
    [
        ([("api", {"A": "1"}), ("worker", {"A": "1"})], None, set()),
        ([("api", {"A": "1"}), ("worker", {"A": "2"})], None, {"A"}),
        ([("api", {"A": "1", "B": "1"}), ("worker", {"A": "1"})], None, set()),  # a worker needs no B
        ([("api", {"A": "1", "B": "1"}), ("api", {"A": "1"})], None, {"B"}),
        ([("api", {"A": "1"}), ("api", {})], None, set()),  # older code tells nothing
        ([("api", {"A": "1"})], {"A": "1", "C": "9"}, set()),
        ([("api", {"A": "1"})], {"A": "2"}, {"A"}),
        ([], {"A": "2"}, set()),
    ],
)
def test_who_disagrees(
    told: list[tuple[str, dict[str, str]]], recorded: Mapping[str, str] | None, expected: set[str]
) -> None:
    assert mismatches([process(kind, digests) for kind, digests in told], recorded) == expected


def settings(**values: str) -> Settings:
    return settings_from({"DASHSCOPE_API_KEY": "sk-key", **values})


def test_the_lane_of_a_key_is_known_from_its_fingerprint_alone() -> None:
    of_cn = f"cn:{fingerprint('sk-key')}"
    assert key_lane(settings(DASHSCOPE_KEY_FINGERPRINTS=of_cn)) == "cn"
    assert key_lane(settings()) is None
    assert key_lane(settings(DASHSCOPE_KEY_FINGERPRINTS="nonsense")) is None


@pytest.mark.parametrize(
    ("values", "conflicts"),
    [
        ({}, 0),
        ({"DASHSCOPE_REGION": "cn"}, 1),  # the address is of the other lane
        ({"DASHSCOPE_BASE_URL": "http://127.0.0.1:9000"}, 0),  # a gateway, or a stand-in: nobody knows
        ({"DASHSCOPE_KEY_FINGERPRINTS": f"intl:{fingerprint('sk-key')}"}, 0),
        ({"DASHSCOPE_KEY_FINGERPRINTS": f"cn:{fingerprint('sk-key')}"}, 1),
        ({"DASHSCOPE_KEY_FINGERPRINTS": f"cn:{fingerprint('sk-key')}", "DASHSCOPE_API_KEY": ""}, 0),
    ],
)
def test_settings_of_one_lane_contradict_themselves(values: dict[str, str], conflicts: int) -> None:
    found_conflicts = lane_conflicts(settings(**values))
    assert len(found_conflicts) == conflicts
    assert SecretStr("sk-key").get_secret_value() not in " ".join(found_conflicts)


def test_a_secret_in_answers_names_the_routes_and_counts_those_without() -> None:
    hits = (
        SecretHit(NOW, "response", "api", "canary-1", 2, "GET /api/voices"),
        SecretHit(NOW, "response", "api", "canary-1", 3),
        SecretHit(NOW, "log", "api", "JWT_SECRET", 5),
    )
    evidence = found("secret_leak", hits=hits).evidence
    assert (evidence["routes"], evidence["unrouted_answers"]) == (["GET /api/voices"], 3)
