"""Passwords."""

from __future__ import annotations

import pytest

from understudy.api.passwords import PasswordHasher

pytestmark = pytest.mark.unit


async def test_only_the_password_matches_and_every_hash_is_salted() -> None:
    hasher = PasswordHasher()
    stored = await hasher.hash("correct horse")
    assert stored != await hasher.hash("correct horse")
    assert "correct horse" not in stored
    assert await hasher.matches("correct horse", stored)
    assert not await hasher.matches("correct horsf", stored)
    assert not await hasher.matches("", stored)
    assert not await hasher.matches("correct horse", None)


@pytest.mark.parametrize(
    "stored", ["", "x", "$2a$10$bcryptbcryptbcrypt", "scrypt$ln=14$a$b", "scrypt$ln=a,r=8,p=1$eA==$eA=="]
)
async def test_a_hash_of_another_kind_never_matches(stored: str) -> None:
    assert not await PasswordHasher().matches("anything", stored)
