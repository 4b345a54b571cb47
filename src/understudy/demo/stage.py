"""What the audience sees: acts, lines with the time since the start, and a live bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 30


class Stage:
    """Prints lines; on a terminal a bar below them moves with the traffic."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._live: Live | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage was set."""
        return time.monotonic() - self._started

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        self._console.print()
        self._console.print(Rule(f"[bold]{number}  {escape(title)}[/]", align="left", style="cyan"))

    def say(self, text: str, *, mark: str = " ", style: str = "") -> None:
        """One line of the story; ``mark`` is one character before it."""
        line = Text.assemble(
            (f"{self.elapsed_s:6.1f}s ", "dim"),
            (f"{mark} ", style or "dim"),
            Text.from_markup(text, style=style),
        )
        self._console.print(line, soft_wrap=True)

    def show(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def plain(self, text: str) -> None:
        """Print text as it is."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Keep a live line at the bottom for a block; nothing of it appears where no terminal is."""
        if not self._console.is_terminal:
            yield
            return
        with Live(Text(""), console=self._console, refresh_per_second=8, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def move_bar(self, *, mode: str, spoken: int, failed: int, note: str) -> None:
        """Draw the last seconds of traffic: what spoke, what failed."""
        if self._live is None:
            return
        total = spoken + failed
        good = round(BAR_WIDTH * spoken / total) if total else 0
        bad = BAR_WIDTH - good if total else 0
        self._live.update(
            Text.assemble(
                ("        speaking through ", "dim"),
                (f"{mode:<6}", "bold magenta" if mode == "qwen" else "bold blue"),
                " ",
                ("█" * good, "green"),
                ("█" * bad, "red"),
                ("░" * (BAR_WIDTH - good - bad), "dim"),
                f" {spoken:>3} ok {failed:>3} failed in 5 s  ",
                (note, "yellow"),
            )
        )
