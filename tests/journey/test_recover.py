"""The Local Recovery Runbook in one command: in a repository of the playbook's layout, and in this one."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journey.checkouts import GOOD, ROOT, commit, git, repository, this_repository, variables
from understudy.envfile import set_in_env_file

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed (Node 20 or newer)"),
]

UNDERSTUDY = [sys.executable, "-m", "understudy.cli.app"]
SERVER = """
const http = require("node:http");
const server = http.createServer((request, answer) => {
  answer.setHeader("content-type", "application/json");
  answer.end(JSON.stringify({ ok: request.url === "/api/health" }));
});
server.listen(Number(process.env.API_PORT), "127.0.0.1");
"""
TESTED = 'require("node:fs").appendFileSync("done.txt", process.argv[2] + "\\n");'
#: The playbook's layout with other programs behind its names than ours.
LAYOUT = {
    ".gitignore": "done.txt\n",
    "serve.js": SERVER,
    "did.js": TESTED,
    "package.json": json.dumps(
        {
            "private": True,
            "scripts": {
                "sb:reset": "node did.js reset",
                "sb:serve": "exec node serve.js",
                "test:db": "node did.js db",
                "test:edge": "node did.js edge",
            },
        }
    ),
    "frontend/package.json": json.dumps(
        {"private": True, "scripts": {"check": "node --check app.js", "typecheck": "node --version"}}
    ),
    "frontend/app.js": "export const answer = 42;\n",
}
Recover = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def recover(tmp_path: Path) -> Recover:
    def run(checkout: Path, *arguments: str, **added: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [*UNDERSTUDY, "recover", "local", *arguments, "--json"],
            cwd=checkout,
            env=variables(checkout, UNDERSTUDY_HOME=str(tmp_path / "home"), **added),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    return run


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return repository(tmp_path / "layout", LAYOUT)


@pytest.fixture
def port() -> int:
    """Below what the kernel gives to others, so that nobody takes it between here and the server."""
    for candidate in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", candidate)) != 0:
                return candidate
    raise AssertionError("no free port")


def playbook_commands(heading: str) -> list[str]:
    """The fenced commands below a heading of the playbook that are typed on this machine."""
    text = (ROOT / "docs" / "runbooks" / "restoration-playbook.md").read_text()
    part = text.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    scripts = re.findall(r"^```bash\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    return [line for script in scripts for line in script.splitlines() if not line.startswith("supabase ")]


def states(found: dict[str, Any]) -> dict[str, str]:
    return {outcome["step"]["name"]: outcome["state"] for outcome in found["steps"]}


@pytest.mark.long
def test_a_repository_of_the_playbooks_layout_is_recovered(layout: Path, recover: Recover, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    code, found, said = recover(layout, GOOD, "--yes", "--base-url", url, API_PORT=str(port))
    try:
        assert code == 0, said
        assert set(states(found).values()) == {"passed"}
        assert " > ".join(states(found)) == (
            "switch > database > serve > database tests > api tests > frontend check > frontend typecheck"
        )
        assert git(layout, "rev-parse", "HEAD") == git(layout, "rev-parse", GOOD)
        assert (layout / "done.txt").read_text().split() == ["reset", "db", "edge"]
        assert found["base_url"] == url
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
    finally:
        if found.get("serving"):
            os.killpg(found["serving"], signal.SIGTERM)


@pytest.mark.long
def test_what_fails_is_told_and_the_exit_code_says_so(layout: Path, recover: Recover, port: int) -> None:
    broken = json.loads(LAYOUT["package.json"])
    broken["scripts"]["test:edge"] = "node -e 'console.log(\"route /api/tasks is gone\"); process.exit(3)'"
    del broken["scripts"]["test:db"]
    commit(layout, "failing", {"package.json": json.dumps(broken), "frontend/app.js": "const = 1;\n"})
    code, found, said = recover(
        layout,
        "rollout",
        "--yes",
        "--stop-serving",
        "--base-url",
        f"http://127.0.0.1:{port}",
        API_PORT=str(port),
    )
    assert code == 1
    assert states(found) == {
        "switch": "passed",
        "database": "passed",
        "serve": "passed",
        "database tests": "skipped",
        "api tests": "failed",
        "frontend check": "failed",
        "frontend typecheck": "passed",
    }
    assert "package.json has no script test:db" in said
    assert "route /api/tasks is gone" in said
    assert found["serving"] is None
    broken["scripts"]["sb:serve"] = "node -e 'process.exit(4)'"
    commit(layout, "not serving", {"package.json": json.dumps(broken)})
    code, found, said = recover(layout, "rollout", "--keep-database")
    assert code == 1
    assert states(found)["database"] == "skipped"
    assert states(found)["serve"] == "failed"
    assert states(found)["api tests"] == "not run"
    assert "it ended with exit code 4" in said


@pytest.mark.long
def test_nothing_is_done_that_was_not_agreed_to(layout: Path, recover: Recover) -> None:
    (layout / "package.json").write_text("{}")
    code, _, said = recover(layout, GOOD, "--yes")
    assert code == 1
    assert "has changes that are not committed: package.json" in said
    git(layout, "checkout", "--", "package.json")
    code, _, said = recover(layout, "no-such-tag", "--yes")
    assert "no-such-tag is no branch, tag or commit" in said
    code, _, said = recover(layout)
    assert "Nothing is recorded as known-good here. Name the branch or tag" in said
    code, _, said = recover(layout, GOOD)
    assert code == 1
    assert "`npm run sb:reset` would lose data" in said
    code, found, _ = recover(layout, GOOD, "--plan")
    assert code == 0
    assert [step["argv"][:3] for step in found["steps"]][:2] == [
        ["git", "switch", "--detach"],
        ["npm", "run", "sb:reset"],
    ]
    assert [step["name"] for step in found["steps"] if step["destructive"]] == ["database"]
    assert git(layout, "branch", "--show-current") == "rollout"
    assert not (layout / "done.txt").exists()


@pytest.mark.long
def test_what_is_done_are_the_playbooks_own_commands(layout: Path, recover: Recover) -> None:
    code, found, _ = recover(layout, "known-good-branch", "--plan")
    assert code == 0
    written = [
        line.replace("<known-good-branch>", "known-good-branch")
        for line in playbook_commands("Local Recovery")
    ]
    assert [shlex.join(step["argv"]) for step in found["steps"]] == written


@pytest.mark.long
def test_a_database_that_fits_the_code_is_not_emptied(layout: Path, recover: Recover, port: int) -> None:
    ours = json.loads(LAYOUT["package.json"])
    ours["scripts"]["sb:reset"] = "understudy db reset"
    commit(layout, "with our own database", {"package.json": json.dumps(ours)})
    given = ("rollout", "--yes", "--stop-serving", "--base-url", f"http://127.0.0.1:{port}")
    for state, detail in (("passed", "emptied and migrated"), ("skipped", "nothing is emptied")):
        code, found, said = recover(layout, *given, API_PORT=str(port))
        assert code == 0, said
        database = next(each for each in found["steps"] if each["step"]["name"] == "database")
        assert (database["state"], detail in database["detail"]) == (state, True)


@pytest.mark.long
def test_a_person_who_says_no_keeps_the_database(layout: Path, tmp_path: Path, port: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *UNDERSTUDY,
            "recover",
            "local",
            "known-good-branch",
            "--stop-serving",
            "--base-url",
            f"http://127.0.0.1:{port}",
        ],
        cwd=layout,
        env=variables(layout, UNDERSTUDY_HOME=str(tmp_path / "home"), API_PORT=str(port)),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"n\n")
    said, _ = process.communicate(timeout=300)
    os.close(ours)
    assert process.returncode == 0, said
    assert "kept, as asked" in said
    assert (layout / "done.txt").read_text().split() == ["db", "edge"]
    assert git(layout, "branch", "--show-current") == "known-good-branch"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_this_repository_is_recovered_by_the_same_command(tmp_path: Path, recover: Recover) -> None:
    checkout = this_repository(tmp_path / "checkout")
    file = checkout / "supabase" / ".env.local"
    file.write_text("# by hand\nTTS_PROVIDER_MODE=modal   # the switch\n")
    # The scripts run for real; which of our tests pytest takes is narrowed, for `make test` runs them all.
    few = "-k 'test_usage or test_schema' -p no:cacheprovider"
    code, found, said = recover(checkout, GOOD, "--yes", "--stop-serving", PYTEST_ADDOPTS=few)
    assert code == 0, said
    told = states(found)
    assert told.pop("frontend dependencies", "passed") == "passed"
    assert told.pop("frontend check") == told.pop("frontend typecheck") == _frontend(checkout)
    assert told == dict.fromkeys(("switch", "database", "serve", "database tests", "api tests"), "passed")
    for name in ("database-tests", "api-tests"):
        assert re.search(r"\d+ passed", (tmp_path / "home" / "logs" / f"recover-{name}.log").read_text())
    # The served environment is the playbook's file, edited in place.
    text = file.read_text()
    assert text.startswith("# by hand\nTTS_PROVIDER_MODE=modal   # the switch\n")
    assert "\nJWT_SECRET=" in text
    assert file.stat().st_mode & 0o777 == 0o600
    again_code, again, said = recover(checkout, GOOD, "--plan")
    assert again_code == 0, said
    assert git(checkout, "status", "--porcelain") == ""
    assert again["steps"][0]["name"] == "switch"


@pytest.mark.long
def test_an_edit_of_the_playbooks_file_and_a_restart_switch_the_provider(tmp_path: Path) -> None:
    checkout, home = this_repository(tmp_path / "checkout"), tmp_path / "home"
    file = checkout / "supabase" / ".env.local"
    shutil.copy(checkout / "supabase" / ".env.local.example", file)
    assert served_provider(checkout, home) == "modal"
    set_in_env_file(file, {"TTS_PROVIDER_MODE": "qwen"})
    assert served_provider(checkout, home) == "qwen"
    example = (checkout / "supabase" / ".env.local.example").read_text()
    assert file.read_text().startswith(example.replace("MODE=modal", "MODE=qwen"))


def served_provider(checkout: Path, home: Path) -> str:
    """Serve as the playbook types it, ask who speaks, and stop."""
    line = playbook_commands("Fast Rollback via Env Switch")[-1]
    assert line == "npm run sb:serve"
    log = checkout.parent / "serve.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=checkout,
            env=variables(checkout, UNDERSTUDY_HOME=str(home)),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 240
        while not (home / "run" / "state.json").is_file():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, "not served within 240 s"
            time.sleep(0.1)
        api = json.loads((home / "run" / "state.json").read_text())["addresses"]["api"]
        with urllib.request.urlopen(f"{api}/api/languages", timeout=30) as answer:
            return str(json.load(answer)["provider"])
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(120)


def _frontend(checkout: Path) -> str:
    return "passed" if (checkout / "frontend" / "package.json").is_file() else "skipped"
