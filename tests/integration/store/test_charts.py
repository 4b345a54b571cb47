"""Charts: the same numbers whether calls are rolled up or not, and percentiles of the newest calls alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.store.rolling import rolled_to_the_end
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.charts import Counted, Ranked, read_counted, read_ranked
from understudy.store.database import Database

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
OK = CallRecord(
    at=START, operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900, mode_epoch=4,
    first_audio_ms=310, characters=5, audio_ms=2000, cost_microusd=65, request_id="r",
)  # fmt: skip
FAILED = replace(OK, outcome="failed", category="c", failure_class="transport", first_audio_ms=None)


async def test_what_is_charted(database: Database) -> None:
    later = START + timedelta(seconds=20)
    calls = [
        *(replace(OK, latency_ms=ms, first_audio_ms=ms // 10) for ms in range(100, 2100, 100)),
        *(replace(FAILED, failure_class=name) for name in ("transport", "protocol", "provider", None)),
        replace(FAILED, category="validation"),
        replace(OK, outcome="cancelled", category="cancelled"),
        replace(OK, synthetic=True),
        replace(OK, operation="design", cost_microusd=7),
        replace(OK, provider="modal", at=later, first_audio_ms=None),
        replace(OK, at=START - timedelta(seconds=1)),
    ]
    async with database.service() as conn:
        await insert_calls(conn, calls)
    wanted = [
        Counted(START, "qwen", 24, 4, 1, 1, 1, 1, 20 * 65 + 4 * 65 + 7),
        Counted(START + timedelta(seconds=15), "modal", 1, 0, 0, 0, 0, 0, 65),
    ]
    for _ in range(2):
        async with database.service() as conn:
            asked: dict[str, Any] = {"operation": "speak", "since": START, "bucket_s": 15}
            assert await read_counted(conn, **asked) == wanted
            assert await read_ranked(conn, **asked) == [
                Ranked(START, "qwen", 1000, 1900, 100, 190),
                Ranked(START + timedelta(seconds=15), "modal", 900, 900, None, None),
            ]
            assert [row.provider for row in await read_ranked(conn, **asked, most=1)] == ["modal"]
        await rolled_to_the_end(database)
