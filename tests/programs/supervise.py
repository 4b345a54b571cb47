"""A process that supervises two programs, to be killed by a test: prints their pids, then waits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

from understudy.bound_children import clean_environment
from understudy.clock import SystemClock
from understudy.processes.child import ChildSpec, LogFile
from understudy.processes.ports import listening_socket
from understudy.processes.service import Service

PROGRAM = Path(__file__).with_name("fd_server.py")


async def main() -> None:
    folder = Path(sys.argv[1])
    env_file = folder / "env"
    env_file.write_text("BEHAVIOUR=ok\n")
    listener = listening_socket(0, option="--api-port")

    def spec(instance: uuid.UUID) -> ChildSpec:
        ready = folder / f"ready-{instance}"
        argv = (sys.executable, str(PROGRAM), "--fd", str(listener.fileno()), "--instance", str(instance))
        return ChildSpec(
            name="api",
            argv=(*argv, "--ready-file", str(ready)),
            environment=clean_environment(os.environ, {"UNDERSTUDY_ENV_FILE": str(env_file)}),
            ready_file=ready,
            pass_fds=(listener.fileno(),),
        )

    log = LogFile(folder / "api.log")
    services = [
        Service("api", spec, log=log, clock=SystemClock(), notify=lambda event: None) for _ in range(2)
    ]
    await asyncio.gather(*(service.start() for service in services))
    pids = [service.current.pid for service in services if service.current]
    sys.stdout.write(json.dumps({"pids": pids}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
