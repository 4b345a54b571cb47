"""Take up one database restore and die by SIGKILL at a boundary. Arguments: home, incident, boundary.

Without a boundary it goes to the end and prints the boundaries it passed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from pydantic import SecretStr

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.restore_stage import Stage
from understudy.logs import configure_logging


async def main(home: Path, incident: str, boundary: str) -> None:
    passed: list[str] = []

    def reached(name: str) -> None:
        passed.append(name)
        # A step that was done already has no act: then it ends at its outcome.
        if name == boundary or (boundary.startswith("acted ") and name == f"before outcome {boundary[6:]}"):
            os.kill(os.getpid(), signal.SIGKILL)

    urls = DatabaseUrls(SecretStr(os.environ["TEST_APP_URL"]), SecretStr(os.environ["TEST_OWNER_URL"]))
    stage = Stage(home, urls, reached=reached)
    try:
        ended = await stage.climb(incident)
        outcomes = [(entry.step, entry.body["ok"], entry.body["problem"]) for entry in ended]
        sys.stdout.write(json.dumps({"passed": passed, "outcomes": outcomes}) + "\n")
    finally:
        await stage.close()


if __name__ == "__main__":
    configure_logging("killed-restore", level="error")
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
