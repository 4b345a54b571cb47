"""Lane, region, key and models: each contradiction is named before the first call, with its cure."""

from __future__ import annotations

import pytest

from understudy.errors import ConfigurationError
from understudy.lanes import LANE_HOSTS, fingerprint, recorded_fingerprints, region_of
from understudy.settings import Settings

pytestmark = pytest.mark.unit

FITTING = {"dashscope_api_key": "sk-0123456789abcdef"}


def checked(**changes: str) -> None:
    Settings(_env_file=None, **FITTING | changes).check_qwen()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("dashscope-intl.aliyuncs.com", "intl"),
        ("dashscope.aliyuncs.com", "cn"),
        ("ws-7f3a.ap-southeast-1.maas.aliyuncs.com", "intl"),
        ("ws-7f3a.cn-beijing.maas.aliyuncs.com", "cn"),
        ("ws-7f3a.eu-central-1.maas.aliyuncs.com", None),
        ("cn-beijing.maas.aliyuncs.com", None),
        ("dashscope.aliyuncs.com.evil.example", None),
        ("127.0.0.1", None),
    ],
)
def test_a_host_tells_its_region(host: str, region: str | None) -> None:
    assert region_of(host) == region


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dashscope_region": "cn", "dashscope_base_url": "https://dashscope.aliyuncs.com/"},
        {"dashscope_region": "cn", "dashscope_base_url": "https://ws-1.cn-beijing.maas.aliyuncs.com"},
        {"dashscope_base_url": "https://ws-1.ap-southeast-1.maas.aliyuncs.com"},
        {"dashscope_base_url": "https://gateway.example"},
        {"dashscope_base_url": "http://127.0.0.1:9000"},
        {"qwen_vc_target_model": "qwen3-tts-vc-realtime-2025-11-27"},
        {"dashscope_key_fingerprints": " intl:0123456789abcdef, cn:fedcba9876543210 "},
    ],
)
def test_what_agrees_is_taken(changes: dict[str, str]) -> None:
    checked(**changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dashscope_base_url": "https://dashscope.aliyuncs.com"}, "Make them agree"),
        ({"dashscope_base_url": "https://ws-1.cn-beijing.maas.aliyuncs.com"}, "DASHSCOPE_REGION=intl means"),
        ({"dashscope_base_url": "https://ws-1.us-east-1.maas.aliyuncs.com"}, "no Qwen realtime lane"),
        ({"dashscope_base_url": "https://oss.aliyuncs.com"}, LANE_HOSTS["intl"]),
        ({"dashscope_base_url": "https://dashscope-intl.aliyuncs.com/api/v1"}, "Write scheme and host only"),
        ({"dashscope_base_url": "https://gateway.example/?model=x"}, "Write scheme and host only"),
        ({"dashscope_base_url": "https://user:word@gateway.example"}, "Write scheme and host only"),
        ({"dashscope_base_url": "http://gateway.example"}, "only https"),
        ({"dashscope_api_key": "sk-sp-0123456789"}, "Make a Model Studio key"),
        ({"dashscope_api_key": "sk-01234 56789"}, "Copy it again"),
        ({"dashscope_api_key": "sk-0123456789\n"}, "Copy it again"),
        ({"qwen_vc_target_model": "qwen3-tts-vc-realtime"}, "not a dated realtime model of cloned voices"),
        ({"qwen_vc_target_model": "qwen3-tts-vd-realtime-2026-01-15"}, "QWEN_VC_TARGET_MODEL"),
        ({"qwen_vd_target_model": "qwen3-tts-vd-2026-01-26"}, "qwen3-tts-vd-realtime-2026-01-15"),
        ({"qwen_vd_target_model": "qwen3-tts-flash-realtime-2025-11-27"}, "designed voices"),
        ({"dashscope_key_fingerprints": "eu:0123456789abcdef"}, "understudy doctor"),
    ],
)
def test_what_contradicts_is_named_with_its_cure(changes: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked(**changes)
    assert told in caught.value.message
    for secret in ("0123456789", "word@"):
        assert secret not in caught.value.message.replace("intl:0123456789abcdef", "")


def test_a_fingerprint_tells_keys_apart_and_nothing_of_them() -> None:
    first, second = fingerprint("sk-one"), fingerprint("sk-two")
    assert first != second
    assert len(first) == 16
    assert "one" not in first
    assert recorded_fingerprints(f"cn:{first}") == {first: "cn"}
    assert recorded_fingerprints("") == {}
