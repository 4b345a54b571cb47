"""What ``understudy reconcile creates`` shows to whoever must act on it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from understudy.cli import reconcile
from understudy.cli.output import console
from understudy.speech.creates import CreateState, LooseCreate

pytestmark = pytest.mark.unit

VOICE = "qwen-tts-vc-czwazkwmfgj7j7iv-voice-20261125004431883-55d6"


@pytest.mark.parametrize("width", [40, 80])
def test_a_voice_is_named_whole_on_any_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = LooseCreate(
        state=CreateState.ORPHAN,
        provider="qwen",
        kind="vc",
        label="[x]",
        voice_id=VOICE,
        task_id=None,
        user_id=None,
        created_at="2026-11-25T00:44:31",
    )

    async def found(_: object) -> list[LooseCreate]:
        return [orphan]

    monkeypatch.setattr(reconcile, "_creates", found)
    monkeypatch.setattr(console, "width", width)
    shown = CliRunner().invoke(reconcile.app, ["creates"])
    assert shown.exit_code == 0
    assert VOICE in shown.stdout
    assert "label [x]" in shown.stdout
    assert "orphan vc since 2026-11-25T00:44:31" in shown.stdout
