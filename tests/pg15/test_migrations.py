"""The embedded server's tests of the same name, over Postgres 15."""

from __future__ import annotations

import pytest

from tests.integration.store.test_migrations import *  # noqa: F403 - the very same tests

pytestmark = pytest.mark.pg15
