"""Local objects where it hurts: a disk that is really full, and a process killed while it stores."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.clock import SystemClock
from understudy.errors import StoreUnavailableError
from understudy.store.buckets import GENERATIONS, MEGABYTE
from understudy.store.objects import LocalObjects

pytestmark = pytest.mark.integration

KEY = "user/speech.wav"
SECRET = SecretStr("o" * 32)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; without the right to mount one, a limit of 4 MB a file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
        == 0
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MEGABYTE, before[1]))
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_a_full_disk_keeps_what_was_there_and_nothing_half(small_disk: Path) -> None:
    objects = LocalObjects(small_disk / "objects", SECRET, 60, SystemClock())
    kept = b"a" * MEGABYTE
    await objects.put(GENERATIONS, KEY, kept, "audio/wav")
    for key in (KEY, "user/other.wav"):
        with pytest.raises(StoreUnavailableError, match="no space left") as raised:
            await objects.put(GENERATIONS, key, b"b" * (5 * MEGABYTE), "audio/wav")
        assert (raised.value.status, raised.value.retry_after_s) == (503, 60)
    assert await objects.get(GENERATIONS, KEY) == kept
    assert await objects.stat(GENERATIONS, "user/other.wav") is None
    assert len(files(small_disk)) == 2
    await objects.put(GENERATIONS, "user/other.wav", b"c" * MEGABYTE, "audio/wav")
    assert [item.key async for item in objects.list(GENERATIONS)] == ["user/other.wav", KEY]


#: Stores versions of one object until it is killed; each version is one byte, many times over.
STORING = """
import asyncio, sys
from pathlib import Path
from pydantic import SecretStr
from understudy.clock import SystemClock
from understudy.store.objects import LocalObjects

async def main():
    objects = LocalObjects(Path(sys.argv[1]), SecretStr("o" * 32), 60, SystemClock())
    for version in range(1, 1_000_000):
        await objects.put("generations", "user/speech.wav", bytes([version % 256]) * 300_000, "audio/wav")
        print(version, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("versions", [1, 2, 3, 5, 8])
async def test_a_process_killed_while_it_stores_leaves_a_whole_version(tmp_path: Path, versions: int) -> None:
    root = tmp_path / "objects"
    with subprocess.Popen(
        [sys.executable, "-c", STORING, str(root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(versions):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
    clock = HandClock(datetime.now(UTC))
    objects = LocalObjects(root, SECRET, 60, clock)
    found = await objects.get(GENERATIONS, KEY)
    assert found == bytes([found[0]]) * 300_000
    # What was told to be stored is: the version found is the last one told, or the one after it.
    last_told = int(told[-1]) if told else versions
    assert found[0] in {last_told, last_told + 1}
    clock.advance(timedelta(hours=2).total_seconds())
    await objects.sweep(thorough=True)
    assert len(files(root)) == 2
    assert await objects.get(GENERATIONS, KEY) == found
