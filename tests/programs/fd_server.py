"""A small HTTP server on an inherited socket, as the supervisor's tests start it.

Reads ``BEHAVIOUR`` from the environment file: ``ok``, ``crash`` (ends with status 3 before it is ready),
``hang`` (never ready), ``stubborn`` (ignores SIGTERM). Answers its instance id; ``/slow`` answers after
SIGTERM came or two seconds went by, so that a drain has something to wait for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def behaviour() -> str:
    lines = Path(os.environ["UNDERSTUDY_ENV_FILE"]).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line).get("BEHAVIOUR", "ok")


async def serve(fd: int, instance: str, ready: Path) -> None:
    stop = asyncio.Event()
    how = behaviour()
    if how != "stubborn":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    active: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        active.add(task)
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            if path == "/slow":
                await asyncio.wait({asyncio.create_task(stop.wait())}, timeout=2)
                await asyncio.sleep(0.3)  # still at work after SIGTERM
            body = instance.encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        finally:
            active.discard(task)

    server = await asyncio.start_server(answer, sock=socket.socket(fileno=fd))
    if how == "hang":
        await asyncio.Event().wait()
    ready.write_text(instance)
    await stop.wait()
    server.close()
    await asyncio.sleep(0.1)  # connections accepted a moment ago get their task
    while active:
        await asyncio.wait(active)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--grandchild", action="store_true")
    options = parser.parse_args()
    if behaviour() == "crash":
        sys.stderr.write("cannot read the moon\n")
        sys.exit(3)
    if options.grandchild:
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    asyncio.run(serve(options.fd, options.instance, options.ready_file))


main()
