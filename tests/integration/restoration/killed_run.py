"""Run one restoration and die by SIGKILL at a boundary. Arguments: home, base URL, incident, boundary."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from pydantic import SecretStr

from tests.integration.restoration.deployment import Bench, CountingTarget, reopened
from understudy.resources import playbook_file
from understudy.restoration.guard.process import Connector
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.policy import load_playbook


async def main(home: Path, base_url: str, incident: str, boundary: str) -> None:
    def reached(name: str) -> None:
        if name == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    target = CountingTarget(home, base_url)
    connector = Connector(SecretStr(os.environ["TEST_DATABASE_URL"]))
    bench = Bench(home, target, connector, None)  # type: ignore[arg-type]
    book = reopened(home, bench.clock, reached=reached)
    bench.store = book.store
    await Engine(book, load_playbook(playbook_file()), bench.clock, bench.prepare).tend(incident)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:5]))
