"""Runs a program and writes down how it was called and what it said; its caller notices nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """``recorder.py LOG PROGRAM ARGUMENT...``."""
    log, program, *arguments = sys.argv[1:]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    entry = {
        "arguments": arguments,
        "code": done.returncode,
        "out": done.stdout,
        "complaints": done.stderr,
        "variables": sorted(name for name in os.environ if name.startswith("SUPABASE_")),
    }
    with Path(log).open("a") as stream:
        stream.write(json.dumps(entry) + "\n")
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
