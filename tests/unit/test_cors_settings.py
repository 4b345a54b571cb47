"""Which origins may be named, and which combination is refused."""

from __future__ import annotations

import pytest

from understudy.api.cors import CrossOrigin
from understudy.errors import ConfigurationError
from understudy.settings import Settings, settings_from

pytestmark = pytest.mark.unit


def settings(origins: str, credentials: str = "false") -> Settings:
    return settings_from({"CORS_ALLOWED_ORIGINS": origins, "CORS_ALLOW_CREDENTIALS": credentials})


def test_origins_come_with_commas_between_them() -> None:
    found = settings(" https://a.example.org, http://localhost:5173 ,,").cors_origins()
    assert found == ("https://a.example.org", "http://localhost:5173")
    assert settings("").cors_origins() == ()


@pytest.mark.parametrize("origins", ["*", "https://a.example.org,*"])
def test_every_origin_with_credentials_is_refused(origins: str) -> None:
    with pytest.raises(ConfigurationError, match="CORS_ALLOW_CREDENTIALS"):
        CrossOrigin(settings(origins, "true"))
    CrossOrigin(settings(origins))


@pytest.mark.parametrize(
    "origin",
    ["a.example.org", "https://a.example.org/", "https://a.example.org/x", "ftp://a", "null", "https://"],
)
def test_what_is_no_origin_is_refused_by_name(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an origin"):
        CrossOrigin(settings(origin))
