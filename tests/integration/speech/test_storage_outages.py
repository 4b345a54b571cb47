"""Speech that was given and could not be stored: whose failure that is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.speech.conftest import TEXT, Studio
from understudy.errors import StoreUnavailableError
from understudy.speech import settling
from understudy.store import calls

pytestmark = pytest.mark.integration


async def test_a_storage_outage_is_no_failure_of_the_provider(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switch of the provider cures no storage: no success rate counts it, and its tenant pays nothing."""
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)

    async def away(*_: object) -> None:
        raise StoreUnavailableError

    monkeypatch.setattr(settling, "PATIENCE_S", 0.0)
    monkeypatch.setattr(studio.ctx.objects, "put", away)
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)

    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "storage")
    (call,) = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert (call["outcome"], call["billable"], call["cost_microusd"]) == ("cancelled", False, 13 * len(TEXT))
    now = studio.ctx.clock.now()
    async with studio.ctx.database.service() as conn:
        counts = await calls.window_counts(
            conn,
            operation="speak",
            provider="qwen",
            mode_epoch=call["mode_epoch"],
            start=now - timedelta(minutes=5),
            end=now + timedelta(minutes=5),
        )
    assert (counts.total, counts.failed) == (0, 0)
