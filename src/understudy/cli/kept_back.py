"""Reads that are closed, and what is in quarantine, as ``understudy status`` tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from understudy.cli.installation import installed_database, installed_settings
from understudy.store.closed_reads import read_closed
from understudy.store.quarantine import counts_in_quarantine


async def read_kept_back(home: Path) -> dict[str, Any]:
    """Kinds of reads that are closed now, and how much is in quarantine by invariant."""
    settings = installed_settings(home)
    async with installed_database(settings, command="status") as database, database.service() as conn:
        rows = await read_closed(conn)
        quarantined = await counts_in_quarantine(conn)
    closed = [
        {**asdict(row), "changed_at": row.changed_at.isoformat()} for row in rows.values() if row.closed
    ]
    return {"closed_reads": closed, "quarantined": quarantined}


def kept_back_sentences(found: Mapping[str, Any]) -> list[str]:
    """One line a thing for people; none where nothing is kept back."""
    lines = []
    if found["closed_reads"]:
        told = "; ".join(
            f"{row['name']} (since {row['changed_at'][:16].replace('T', ' ')} by {row['actor']}: "
            f"{row['reason']})"
            for row in found["closed_reads"]
        )
        lines.append(f"Closed reads, answered with 503: {told}")
    if found["quarantined"]:
        told = ", ".join(f"{count} for {name}" for name, count in sorted(found["quarantined"].items()))
        lines.append(f"In quarantine: {told}; see understudy quarantine list.")
    return lines
