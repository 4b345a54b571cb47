"""The provider mode's writes, over a Supabase-shaped database."""

from __future__ import annotations

import pytest

from tests.integration.store.test_mode_rows import *  # noqa: F403 - the very same tests

pytestmark = pytest.mark.pg15
