"""Writes docs/examples/supabase-restoration.md: what really ran, with both versions of the CLI.

``python -m tests.clients.supabase.transcript`` writes it; a test makes it again and compares.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tests.clients.supabase.project import GOOD_TAG, OTHERS, REF, TOKEN, Hosted, hosted
from tests.clients.supabase.restoring import Restoring
from understudy.restoration.incidents import IncidentState
from understudy.restoration.targets.supabase import SupabaseProject
from understudy.restoration.targets.supabase.commands import commands_for
from understudy.store.journal import JournalEntry

PAGE = Path(__file__).parents[3] / "docs" / "examples" / "supabase-restoration.md"
RECORDER = Path(__file__).parent / "recorder.py"
#: Of each step's evidence these are shown.
_SHOWN = ("skipped", "TTS_PROVIDER_MODE", "languages_provider", "serving")
_SHOWN_OF_STEPS = ("commit", "chosen", "fetched", "version_before", "version", "verify_jwt", "cli")

_HEAD = f"""\
# A Supabase project restored, with both versions of the CLI

Written by `python -m tests.clients.supabase.transcript`; a test of `make test-supabase` makes it again and
compares. Real here: the Supabase CLI from npm, git, the engine with its journal, the deployed function (node
serves it). A stand-in: the Management API ([supabase.md](../supabase.md)). `[...]` stands for folders.

The project holds {len(OTHERS) + 1} secrets and the function `api`; the tag `{GOOD_TAG}` of its repository is
known-good.
"""


async def page(programs: dict[int, Path]) -> str:
    """The whole page."""
    parts = [_HEAD]
    for major, program in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            parts += await _version(major, program, Path(folder))
    parts += _by_hand()
    return "\n".join(parts)


async def _version(major: int, program: Path, folder: Path) -> list[str]:
    log = folder / "cli.jsonl"
    command = (sys.executable, str(RECORDER), str(log), str(program))
    lines = [f"## Version {major}\n"]
    for part in (_Telling.env_switch, _Telling.code_rollback):
        place = folder / part.__name__
        place.mkdir()
        async with hosted(place, command) as project:
            lines += await part(_Telling(project, log))
    return lines


class _Telling:
    def __init__(self, project: Hosted, log: Path) -> None:
        self._project = project
        self._log = log

    async def env_switch(self) -> list[str]:
        """The finding is about qwen; the code in force is good."""
        await self._project.target().deploy_revision("before", GOOD_TAG)
        before = self._digests()
        self._forget()
        restoring = Restoring(self._project)
        incident = restoring.open("env_switch")
        state = await restoring.tend(incident)
        text = ["### The env switch\n", *self._ran(), "Digests of the secrets, first 12 digits:\n"]
        text += ["| secret | before | after |", "|---|---|---|"]
        after = self._digests()
        text += [f"| `{name}` | `{before[name]}` | `{after[name]}` |" for name in sorted(after)]
        return [*text, "", *self._ended(restoring, incident, state)]

    async def code_rollback(self) -> list[str]:
        """The code in force is bad; one person agrees."""
        await self._project.target().deploy_revision("worse", "main")
        self._forget()
        restoring = Restoring(self._project)
        restoring.record_known_good()
        incident = restoring.open("code_rollback")
        await restoring.tend(incident)
        restoring.agree(incident, "ada")
        state = await restoring.tend(incident)
        return [
            "### The code rollback, after one person agreed to its plan\n",
            *self._ran(),
            *self._ended(restoring, incident, state),
        ]

    def _digests(self) -> dict[str, str]:
        return {item["name"]: item["value"][:12] for item in self._project.project.list_secrets()}

    def _forget(self) -> None:
        self._log.unlink(missing_ok=True)
        self._project.server.requests.clear()

    def _ran(self) -> list[str]:
        """Commands with what they said, then the requests that the project saw."""
        entries = [json.loads(line) for line in self._log.read_text().splitlines()]
        lines = ["```console"]
        for entry in entries:
            lines.append(f"$ supabase {shlex.join(map(self._cleaned, entry['arguments']))}")
            said = (entry["complaints"] + entry["out"]).splitlines()
            lines += [self._cleaned(line) for line in said if line.strip()]
            if entry["code"]:
                lines.append(f"(exit code {entry['code']})")
        names = ", ".join(f"`{name}`" for name in entries[-1]["variables"])
        lines += [
            "```\n",
            f"In the environment of each command: {names}.\n",
            "Requests, repeated ones once:\n",
        ]
        seen = [f"{method} {path}" for method, path in self._project.server.requests]
        told = [name for index, name in enumerate(seen) if index == 0 or seen[index - 1] != name]
        return [*lines, "```", *told, "```\n"]

    def _ended(self, restoring: Restoring, incident: str, state: IncidentState) -> list[str]:
        lines = [
            f"The incident is {state.value}. Its steps:\n",
            "| step | done | evidence |",
            "|---|---|---|",
        ]
        lines += [self._row(entry) for entry in restoring.outcomes(incident)]
        return [*lines, ""]

    def _row(self, entry: JournalEntry) -> str:
        evidence: dict[str, Any] = entry.body["evidence"]
        told = [f"{name}: {evidence[name]}" for name in _SHOWN if evidence.get(name) is not None]
        for step in evidence.get("steps", ()):
            told += [
                f"{name}: {str(step[name])[:60]}" for name in _SHOWN_OF_STEPS if step.get(name) is not None
            ]
        return f"| {entry.step} | {'yes' if entry.body['ok'] else 'no'} | {self._cleaned('; '.join(told))} |"

    def _cleaned(self, text: str) -> str:
        text = text.replace(TOKEN, "[token]").replace(self._project.url, "[api]")
        return re.sub(r"/\S*understudy-(\w+)-\w+(/\w+)?", r"[\1 folder]", text)


def _by_hand() -> list[str]:
    """What is printed for a person; nothing here is contacted."""
    project = SupabaseProject(ref=REF, token=SecretStr(TOKEN))
    lines = ["## The same by hand, as `understudy restore --plan` prints it, for both versions\n"]
    for action in ("env_switch", "code_rollback", "database_restore", "reapply_settings"):
        typed = commands_for(project, action, known_good="modal", revision=GOOD_TAG)
        lines += [f"`{action}`:\n", "```sh", *typed, "```\n"]
    return lines


def main(programs: Sequence[str]) -> None:
    """Write the page with the installed programs."""
    found = {2: Path(programs[0]), 3: Path(programs[1])}
    PAGE.write_text(asyncio.run(page(found)))


if __name__ == "__main__":
    from tests.clients.supabase.conftest import MAJORS, program

    main([str(program(major)) for major in MAJORS])
