"""Rung 0 as the engine performs it: from an open incident to MITIGATED, by the playbook that ships."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from tests.integration.restoration.engine_setting import Setting, outcomes
from tests.unit.findings import finding_of
from understudy.restoration.incidents import IncidentState as S
from understudy.restoration.triggers.verdict import Finding
from understudy.store import quarantine
from understudy.store.budgets import list_budgets

pytestmark = pytest.mark.integration


def runaway(user: UUID) -> Finding:
    return finding_of(
        "cost/runaway_characters",
        mode="auto",
        cures=("throttle_tenant",),
        subject=str(user),
        n=600_000,
        bounds={"hard_limit": 500_000, "floor": 50_000},
        evidence={"cost_microusd": 6_000_000, "usual_characters": None},
    )


async def test_a_runaway_tenant_is_throttled_and_the_provider_stays(
    setting: Setting, create_user: CreateUser
) -> None:
    tenant = await create_user()
    incident = setting.open(finding=runaway(tenant), action="throttle_tenant")
    assert await setting.engine().tend(incident) is S.MITIGATED
    assert outcomes(setting.book, incident) == [("evidence", True), ("throttle", True), ("read_back", True)]
    async with setting.database.service() as conn:
        (row,) = await list_budgets(conn)
    assert (row.scope, row.most) == (tenant, 500_000)
    # Neither the mode nor the environment moved.
    assert await setting.overrides(incident) == 0
    assert setting.target.effects("env") == []
    assert setting.target.effects("deploy") == []


async def test_broken_rows_are_quarantined_repaired_and_judged_again(
    setting: Setting, create_user: CreateUser
) -> None:
    user = await create_user()
    async with setting.database.service() as conn:
        voice = await Planter(conn, user).voice(provider_voice_id=None, created_at=NOW - timedelta(hours=1))
    finding = finding_of(
        "data_integrity/missing_provider_metadata",
        mode="auto",
        subject="missing_provider_metadata",
        n=1,
        bounds={"older_than_s": 120.0, "looks": 1},
        evidence={"sample": [f"voice {voice}"]},
    )
    incident = setting.open(finding=finding, action="quarantine_and_repair")
    assert await setting.engine().tend(incident) is S.MITIGATED
    assert outcomes(setting.book, incident) == [
        ("evidence", True),
        ("quarantine", True),
        ("repair", True),
        ("recheck", True),
    ]
    async with setting.database.service() as conn:
        (entry,) = await quarantine.entries_of(conn, incident)
    assert (entry.subject, entry.outcome, entry.released_at) == (str(voice), "needs_enrolment", None)
    # The journal has the row's id, so that what was touched can be found from it alone.
    told = [
        e.body["evidence"]
        for e in setting.book.entries(incident)
        if e.step == "quarantine" and e.kind == "outcome"
    ]
    assert told[0]["rows"] == [{"entry": entry.id, "row": f"voice {voice}"}]
