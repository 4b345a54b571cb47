from __future__ import annotations

import hmac

import pytest

from understudy.errors import ConfigurationError
from understudy.settings import Settings

pytestmark = pytest.mark.unit


def settings_with(**values: str) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]  # pydantic makes them secrets


def test_equal_secrets_have_equal_digests_and_only_those_with_a_value_have_one() -> None:
    one = settings_with(jwt_secret="a" * 32, dashscope_api_key="sk-0123456789abcdef")
    other = settings_with(jwt_secret="b" * 32, dashscope_api_key="sk-0123456789abcdef")
    assert one.secret_digests().keys() == {"JWT_SECRET", "DASHSCOPE_API_KEY"}
    assert one.secret_digests()["DASHSCOPE_API_KEY"] == other.secret_digests()["DASHSCOPE_API_KEY"]
    assert one.secret_digests()["JWT_SECRET"] != other.secret_digests()["JWT_SECRET"]
    expected = hmac.new(b"understudy/secret-digest/1", b"JWT_SECRET=" + b"a" * 32, "sha256").hexdigest()[:16]
    assert one.secret_digests()["JWT_SECRET"] == expected


def test_of_a_postgres_url_the_password_counts_and_nothing_else() -> None:
    near = settings_with(database_url="postgresql://app:p%40ss@10.0.0.1/voice")
    far = settings_with(database_url="postgres://app:p%40ss@pooler.example.org:6543/voice?sslmode=require")
    changed = settings_with(database_url="postgresql://app:other@10.0.0.1/voice")
    assert near.secret_digests() == far.secret_digests() != changed.secret_digests()
    assert settings_with(database_url="postgresql:///voice").secret_digests() == {}
    assert settings_with(database_url="postgresql://[oops/voice").secret_digests() == {}


def test_planted_canaries_are_watched_and_are_no_secrets_to_compare() -> None:
    planted = settings_with(planted_canaries="canary-5dc1f2a9e8b7, canary-00aa11bb22cc,")
    assert planted.secret_digests() == {}
    watched = {name: value.get_secret_value() for name, value in planted.watched().items()}
    assert watched == {"canary-1": "canary-5dc1f2a9e8b7", "canary-2": "canary-00aa11bb22cc"}


def test_a_canary_that_may_occur_by_chance_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_with(planted_canaries="canary-5dc1f2a9e8b7,fifteen-chars-x").canaries()
    assert "number 2 has 15 characters" in caught.value.message
    assert "fifteen" not in caught.value.message
