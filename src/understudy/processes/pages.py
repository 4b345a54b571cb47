"""Whether a process of ours serves pages: asked of itself, for a release may have others than this code."""

from __future__ import annotations

import urllib.error
import urllib.request

_WITHIN_S = 5.0


def serves(url: str) -> bool:
    """Whether there is a page at ``url``, on this machine."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (an address of our own)
    try:
        with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False
