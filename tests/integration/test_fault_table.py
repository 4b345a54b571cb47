"""The table of docs/faults.md is what the code does."""

from __future__ import annotations

import re

import pytest

from bench import faults

#: One of each kind: refused before the text, refused after it, cut in mid-speech, a create that fails.
SOON_OVER = {
    "qwen": (("handshake_401", "error_event", "drop_mid_audio"), ("stream", "/v1 speech", "generate")),
    "modal": (("submit_500", "job_failed"), ("/v1 speech", "generate")),
}


@pytest.mark.unit
@pytest.mark.parametrize("mode", faults.PANELS)
def test_every_fault_of_the_panel_has_a_row(mode: str) -> None:
    documented = {re.findall(r"`(\w+)`", row)[0] for row in faults.documented(mode)}
    assert documented == set(faults.PANELS[mode]), "run `python -m bench.faults`"


@pytest.mark.integration
@pytest.mark.parametrize("mode", faults.PANELS)
async def test_some_rows_are_as_documented(mode: str) -> None:
    some, asks = SOON_OVER[mode]
    found = await faults.rows(mode, some, asks)
    assert len(found) == len(some) * len(asks)
    assert not set(found) - set(faults.documented(mode)), "run `python -m bench.faults`"


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", faults.PANELS)
async def test_all_rows_are_as_documented(mode: str) -> None:
    assert await faults.rows(mode) == faults.documented(mode), "run `python -m bench.faults`"
