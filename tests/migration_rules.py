"""squawk's second opinion on the migrations: run by ``make check``, prints each finding and fails.

``.squawk.toml`` leaves out rules as a whole, with reasons. A finding in one file, which can no longer be
edited because it was applied, is accepted here by name. A file may not silence the linter itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent

_BY_HAND_FIRST = "`if not exists`: a big database builds it by hand first, concurrently (docs/database.md)"
#: (file, rule): why it is accepted.
ACCEPTED = {
    ("20261124090000_restoration.sql", "require-concurrent-index-creation"): (
        "on a column that the same file adds: every entry is null, so the build is one scan and a small index"
    ),
    ("20261125090000_billable_calls.sql", "require-concurrent-index-creation"): _BY_HAND_FIRST,
    ("20261125090100_listing_indexes.sql", "require-concurrent-index-creation"): _BY_HAND_FIRST,
    ("20261125092000_erasures_and_collection.sql", "require-concurrent-index-creation"): _BY_HAND_FIRST,
    ("20261127090000_signals.sql", "require-concurrent-index-creation"): _BY_HAND_FIRST,
    ("20261127092000_invariant_indexes.sql", "require-concurrent-index-creation"): _BY_HAND_FIRST,
    ("20261127091000_process_signals.sql", "require-concurrent-index-creation"): (
        "on a column that the same file adds: no row is in the partial index yet, so the build is one scan"
    ),
}


def findings(files: Sequence[Path]) -> Iterator[str]:
    """Each finding as one line a person can act on."""
    for path in files:
        if "squawk-ignore" in path.read_text():
            yield f"{path.name}: silences squawk in the file; accept the finding in tests/migration_rules.py"
    squawk = Path(sys.executable).with_name("squawk")
    command = [squawk, "--reporter", "json", *(os.path.relpath(path, ROOT) for path in files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        yield f"squawk did not run: {done.stderr.strip() or done.stdout.strip()}"
        return
    for item in found:
        name = Path(item["file"]).name
        if (name, item["rule_name"]) not in ACCEPTED:
            yield f"{name}:{item['line'] + 1}: {item['rule_name']}: {item['message']}"


if __name__ == "__main__":
    lines = list(findings(sorted((ROOT / "migrations").glob("*.sql"))))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(1 if lines else 0)
