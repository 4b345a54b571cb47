"""Secrets set by the real CLI: what arrives, what is told of it, and what must not move."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.clients.supabase.project import IMPATIENCE, OTHERS, TOKEN, Hosted, seed_with_hits
from understudy.errors import TargetError

pytestmark = pytest.mark.supabase

MODE = "TTS_PROVIDER_MODE"
#: Each is a trap of the CLI's dotenv reader, or of a shell.
AWKWARD = {
    "HASH_IN_A_URL": "https://x.example/?a=1#frag",
    "DOLLARS": "p$HOME${HOME}$(id)`id`",
    "SINGLE_QUOTE": "it's #1",
    "BOTH_QUOTES": 'it\'s "so" \\n #2',
    "BACKTICK_AND_SINGLE": "it's `so`",
    "LINES": 'one\ntwo "2" #3\n',
    "SPACES": "  both ends  ",
    "EMPTY": "",
    "UNICODE": "é漢字🎙",
    "BACKSLASHES": "C:\\new\\table",
}


async def test_the_mode_is_set_and_nothing_else_moves(project: Hosted) -> None:
    target = project.target()
    assert await target.read_env([MODE]) == {MODE: "qwen"}
    await target.write_env({MODE: "modal"})
    assert project.values() == {MODE: "modal", **OTHERS}
    assert await project.target().read_env([MODE, *OTHERS]) == {MODE: "modal"}


async def test_set_already_is_not_set_again(project: Hosted) -> None:
    await project.target().write_env({MODE: "qwen"})
    assert project.count("POST /secrets") == 0


async def test_every_value_arrives_byte_for_byte(project: Hosted) -> None:
    await project.target().write_env(AWKWARD)
    assert project.values() == {MODE: "qwen", **OTHERS, **AWKWARD}


def _ours(pid: int) -> bool:
    """Whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


async def test_no_secret_in_any_argument_list(project: Hosted, tmp_path: Path) -> None:
    seen: list[str] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if not _ours(int(entry.parent.name)):
                        continue  # another test's, beside this one
                    seen.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    await project.target().write_env({"MODAL_KEY": "wk-very-secret-indeed", MODE: "modal"})
    done.set()
    await watching
    commands = [line for line in seen if "secrets set" in line]
    assert commands, "the CLI was never seen running"
    assert any(f"{MODE}=modal" in line for line in commands)
    assert not [line for line in seen if "wk-very-secret-indeed" in line or TOKEN in line]
    assert project.values()["MODAL_KEY"] == "wk-very-secret-indeed"
    kept = "".join(path.read_text() for path in project.home.rglob("*") if path.is_file())
    assert "modal" in kept
    assert "wk-very-secret-indeed" not in kept
    assert TOKEN not in kept


async def test_another_secret_that_moves_stops_everything(project: Hosted) -> None:
    project.strike(secrets_set_moves_others=1)
    target = project.target()
    with pytest.raises(TargetError, match=r"Stopped: while TTS_PROVIDER_MODE was set.*DASHSCOPE_API_KEY"):
        await target.write_env({MODE: "modal"})
    project.strike(secrets_set_moves_others=0)
    requests = project.count("POST /secrets")
    restarted = project.target()
    for refused in (
        restarted.write_env({MODE: "qwen"}),
        restarted.read_env([MODE]),
        restarted.redeploy("d-1"),
        restarted.deploy_revision("d-2", "known-good"),
    ):
        with pytest.raises(TargetError, match="Stopped"):
            await refused
    assert project.count("POST /secrets") == requests
    assert project.project.uploads == []
    project.set_secrets(OTHERS)  # a person puts it back
    assert await restarted.read_env([MODE]) == {MODE: "modal"}


async def test_a_person_may_go_on(project: Hosted) -> None:
    project.strike(secrets_set_moves_others=1)
    target = project.target()
    with pytest.raises(TargetError, match=r"remove .*stopped\.json"):
        await target.write_env({MODE: "modal"})
    next(project.home.rglob("stopped.json")).unlink()
    assert await target.read_env([MODE]) == {MODE: "modal"}


async def test_success_that_changed_nothing_is_told(project: Hosted) -> None:
    project.strike(secrets_set_lies=1)
    with pytest.raises(TargetError, match="did not change TTS_PROVIDER_MODE: the CLI reported success"):
        await project.target().write_env({MODE: "modal"})
    assert await project.target().read_env([MODE]) == {MODE: "qwen"}


async def test_a_refusal_is_told_with_its_reason(project: Hosted) -> None:
    project.strike(secrets_set_500=1)
    with pytest.raises(TargetError, match=r"did not change TTS_PROVIDER_MODE: .*Failed to create secrets"):
        await project.target().write_env({MODE: "modal"})


async def test_an_answer_that_never_comes_is_read_back(project: Hosted) -> None:
    project.strike(secrets_set_hang=1)
    await project.target(patience=IMPATIENCE).write_env({MODE: "modal"})
    assert project.values()[MODE] == "modal"
    assert await project.target().read_env([MODE]) == {MODE: "modal"}


async def test_the_rate_limit_is_waited_out(project: Hosted) -> None:
    # One run of the CLI tries four times: the second run gets through.
    seed = seed_with_hits("secrets_set_throttled", 5)
    project.strike(seed, secrets_set_throttled=0.5, read_throttled=0.3)
    await project.target().write_env({MODE: "modal"})
    assert project.values()[MODE] == "modal"
    assert project.server.panel.injected["secrets_set_throttled"] == 5


async def test_digests_of_another_kind_are_believed_when_they_move(project: Hosted) -> None:
    project.strike(secrets_digest_opaque=1)
    target = project.target()
    assert await target.read_env([MODE]) == {}
    await target.write_env({MODE: "modal"})
    assert await project.target().read_env([MODE]) == {MODE: "modal"}
    project.set_secrets({MODE: "qwen"})  # by another hand
    assert await project.target().read_env([MODE]) == {}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SUPABASE_URL", "x", "the platform sets"),
        ("NOT-A-NAME", "x", "not the name"),
        ("EVERY_QUOTE", "'`\"", "every kind of quote"),
        ("NUL", "a\0b", "control character"),
        ("LONG", "x" * 24_577, "24576"),
    ],
)
async def test_what_cannot_be_carried_is_refused_first(
    project: Hosted, name: str, value: str, told: str
) -> None:
    with pytest.raises(TargetError, match=told):
        await project.target().write_env({name: value, MODE: "modal"})
    assert project.server.requests == []
