"""The mode row and the live processes, as plain data for journal and status."""

from __future__ import annotations

from typing import Any

from understudy.store.mode import ModeRow, ProcessRow


def mode_document(row: ModeRow) -> dict[str, Any]:
    """Return the mode row as plain data."""
    return {
        "value": row.value,
        "epoch": row.epoch,
        "actor": row.actor,
        "reason": row.reason,
        "incident": row.incident,
        "env_value": row.env_value,
        "changed_at": row.changed_at.isoformat(),
    }


def process_document(process: ProcessRow) -> dict[str, Any]:
    """Return a process as plain data."""
    return {
        "instance": str(process.instance),
        "kind": process.kind,
        "pid": process.pid,
        "host": process.host,
        "mode_value": process.mode_value,
        "mode_epoch": process.mode_epoch,
        "mode_state": process.mode_state,
        "env_value": process.env_value,
        "started_at": process.started_at.isoformat(),
        "seen_at": process.seen_at.isoformat(),
        "known_good_ok": process.known_good_ok,
        "revision": process.revision,
    }
