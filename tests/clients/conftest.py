"""The api of the integration tests, under this folder's own server."""

from __future__ import annotations

from tests.integration.api.conftest import api, settings
from tests.integration.conftest import database_urls, postgres_server

__all__ = ["api", "database_urls", "postgres_server", "settings"]
