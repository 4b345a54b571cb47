"""``DELETE /api/me`` and consent on clones, over HTTP."""

from __future__ import annotations

import hashlib
import io
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.api.test_routes import DRAFT, RECORDING, call, clone
from understudy.settings import Settings
from understudy.store.objects import REFERENCES

pytestmark = pytest.mark.integration

CONSENT = {"statement": "I agree that this recording of my voice is cloned. – Ann", "name": "Ann Ünlü"}


async def uploaded(api: Api, user: User) -> dict[str, Any]:
    """The body that finalizes a fresh upload."""
    ticket = await call(user, "POST", "/api/clone/upload-url", json=DRAFT)
    headers = {"Content-Type": "audio/wav"}
    async with api.client.put(ticket["upload_url"], data=io.BytesIO(RECORDING), headers=headers) as answer:
        assert answer.status == 200
    return DRAFT | {"voice_id": ticket["voice_id"]}


async def listed(user: User) -> list[dict[str, Any]]:
    voices: list[dict[str, Any]] = (await call(user, "GET", "/api/voices"))["voices"]
    return voices


async def test_erasing_me_ends_the_account_and_nobody_elses(api: Api, sign_up: SignUp) -> None:
    ann, bob = await sign_up(), await sign_up()
    for user in (ann, bob):
        await clone(api, user)
        await call(user, "GET", "/api/me")
    erased = await call(ann, "DELETE", "/api/me")
    assert (erased["erased"], erased["user_id"], erased["provider_voices"]) == (True, str(ann.id), [])
    assert (erased["counts"]["voices"], erased["counts"]["accounts"]) == (1, 1)
    again = await call(ann, "DELETE", "/api/me")
    assert again == erased
    signed_out = await call(ann, "GET", "/api/me")
    assert signed_out == {"signed_in": False, "user": None, "profile": None}
    assert await listed(ann) == []
    credentials = {"email": ann.email, "password": ann.password}
    async with api.client.post("/auth/v1/token?grant_type=password", json=credentials) as answer:
        assert answer.status == 400
    refresh = {"refresh_token": ann.session["refresh_token"]}
    async with api.client.post("/auth/v1/token?grant_type=refresh_token", json=refresh) as answer:
        assert answer.status == 400
    assert len(await listed(bob)) == 1
    assert [item.key async for item in api.ctx.objects.list(REFERENCES, prefix=f"{ann.id}/")] == []
    assert len([item async for item in api.ctx.objects.list(REFERENCES, prefix=f"{bob.id}/")]) >= 1


async def test_erasing_needs_a_token(api: Api) -> None:
    async with api.client.delete("/api/me") as answer:
        assert (answer.status, await answer.json()) == (401, {"detail": "Missing authorization header"})


async def test_an_erased_account_makes_nothing_new(api: Api, user: User) -> None:
    await call(user, "DELETE", "/api/me")
    body = await uploaded(api, user)
    await call(user, "POST", "/api/clone/finalize", 401, json=body)
    assert [item.key async for item in api.ctx.objects.list(REFERENCES)] == []


async def test_consent_is_kept_with_time_and_recording_and_shown(api: Api, user: User) -> None:
    body = await uploaded(api, user)
    await call(user, "POST", "/api/clone/finalize", json=body | {"consent": CONSENT})
    (voice,) = await listed(user)
    recording = await api.ctx.objects.get(REFERENCES, voice["reference_object_key"])
    assert voice["consent"]["at"] >= voice["created_at"][:19]
    assert {name: voice["consent"][name] for name in ("statement", "name")} == CONSENT
    assert voice["consent"]["reference_sha256"] == hashlib.sha256(recording).hexdigest()
    # A second finalize is the same voice, and changes no consent.
    other = {"statement": "No.", "name": "Bob"}
    await call(user, "POST", "/api/clone/finalize", json=body | {"consent": other})
    assert await listed(user) == [voice]


async def test_without_consent_a_voice_says_so(api: Api, user: User) -> None:
    await clone(api, user)
    (voice,) = await listed(user)
    assert voice["consent"] is None


@pytest.mark.parametrize(
    "consent",
    [
        {},
        {"statement": "I agree."},
        {"name": "Ann"},
        {"statement": " ", "name": "Ann"},
        {"statement": "I agree.", "name": ""},
        {"statement": "x" * 501, "name": "Ann"},
        {"statement": "I agree.", "name": "x" * 101},
        {"statement": "I\0agree.", "name": "Ann"},
        {"statement": 1, "name": "Ann"},
        "yes",
        ["yes"],
    ],
)
async def test_consent_that_says_nothing_is_refused(api: Api, user: User, consent: Any) -> None:
    body = await uploaded(api, user)
    refused = await call(user, "POST", "/api/clone/finalize", 400, json=body | {"consent": consent})
    assert set(refused) == {"detail"}
    assert await listed(user) == []


class TestWhereItIsRequired:
    """``REQUIRE_CLONE_CONSENT=true``."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"require_clone_consent": True})

    async def test_a_clone_without_it_is_refused(self, api: Api, user: User) -> None:
        body = await uploaded(api, user)
        for sent in (body, body | {"consent": None}):
            refused = await call(user, "POST", "/api/clone/finalize", 400, json=sent)
            assert refused == {"detail": "The consent of the person who is heard is required: send consent."}
        assert await listed(user) == []
        await call(user, "POST", "/api/clone/finalize", json=body | {"consent": CONSENT})
        assert len(await listed(user)) == 1

    async def test_anothers_upload_is_still_not_told(self, api: Api, user: User) -> None:
        body = DRAFT | {"voice_id": str(uuid4()), "consent": CONSENT}
        refused = await call(user, "POST", "/api/clone/finalize", 400, json=body)
        assert refused == {"detail": "Audio file not uploaded."}
