"""Before every deploy: what is pending on a database that is in use passes the gate, or does not run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import MigrationRefusedError
from understudy.logs import get_logger
from understudy.migration_gate.gate import GateReport, check
from understudy.resources import migrations_dir
from understudy.store.migrations import BeforeMigrating, Migration, SchemaStatus, load_migrations

#: Answers whether stabilization is on record, and why not; asked only when something is destructive.
Stabilized = Callable[[], Awaitable[Sequence[str]]]

log = get_logger(__name__)


def refuse_unsafe(url: SecretStr, unmet: Stabilized, directory: Path | None = None) -> BeforeMigrating:
    """Return what :func:`understudy.store.migrations.migrate` asks before it applies files.

    Parameters
    ----------
    url
        The database's owner: the catalog is proven on a scratch database beside it.
    unmet
        Gates of stabilization that are not met, in words; empty when all are.
    """
    folder = directory or migrations_dir()

    async def before(pending: Sequence[Migration], history: SchemaStatus) -> None:
        applied = {*history.applied, *(one.version for one in pending)}
        files = [one for one in load_migrations(folder) if one.version in applied]
        report = await check(
            files,
            folder=folder,
            judged={one.version for one in pending},
            url=url,
            believe_recorded=True,
        )
        await refuse(report, unmet)

    return before


async def refuse(report: GateReport, unmet: Stabilized) -> None:
    """Raise unless the files may run.

    Raises
    ------
    MigrationRefusedError
        It names every reason, and what to do.
    """
    for missing in report.missing:
        log.warning("migration_proof_missing", proof=missing.name, cause=missing.detail)
    reasons = [*report.problems, *report.open]
    if report.destroys:
        gates = await unmet()
        if gates:
            reasons += report.destroys
            reasons += [f"stabilization: {gate}" for gate in gates]
        else:
            log.warning("destructive_migration_allowed", what=report.destroys)
    if reasons:
        lines = "".join(f"\n  {reason}" for reason in reasons)
        raise MigrationRefusedError(
            f"Nothing was applied; the migration gate refuses what is pending:{lines}\nLook with `understudy "
            "migrations check`. What needs a review goes into migrations/gate/accepted.toml with a reason; "
            "what is destructive waits until `understudy stabilization status` is met."
        )
