"""Signed URLs: only the exact method, object, type and time they were made for."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.errors import ConfigurationError, ForbiddenError, ValidationError
from understudy.store.signing import ANY_AUDIO, UrlSigner, media_type, require_type

pytestmark = pytest.mark.unit

SECRET = SecretStr("s" * 32)
KEY = "u1/v1/reference.wav"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def signer(clock: HandClock) -> UrlSigner:
    return UrlSigner(SECRET, lifetime_s=60, clock=clock)


def parts_of(url: str) -> tuple[str, str, str, str, str]:
    """Bucket, key, expires, signature and type of a URL."""
    parts = urlsplit(url)
    _, root, bucket, key = unquote(parts.path).split("/", 3)
    assert root == "objects"
    query = parse_qs(parts.query)
    return bucket, key, query["expires"][0], query["signature"][0], query.get("type", [""])[0]


def test_a_signed_url_is_accepted_until_it_expires(signer: UrlSigner, clock: HandClock) -> None:
    bucket, key, expires, signature, _ = parts_of(signer.sign("GET", "references", KEY))
    assert (bucket, key) == ("references", KEY)
    signer.verify("GET", bucket, key, expires=expires, signature=signature)
    clock.advance(60)
    signer.verify("GET", bucket, key, expires=expires, signature=signature)
    clock.advance(1)
    with pytest.raises(ForbiddenError, match=r"has expired\."):
        signer.verify("GET", bucket, key, expires=expires, signature=signature)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"bucket": "generations"},
        {"key": "u2/v1/reference.wav"},
        {"expires": "99999999999"},
        {"expires": "١٢٣"},
        {"expires": "-1"},
        {"expires": ""},
        {"expires": "9" * 5000},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "ü"},
        {"content_type": "audio/wav"},
    ],
    ids=str,
)
def test_a_url_changed_in_any_part_is_refused(signer: UrlSigner, change: dict[str, str]) -> None:
    bucket, key, expires, signature, _ = parts_of(signer.sign("GET", "references", KEY))
    values = {
        "method": "GET",
        "bucket": bucket,
        "key": key,
        "expires": expires,
        "signature": signature,
    } | change
    method, bucket, key = values.pop("method"), values.pop("bucket"), values.pop("key")
    with pytest.raises(ForbiddenError, match=r"is not valid\."):
        signer.verify(method, bucket, key, **values)


def test_another_secret_signs_otherwise(signer: UrlSigner, clock: HandClock) -> None:
    other = UrlSigner(SecretStr("t" * 32), lifetime_s=60, clock=clock)
    assert (
        parts_of(other.sign("GET", "references", KEY))[3]
        != parts_of(signer.sign("GET", "references", KEY))[3]
    )


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_no_two_objects_share_a_signature(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    made = [
        UrlSigner._signature(b"s" * 32, "GET", bucket, key, 5, content_type=content_type)
        for bucket, key, content_type in (one, two)
    ]
    same = made[0] == made[1]
    assert same == (one == two)


def test_the_type_is_bound(signer: UrlSigner) -> None:
    bucket, key, expires, signature, signed_type = parts_of(
        signer.sign("PUT", "references", KEY, "audio/mpeg")
    )
    assert signed_type == "audio/mpeg"
    signer.verify("PUT", bucket, key, expires=expires, signature=signature, content_type="audio/mpeg")
    with pytest.raises(ForbiddenError):
        signer.verify("PUT", bucket, key, expires=expires, signature=signature, content_type=ANY_AUDIO)


def test_a_sent_type_must_fit_the_signed_one() -> None:
    require_type(ANY_AUDIO, "audio/wav")
    require_type("audio/wav", "audio/wav")
    for signed, sent in [
        ("audio/wav", "audio/mpeg"),
        (ANY_AUDIO, "text/html"),
        (ANY_AUDIO, ""),
        ("", "audio/wav"),
    ]:
        with pytest.raises(ValidationError):
            require_type(signed, sent)
    assert media_type('Audio/WAV ; codecs="1"') == "audio/wav"


def test_a_weak_secret_is_refused_with_the_fix() -> None:
    with pytest.raises(ConfigurationError, match=r"OBJECT_URL_SECRET.*openssl rand"):
        UrlSigner(SecretStr("short"), lifetime_s=60, clock=HandClock())


def test_the_base_url_is_put_before_the_path(clock: HandClock) -> None:
    signer = UrlSigner(SECRET, lifetime_s=60, clock=clock, base_url="https://voice.example/")
    assert signer.sign("GET", "references", KEY).startswith("https://voice.example/objects/references/u1/v1/")


def test_a_url_outlives_the_rotation_of_its_secret_and_none_is_signed_with_the_old_one(
    clock: HandClock,
) -> None:
    old, new = SecretStr("o" * 32), SecretStr("n" * 32)
    rotated = UrlSigner(new, lifetime_s=60, clock=clock, previous=old)
    bucket, key, expires, signature, _ = parts_of(
        UrlSigner(old, lifetime_s=60, clock=clock).sign("GET", "references", KEY)
    )
    rotated.verify("GET", bucket, key, expires=expires, signature=signature)
    bucket, key, expires, signature, _ = parts_of(rotated.sign("GET", "references", KEY))
    UrlSigner(new, lifetime_s=60, clock=clock).verify(
        "GET", bucket, key, expires=expires, signature=signature
    )
    with pytest.raises(ForbiddenError):
        UrlSigner(old, lifetime_s=60, clock=clock).verify(
            "GET", bucket, key, expires=expires, signature=signature
        )
    with pytest.raises(ConfigurationError, match="OBJECT_URL_SECRET_PREVIOUS"):
        UrlSigner(new, lifetime_s=60, clock=clock, previous=SecretStr("short"))
