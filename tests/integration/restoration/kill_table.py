"""What the kill tests counted: a line a rung in the file that ``KILL_TABLE`` names, and the page's table.

``python -m tests.integration.restoration.kill_table FILE`` prints the rows of ``docs/kill-table.md``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(slots=True)
class Counted:
    """One rung, killed wherever its process may die.

    Parameters
    ----------
    boundaries
        Before and after each entry of the journal, and after each act.
    inside
        Places inside an act: at each connection to the database, and after each effect on the target.
    kills
        Places at which it was killed in this run.
    killed_twice
        Of those, at how many it was killed once more while it resumed.
    resumed
        Of those, at how many it then ended as without a kill.
    repeated
        Effects that happened more often than without a kill, all runs together.
    """

    rung: str
    boundaries: int
    inside: int
    kills: int = 0
    killed_twice: int = 0
    resumed: int = 0
    repeated: int = 0

    def write(self) -> None:
        """Append it to the file that ``KILL_TABLE`` names, if any."""
        if path := os.environ.get("KILL_TABLE"):
            row = asdict(self) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
            with Path(path).open("a") as stream:
                stream.write(json.dumps(row) + "\n")


def table(path: Path) -> str:
    """Return the newest row of each rung as a Markdown table."""
    rows = {row["rung"]: row for row in map(json.loads, path.read_text().splitlines())}
    lines = [
        "| rung | boundaries | inside acts | killed | killed again | resumed | repeated effects |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        share = f"{row['resumed']} ({100 * row['resumed'] / row['kills']:.0f} %)"
        told = [row[name] for name in ("boundaries", "inside", "kills", "killed_twice")]
        lines.append(f"| {' | '.join(map(str, [row['rung'], *told, share, row['repeated']]))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])) + "\n")
