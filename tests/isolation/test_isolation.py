"""Three tenants, two kinds of credential, every route: nothing of another's is shown, told or changed."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import Api
from tests.isolation.gate import Gate

pytestmark = pytest.mark.integration


async def test_nothing_leaks_between_tenants(api: Api) -> None:
    gate = Gate(api.base, api.ctx.settings)
    assert await gate.run() == []
    assert gate.asked > 300, gate.asked
