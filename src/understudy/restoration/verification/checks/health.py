"""``GET /api/health``."""

from __future__ import annotations

from understudy.errors import TargetError
from understudy.restoration.verification.visit import Proof, Visit, expect


async def check_health(visit: Visit) -> Proof:
    """Prove that health answers exactly ``{"ok": true}``."""
    reply = expect(await visit.call("GET", "/api/health"), 200)
    body = reply.json()
    if not isinstance(body, dict) or body.get("ok") is not True or len(body) != 1:
        raise TargetError('GET /api/health answered 200, but not exactly {"ok": true}.')
    return Proof('GET /api/health answered exactly {"ok": true}.')
