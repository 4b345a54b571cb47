"""The C library's allocator, told to give back what it borrowed.

A password's scrypt takes 16 MB for 100 ms, a recording that is decoded some more. By default glibc keeps
such a block after its first use: an api process grew by 27 MB over 16 sign-ups and clones, and by 6 MB with
what is set here.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

# mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

#: Blocks from this size on are mapped for themselves, and gone with their end. Setting it keeps it: by itself
#: it grows with each such block that is freed.
LARGE_BYTES = 1024 * 1024
#: The interpreter's lock lets few threads allocate at the same time.
ARENAS = 2


def bound_allocator() -> None:
    """Keep free memory small from here on; call it before the process has threads.

    Another C library than glibc is left as it is.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, ARENAS)
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)


def return_memory() -> None:
    """Give back what the imports needed and no longer do, and leave what stays out of collections."""
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
