"""How often one user may do something that costs little: counted in this process, in a moving window."""

from __future__ import annotations

import math
import time
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from understudy.errors import ThrottledError


class UserRate:
    """At most so many a minute for each user; N processes admit N times as many.

    Parameters
    ----------
    a_minute
        Within any 60 s.
    """

    def __init__(self, a_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(a_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, user_id: UUID) -> None:
        """Count one; raise :class:`ThrottledError`, with the seconds until there is room, when full."""
        if self._limiter.hit(self._limit, str(user_id)):
            return
        frees_at_s = self._limiter.get_window_stats(self._limit, str(user_id)).reset_time
        raise ThrottledError(retry_after_s=max(1, math.ceil(frees_at_s - time.time())))
