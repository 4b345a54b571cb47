"""A guard's post with hand-made findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.restoration.guarding import Post
from understudy.restoration.playbook import judging, repertoire
from understudy.restoration.triggers.verdict import Verdict


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Post:
    post = Post(tmp_path)
    evidence, actions = post.actions()
    monkeypatch.setattr(repertoire, "EVIDENCE", evidence)
    monkeypatch.setattr(repertoire, "ACTIONS", actions)
    monkeypatch.setattr(judging, "judge_all", post.judge)
    monkeypatch.setattr(judging, "rearmed", lambda _, finding, *__, **___: finding.verdict is Verdict.PASS)
    return post
