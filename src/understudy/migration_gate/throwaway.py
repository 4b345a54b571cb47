"""A Postgres server of our own for the while of a proof."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.store.embedded import binaries
from understudy.store.embedded.server import EmbeddedPostgres

#: The data is worth nothing: speed over durability.
_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@asynccontextmanager
async def throwaway_home() -> AsyncGenerator[Path]:
    """Make a home that is gone at the end, its server's data too, wherever that lies."""
    home = _made()
    try:
        yield home
    finally:
        await EmbeddedPostgres(home).destroy()
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def server_for_scratch() -> AsyncGenerator[tuple[SecretStr | None, str]]:
    """Yield the owner's URL of a server for scratch databases, or None and why there is none.

    Where the extra ``local`` is missing, MIGRATION_DATABASE_URL of the environment stands in.
    """
    try:
        binaries.bin_dir()
    except ConfigurationError as error:
        url = os.environ.get("MIGRATION_DATABASE_URL", "")
        yield (SecretStr(url) if url else None), error.message
        return
    home = _made()
    server = EmbeddedPostgres(home, options=_OPTIONS)
    try:
        await server.start()
        yield server.migration_database_url, ""
    finally:
        await server.destroy()
        shutil.rmtree(home, ignore_errors=True)


def _made() -> Path:
    home = Path(tempfile.mkdtemp(prefix="understudy-gate-"))
    home.chmod(0o711)  # Run by root, the server has an account of its own, and must get in.
    return home
