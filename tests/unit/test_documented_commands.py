"""Every ``understudy ...`` that a page shows goes through the command line's own parser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from understudy.cli.commands import COMMANDS, app

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = sorted({*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "deploy" / "README.md"})
FENCE = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?:\.venv/bin/)?(understudy [^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
#: What ends a simple command of a shell.
OPERATOR = re.compile(r"[();<>|&]+\Z")


def commands_in(script: str) -> Iterator[list[str]]:
    """Arguments of each ``understudy`` that ``script`` starts; comments and redirections are left out."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not OPERATOR.match(word):
                words.append(word)
                continue
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words and Path(words[0]).name == "understudy":
                yield words[1:]
            words = []


@cache
def command_of(name: str) -> Any:
    """The first word's command, or its group."""
    tree: Any = get_command(app)
    return tree.get_command(None, name) if name in COMMANDS else None


def found_command(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that ``words`` reach, how it is typed, and what is given to it."""
    if not words or command_of(words[0]) is None:
        return None, "", words
    command, path, given = command_of(words[0]), words[0], words[1:]
    while given and given[0] in getattr(command, "commands", {}):
        command, path, given = command.commands[given[0]], f"{path} {given[0]}", given[1:]
    return command, path, given


def without_env(words: list[str]) -> list[str]:
    """Leave ``--env NAME`` out: it reads a file that a reader has and this test has not."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != "--env":
            kept.append(word)
        skip = word == "--env"
    return kept


FENCED = sorted(
    {
        (str(page.relative_to(ROOT)), *words)
        for page in PAGES
        for script in FENCE.findall(page.read_text())
        for words in commands_in(script)
    }
)
MENTIONED = sorted(
    {(str(page.relative_to(ROOT)), said) for page in PAGES for said in INLINE.findall(page.read_text())}
)


@pytest.mark.parametrize("shown", FENCED, ids=" ".join)
def test_a_fenced_command_can_be_typed(shown: tuple[str, ...]) -> None:
    page, *words = shown
    command, path, given = found_command(words)
    assert command is not None, f"{page}: there is no `understudy {' '.join(words)}`"
    if given == ["--help"]:
        return
    assert not hasattr(command, "commands"), f"{page}: `understudy {path}` wants a command below it"
    # ID, PORT, MICRODOLLARS, ...: a person's own value.
    typed = [re.sub(r"\A[A-Z][A-Z-]*\Z", "1", word) for word in without_env(given)]
    if typed != given and any(each.name == "base_url" for each in command.params):
        typed += ["--base-url", "https://of.the.environment"]
    command.make_context(path, typed)


@pytest.mark.parametrize(("page", "said"), MENTIONED)
def test_a_mentioned_command_exists_with_its_options(page: str, said: str) -> None:
    words = next(commands_in(re.sub(r"\.\.\.|[][{}|]", " ", said)), [])
    command, path, given = found_command(words)
    if not words or words[0].startswith("-"):
        return
    assert command is not None, f"{page}: there is no `understudy {words[0]}`"
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    for word in given:
        if word.startswith("--"):
            assert word.partition("=")[0].rstrip(".,:") in known, f"{page}: `understudy {path}` has no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
