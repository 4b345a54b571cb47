"""Settings: pinned defaults, and each contradiction named with its fix."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.settings import ENV_FILE_VARIABLE, Settings, load_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "TTS_PROVIDER_MODE",
        "DASHSCOPE_REGION",
        "DASHSCOPE_BASE_URL",
        "QWEN_VC_TARGET_MODEL",
        ENV_FILE_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)


def test_the_playbooks_pins_are_the_defaults() -> None:
    settings = load_settings()
    assert settings.tts_provider_mode == "modal"
    assert settings.dashscope_base_url == "https://dashscope-intl.aliyuncs.com"
    assert settings.dashscope_region == "intl"
    assert settings.qwen_vc_target_model == "qwen3-tts-vc-realtime-2026-01-15"
    assert settings.qwen_vd_target_model == "qwen3-tts-vd-realtime-2026-01-15"
    assert settings.qwen_max_text_chars == 2000


def test_an_unknown_mode_names_the_variable_and_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_PROVIDER_MODE", "quen")
    with pytest.raises(ConfigurationError, match=r"TTS_PROVIDER_MODE='quen'.*'modal' or 'qwen'"):
        load_settings()


def test_a_missing_environment_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv(ENV_FILE_VARIABLE, str(tmp_path / "absent.env"))
    with pytest.raises(ConfigurationError, match=r"absent\.env: there is no such file"):
        load_settings()


def test_missing_modal_urls_are_listed() -> None:
    with pytest.raises(ConfigurationError, match="MODAL_JOB_SUBMIT, MODAL_JOB_STATUS"):
        load_settings().check_modal()


def test_plain_http_is_for_loopback_only() -> None:
    url = "http://modal.example/submit"
    names = (
        "modal_job_submit",
        "modal_job_status",
        "modal_job_result",
        "modal_job_cancel",
        "modal_endpoint_voice_design",
    )
    with pytest.raises(ConfigurationError, match=r"MODAL_JOB_SUBMIT uses http to modal\.example"):
        load_settings(**dict.fromkeys(names, url)).check_modal()
    load_settings(**dict.fromkeys(names, "http://127.0.0.1:1/x")).check_modal()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({}, "DASHSCOPE_API_KEY not set"),
        (
            {"dashscope_api_key": "k", "dashscope_region": "cn"},
            "DASHSCOPE_REGION=cn means dashscope.aliyuncs.com",
        ),
        (
            {"dashscope_api_key": "k", "qwen_vc_target_model": "qwen3-tts-vd-realtime-2026-01-15"},
            "QWEN_VC_TARGET_MODEL",
        ),
        (
            {"dashscope_api_key": "k", "qwen_vd_target_model": "qwen3-tts-vd-2026-01-26"},
            "QWEN_VD_TARGET_MODEL",
        ),
        ({"dashscope_api_key": "k", "dashscope_base_url": "ftp://x"}, "DASHSCOPE_BASE_URL is not a URL"),
    ],
)
def test_contradictory_qwen_settings_are_named(overrides: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides).check_qwen()
    assert told in caught.value.message


def test_secrets_do_not_show() -> None:
    settings = load_settings(dashscope_api_key="sk-canary-0123456789", jwt_secret="jwt-canary-0123456789")
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_every_secret_field_is_among_the_secrets() -> None:
    fields = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    settings = load_settings(**{name: f"planted-{name}" for name in fields})
    assert {secret.get_secret_value() for secret in settings.secrets()} == {
        f"planted-{name}" for name in fields
    }
    assert {"jwt_secret", "dashscope_api_key", "migration_database_url"} <= set(fields)
