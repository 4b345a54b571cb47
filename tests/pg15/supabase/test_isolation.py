"""The row level security suite, over a Supabase-shaped database."""

from __future__ import annotations

import pytest

from tests.integration.store import test_isolation as plain
from tests.integration.store.test_isolation import *  # noqa: F403 - the very same tests

pytestmark = pytest.mark.pg15


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("privilege", ["TRUNCATE", "REFERENCES", "TRIGGER"])
async def test_what_no_policy_stops_is_granted_to_nobody(database_urls, role, privilege) -> None:
    """Supabase's default privileges give all to ``service_role``, which passes every policy anyway."""
    await plain.test_what_no_policy_stops_is_granted_to_nobody(database_urls, role, privilege)
