"""``python -m bench.run NAME ...`` runs the benchmarks named, or all of them."""

from __future__ import annotations

import asyncio
import os
import platform
import sys

from bench import (
    bundles,
    console_events,
    detecting,
    drilling,
    faults,
    gateway,
    growth,
    leaving,
    restoring,
    restoring_database,
    routes,
    signalling,
    smoking,
    speaking,
    switching,
    tasks,
    triggers,
)
from bench.tables import console
from understudy.logs import configure_logging

BENCHMARKS = {
    "speaking": speaking.run,
    "tasks": tasks.run,
    "routes": routes.run,
    "gateway": gateway.run,
    "leaving": leaving.run,
    "growth": growth.run,
    "faults": faults.run,
    "switching": switching.run,
    "restoring": restoring.run,
    "smoking": smoking.run,
    "signalling": signalling.run,
    "triggers": triggers.run,
    "console_events": console_events.run,
    "bundles": bundles.run,
}
#: What takes an hour; run when named, or by `make bench-long`.
LONG = {
    "detecting": detecting.run,
    "soak": detecting.soak,
    "drilling": drilling.run,
    "restoring-database": restoring_database.run,
}


def main() -> None:
    """Run what was named."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    known = BENCHMARKS | LONG
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    configure_logging("bench", level="error")
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in wanted:
        asyncio.run(known[name]())


if __name__ == "__main__":
    main()
