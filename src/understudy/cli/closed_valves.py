"""Valves that are closed, as ``understudy status`` tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from understudy.cli.installation import installed_database, installed_settings
from understudy.store.valves import read_valves


async def read_closed(home: Path) -> list[dict[str, Any]]:
    """Each valve that is closed now, by name: who closed it, when and why."""
    settings = installed_settings(home)
    async with installed_database(settings, command="status") as database, database.service() as conn:
        rows = await read_valves(conn)
    return [{**asdict(row), "changed_at": row.changed_at.isoformat()} for row in rows.values() if row.closed]


def closed_sentence(closed: Sequence[dict[str, Any]]) -> str:
    """One line for people."""
    told = "; ".join(
        f"{valve['name']} (since {valve['changed_at'][:16].replace('T', ' ')} by {valve['actor']}: "
        f"{valve['reason']})"
        for valve in closed
    )
    return f"Closed valves, answered with 429: {told}"
