"""What an operator sees of Qwen: a key of another lane by name, and what creates came to nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.api.conftest import NOWHERE
from tests.integration.conftest import DatabaseUrls
from tests.integration.store.test_db_command import understudy
from understudy.doctor.dependencies import look_at_provider
from understudy.doctor.findings import Finding, State
from understudy.lanes import fingerprint
from understudy.providers.base import DesignBrief
from understudy.providers.qwen.provider import QwenProvider
from understudy.settings import Settings
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings

pytestmark = pytest.mark.integration

KEY, OTHER_LANES_KEY = "sk-standin-intl-0001", "sk-standin-cn-0001"
RECORDED = f"intl:{fingerprint(KEY)},cn:{fingerprint(OTHER_LANES_KEY)}"


@pytest_asyncio.fixture
async def dashscope(tmp_path: Path) -> AsyncIterator[str]:
    """Address of a stand-in that plays the intl lane."""
    async with running_standins(tmp_path / "standins", StandInSettings()) as addresses:
        yield addresses.dashscope


async def looked_at(address: str, key: str, recorded: str = "") -> Finding:
    settings = Settings(
        _env_file=None,
        dashscope_base_url=address,
        dashscope_api_key=key,  # type: ignore[arg-type]
        dashscope_key_fingerprints=recorded,
    )
    provider = QwenProvider(settings)
    try:
        return await look_at_provider("qwen", provider, needed=True)
    finally:
        await provider.close()


async def test_a_fitting_key_is_told_by_its_fingerprint(dashscope: str) -> None:
    found = await looked_at(dashscope, KEY)
    assert found.state is State.OK
    assert f"intl:{fingerprint(KEY)}" in found.detail
    assert KEY not in found.detail


@pytest.mark.parametrize(
    ("key", "recorded", "told"),
    [
        (OTHER_LANES_KEY, RECORDED, "it is a key of lane cn, and DASHSCOPE_REGION is intl"),
        (OTHER_LANES_KEY, "", "wrong, revoked, or of another region"),
        ("sk-revoked-0001", f"intl:{fingerprint('sk-revoked-0001')}", "it was revoked or disabled"),
    ],
)
async def test_a_refused_key_is_named_by_what_is_on_record(
    dashscope: str, key: str, recorded: str, told: str
) -> None:
    found = await looked_at(dashscope, key, recorded)
    assert found.state is State.FAIL
    assert told in found.detail
    assert key not in f"{found.detail} {found.fix}"


async def test_creates_without_a_voice_are_listed(
    dashscope: str, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    environment = {
        "UNDERSTUDY_HOME": str(tmp_path),
        "DATABASE_URL": database_urls.app.get_secret_value(),
        "OBJECT_URL_SECRET": secrets.token_hex(32),
        "DASHSCOPE_BASE_URL": dashscope,
        "DASHSCOPE_API_KEY": KEY,
    }
    modal = ("SUBMIT", "STATUS", "RESULT", "CANCEL")
    environment |= {f"MODAL_JOB_{name}": NOWHERE for name in modal} | {"MODAL_ENDPOINT_VOICE_DESIGN": NOWHERE}
    nothing = await understudy("reconcile", "creates", **environment)
    assert (nothing.code, nothing.out.strip()) == (0, "Every billed create has its voice."), nothing.err
    settings = Settings(_env_file=None, dashscope_base_url=dashscope, dashscope_api_key=KEY)  # type: ignore[arg-type]
    provider = QwenProvider(settings)
    brief = DesignBrief("One two three.", "English", "a calm low voice")
    made = await provider.design(brief, label="nobodys")
    await provider.close()

    answer = await understudy("reconcile", "creates", "--json", **environment)

    assert answer.code == 0, answer.err
    (create,) = json.loads(answer.out)["creates"]
    assert (create["state"], create["kind"], create["label"]) == ("orphan", "vd", "nobodys")
    assert create["voice_id"] == made.binding.voice_id
    assert KEY not in answer.out + answer.err
    assert "orphan" in (await understudy("reconcile", "creates", **environment)).out
