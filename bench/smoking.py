"""Wall time of the smoke suite from outside, in both provider modes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.tables import percentile, show
from understudy.demo.service import running_service, without_settings

RUNS = 5


async def _once(api: str, home: Path, mode: str) -> float:
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "smoke", "--base-url", api),
        *("--expect-provider", mode),
        env={**without_settings(), "UNDERSTUDY_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        sys.exit(f"the smoke suite failed:\n{out.decode()}")
    return time.monotonic() - began_s


async def run() -> None:
    """Time the suite, process start included."""
    rows: list[list[object]] = []
    for mode in ("modal", "qwen"):
        with tempfile.TemporaryDirectory(prefix="understudy-bench-", ignore_cleanup_errors=True) as folder:
            async with running_service(Path(folder) / "home", mode=mode, window_s=60) as service:
                seconds = [await _once(service.api, service.home, mode) for _ in range(RUNS)]
        rows.append([mode, percentile(seconds, 0.5), max(seconds)])
    show(
        f"Smoke suite from outside, {RUNS} runs a mode (seconds, process start included)",
        ["mode", "p50", "max"],
        rows,
        note="Eight checks, with a clone, a design preview and two canary tenants; cleans up after itself.",
    )
