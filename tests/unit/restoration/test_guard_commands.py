"""`guard --check`, `guard-keys`, `known-good`: what an operator types beside a running guard."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from tests.clocks import HandClock
from understudy.cli.commands import app
from understudy.clock import SystemClock
from understudy.logs import Redactor
from understudy.restoration.guard import process
from understudy.restoration.guard.documents import alarms_document
from understudy.restoration.guard.heartbeat import Heartbeat
from understudy.restoration.guard.process import GuardOptions, alarms_beside, operator_token
from understudy.settings import Settings
from understudy.store.guard import GUARD_FILE, GuardStore
from understudy.store.migrations import load_migrations

pytestmark = pytest.mark.unit


def run(home: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--home", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_check_tells_a_living_guard_from_a_dead_one(tmp_path: Path) -> None:
    assert "No guard has completed a look" in run(tmp_path, "guard", "--check", code=1).stderr
    heart = Heartbeat(tmp_path, SystemClock())
    heart.beat(leads=True, verdicts={}, incident=None, cycle_ms=1)
    assert run(tmp_path, "guard", "--check").output == ""
    old = Heartbeat(tmp_path, HandClock(SystemClock().now() - timedelta(seconds=30)))
    old.beat(leads=True, verdicts={}, incident=None, cycle_ms=1)
    assert "nobody watches" in run(tmp_path, "guard", "--check", code=1).stderr
    run(tmp_path, "guard", "--check", "--max-age-s", "60")
    for text in ("nonsense", '{"at": "2026-11-24T12:00:00"}'):
        (tmp_path / "guard" / "heartbeat.json").write_text(text)
        assert "cannot be read as a heartbeat" in run(tmp_path, "guard", "--check", code=1).stderr


def test_a_beat_that_cannot_be_written_is_told_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, SystemClock())
    heart.beat(leads=True, verdicts={}, incident=None, cycle_ms=1)
    file = tmp_path / "guard" / "heartbeat.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    file.mkdir()
    heart.beat(leads=True, verdicts={}, incident=None, cycle_ms=1)
    assert list(file.parent.iterdir()) == [file]
    nobody = SimpleNamespace(alarms=dict, alarm=lambda: None)
    beside: Any = alarms_beside(nobody, nobody, nobody, heart)  # type: ignore[arg-type]
    guard: Any = SimpleNamespace(view=SimpleNamespace(paged={k: v for k, v in beside.items() if v}))
    said = alarms_document(guard, None, heart)
    assert list(said) == ["heartbeat"]
    assert "cannot be written" in said["heartbeat"]


async def test_the_guard_takes_its_operator_token_out_of_what_people_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}

    async def run_nothing(*_: object, **parts: Any) -> None:
        kept.update(parts)

    monkeypatch.setattr(process, "_run", run_nothing)
    settings = Settings(database_url=SecretStr("postgresql://u:p@127.0.0.1:1/x"))
    await process.run_guard(GuardOptions(tmp_path), settings, SystemClock(), announce=print)
    assert kept["redactor"](f"use {operator_token(tmp_path)}") == "use [redacted]"


def test_keys_are_shown_once_named_listed_and_revoked(tmp_path: Path) -> None:
    made = json.loads(run(tmp_path, "guard-keys", "create", "ann", "--json").stdout)
    key = made["key"]
    assert "has a key already" in run(tmp_path, "guard-keys", "create", "ann", code=1).stderr
    run(tmp_path, "guard-keys", "create", "", code=1)
    run(tmp_path, "guard-keys", "create", "bob")
    listed = run(tmp_path, "guard-keys", "list", "--json").stdout
    assert key not in listed
    assert [row["name"] for row in json.loads(listed)["keys"]] == ["ann", "bob"]
    assert "good" in run(tmp_path, "guard-keys", "list").stdout
    with GuardStore(tmp_path / GUARD_FILE, SystemClock()) as store:
        assert store.operator(key) == "ann"
        assert Redactor()(f"sent {key} by mistake") == "sent [redacted] by mistake"
        revoked = run(tmp_path, "guard-keys", "revoke", key)  # the whole key works too
        assert key not in revoked.output
        assert store.operator(key) is None
        assert [entry.kind for entry in store.entries()] == ["key_created", "key_created", "key_revoked"]
        assert store.verify_chain().problems == ()
    assert "There is no good key" in run(tmp_path, "guard-keys", "revoke", "ann", code=1).stderr


def test_known_good_is_recorded_without_a_secret_and_keeps_its_history(tmp_path: Path) -> None:
    secret, key = "0123456789-0123456789-0123456789", "sk-0123456789abcdef0123456789abcdef"
    (tmp_path / "understudy.env").write_text(
        f"TTS_PROVIDER_MODE=modal\nJWT_SECRET={secret}\nDASHSCOPE_API_KEY={key}\n"
    )
    GuardStore(tmp_path / GUARD_FILE, SystemClock()).close()
    assert "Nothing is recorded" in run(tmp_path, "known-good", "show", code=1).stderr
    assert "--reason is empty" in run(tmp_path, "known-good", "record", "--reason", " ", code=1).stderr
    # What the present tree is, is another test's matter (tests/integration/releases).
    record_it = ("known-good", "record", "--allow-dirty", "--no-release", "--reason")
    first = run(tmp_path, *record_it, "release 1", "--json").stdout
    (record,) = json.loads(first)["known_good"]
    assert record["migrations"]["head"] == load_migrations()[-1].version
    assert len(record["migrations"]["files"]) == len(load_migrations())
    assert record["provider"]["mode"] == "modal"
    assert len(record["qwen_key_fingerprint"]) == 16
    assert "JWT_SECRET" in {name.upper() for name in record["secret_digests"]}
    (tmp_path / "understudy.env").write_text("TTS_PROVIDER_MODE=qwen\n")
    run(tmp_path, *record_it, "release 2")
    shown = run(tmp_path, "known-good", "show", "--history", "5", "--json").stdout
    records = json.loads(shown)["known_good"]
    assert [(kept["seq"], kept["reason"]) for kept in records] == [(2, "release 2"), (1, "release 1")]
    assert records[0]["environment_sha256"] != records[1]["environment_sha256"]
    assert (records[0]["settings"], records[0]["catalog"]) == ({"TTS_PROVIDER_MODE": "qwen"}, None)
    listed = json.loads(run(tmp_path, "known-good", "list", "--json").stdout)["known_good"]
    assert [(row["seq"], row["mode"], row["release"]) for row in listed] == [
        (2, "qwen", None),
        (1, "modal", None),
    ]
    kept = tmp_path / "known-good" / "1" / "understudy.env"
    assert secret in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "release 2" in run(tmp_path, "known-good", "show").stdout
    with GuardStore(tmp_path / GUARD_FILE, SystemClock()) as store:
        assert [entry.kind for entry in store.entries()] == ["known_good", "known_good"]
    stored = (tmp_path / GUARD_FILE).read_bytes()
    assert secret.encode() not in stored
    assert key.encode() not in stored
