"""What a process borrows from the C library for a moment, it gives back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

_HASH_IN_THREADS = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from understudy.allocator import bound_allocator, return_memory

def resident_kib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])

def derive(_):
    return hashlib.scrypt(b"p", salt=b"s", n=2**14, r=8, p=1, maxmem=2**26, dklen=32)

if sys.argv[1] == "bound":
    bound_allocator()
    return_memory()
with ThreadPoolExecutor(2) as pool:
    before = resident_kib()
    list(pool.map(derive, range(8)))
    print(resident_kib() - before)
"""


def kept_kib(how: str) -> int:
    """What stays of eight hashes of 16 MiB, two at a time."""
    ran = subprocess.run(
        [sys.executable, "-c", _HASH_IN_THREADS, how], capture_output=True, check=True, text=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_the_memory_of_a_hash_is_given_back() -> None:
    assert kept_kib("as it is") > 12 * 1024
    assert kept_kib("bound") < 6 * 1024
