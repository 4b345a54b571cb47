"""Money as people read it; everywhere else it is whole micro-dollars."""

from __future__ import annotations

MICRO = 1_000_000


def dollars(microusd: int) -> str:
    """Write micro-dollars as dollars, exactly: cents, and what is finer only where there is any."""
    sign, rest = ("-" if microusd < 0 else ""), abs(microusd)
    fine = f"{rest % MICRO:06d}"
    return f"{sign}${rest // MICRO:,}.{fine[:2]}{fine[2:].rstrip('0')}"
