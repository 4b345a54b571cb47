"""Whether continuous integration may run what failed once more: docs/decisions/0019-once-more-alone.md.

Prints every such test, so that a flaky one is seen; exits 1 where a second look is not owed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LAST_FAILED = Path(__file__).parent.parent / ".pytest_cache" / "v" / "cache" / "lastfailed"
MOST = 3
#: No socket, no process, no clock: what fails there is wrong, whatever else the machine does.
NEVER = ("tests/unit/",)


def main() -> int:
    try:
        failed = sorted(json.loads(LAST_FAILED.read_text()))
    except (OSError, ValueError):
        print("no record of what failed: the run broke before any test did")
        return 1
    refused = [name for name in failed if name.startswith(NEVER) or "::" not in name]
    if not failed or refused or len(failed) > MOST:
        why = f"{len(refused)} of them never get one" if refused else f"at most {MOST} get one"
        print(f"{len(failed)} failed and {why}: no second look")
        return 1
    for name in failed:
        print(f"SECOND LOOK, alone: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
