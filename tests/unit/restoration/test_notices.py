"""What people are told: only what was done."""

from __future__ import annotations

import pytest

from tests.unit.findings import AT
from understudy.restoration.guard.notices import notice_of
from understudy.store.journal import JournalEntry

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("actions", "done"),
    [
        (["env_switch"], "the known-good side serves"),
        (["close_valve"], "voice creates are paused"),
        (["close_valve", "env_switch"], "voice creates are paused; the known-good side serves"),
        (["nothing_of_ours"], "what was begun is done"),
        ([], "what was begun is done"),
    ],
)
def test_mitigated_says_what_was_done_and_nothing_else(actions: list[str], done: str) -> None:
    entry = JournalEntry(
        seq=7, at=AT, incident="inc-1", kind="state", step=None, actor="guard", lease_epoch=1,
        body={"from": "RESTORING", "to": "MITIGATED", "actions": actions}, prev_hash="", hash="",
    )  # fmt: skip
    notice = notice_of(entry, environment="local", title="t")
    assert notice is not None
    assert notice.what_happened == f"Mitigated: {done}; recovery is being proven."
    assert (notice.severity, notice.over) == ("info", False)
