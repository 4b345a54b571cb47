"""Submissions of which nobody knows whether they arrived, as an operator sees them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from understudy.cli.installation import installed_database, installed_settings
from understudy.store.usage import unknown_submissions


async def read_unknown(home: Path) -> dict[str, Any]:
    """Return ``tasks``, ``calls`` and ``cost_microusd`` of the repeated ones, as they are now."""
    settings = installed_settings(home)
    async with installed_database(settings, command="status") as database, database.service() as conn:
        return asdict(await unknown_submissions(conn))


def unknown_sentence(found: dict[str, Any]) -> str:
    """One line for people."""
    cost = found["cost_microusd"] / 1_000_000
    return (
        f"Submissions of unknown fate (submit_unknown): {found['tasks']}; repeated at our cost: "
        f"{found['calls']} (${cost:.4f})"
    )
