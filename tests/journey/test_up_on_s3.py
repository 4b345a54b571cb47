"""`understudy up` with its audio in S3-compatible storage: the smoke suite passes, nothing lies on disk."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.conformance.storage import Storage, moto_port, storage
from tests.journey.test_up import fresh_home, running
from understudy.clock import SystemClock
from understudy.envfile import set_in_env_file
from understudy.settings import Settings
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.object_choice import open_objects

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

#: Fixtures of other rooms that this test stands on.
__all__ = ["fresh_home", "moto_port", "storage"]


async def test_the_smoke_suite_passes_and_audio_is_in_the_buckets(storage: Storage, fresh_home: Path) -> None:
    fresh_home.mkdir(parents=True)
    wanted = {name.upper(): str(value) for name, value in storage.settings().items()}
    set_in_env_file(fresh_home / "understudy.env", wanted)
    async with running(fresh_home) as up:
        smoke = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "understudy.cli.app", "smoke", "--base-url", up.addresses["api"], "--json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "UNDERSTUDY_HOME": str(fresh_home)},
        )  # fmt: skip
        output, errors = await smoke.communicate()
        assert smoke.returncode == 0, output.decode() + errors.decode()
        assert json.loads(output)["ok"] is True
        settings = Settings(_env_file=None, object_url_secret=SecretStr("o" * 32), **storage.settings())
        objects = open_objects(settings, SystemClock())
        stored = [item.key async for item in objects.list(REFERENCES)]
        # The suite deletes what it made: generations go, a voice goes softly and its recording stays.
        assert [key for key in stored if key.endswith("/reference.wav")]
        assert [item.key async for item in objects.list(GENERATIONS)] == []
        assert not [path for path in (fresh_home / "objects").rglob("*") if path.is_file()]
        assert await up.stop() == 0
