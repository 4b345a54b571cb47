"""What is known of the side that an env switch moves to, before it moves: warm, which voices, how much work.

Only a provider's own failure speaks against the switch. What is slow, or not known, is written down and said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from understudy.errors import UnderstudyError
from understudy.restoration.actions.step import Restoration, StepError
from understudy.rollout.ramp import FIRST
from understudy.store.repairs import reference_coverage, waiting_tasks

#: Voices named of those that could not be spoken there.
VOICES_TOLD = 20
#: What only the database knows may take so long; the switch acts without it.
QUESTION_S = 3.0
#: The invariant whose newest look says what the stored audio itself is like.
REFERENCES = "unreadable_references"
#: Outcomes of the warm phrase that are the provider's failure; a phrase that is slow is not.
BAD_OUTCOMES = frozenset({"provider_failed", "bad_audio"})
SLOW = "probe_deadline"
RAMP = (
    f"On each worker {FIRST} re-routed tasks at first, and one more for each that ends well; "
    f"new work goes there at once."
)


async def warm(run: Restoration) -> dict[str, Any] | None:
    """Speak one short phrase at the known-good provider, so that its containers run before work comes.

    Raises
    ------
    StepError
        It fails, or what it sends is no speech: nothing moves there.
    """
    if run.warm is None:
        return None
    heard = await run.warm()
    evidence = {
        "ok": heard.ok,
        "latency_ms": heard.latency_ms,
        "first_audio_ms": heard.first_audio_ms,
        "detail": heard.detail,
    }
    if not heard.ok and heard.outcome in BAD_OUTCOMES and heard.code != SLOW:
        raise StepError(
            f"The known-good provider {run.known_good} answers its check and does not speak ({heard.code}: "
            f"{heard.detail})",
            evidence={"warm": evidence},
        )
    return evidence


async def readiness(run: Restoration, failing: str | None) -> Mapping[str, Any]:
    """Return which voices can be spoken there and how much work waits to be moved, as far as is known."""
    coverage, work = await asyncio.gather(_known(_coverage(run)), _known(_queued(run, failing)))
    return {"voice_coverage": coverage, "queued_work": work}


async def _known(question: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(QUESTION_S):
            return await question
    except TimeoutError:
        return {"unknown": f"no answer within {QUESTION_S:g} s"}
    except UnderstudyError as error:
        return {"unknown": error.message}


async def _coverage(run: Restoration) -> dict[str, Any]:
    async with (await run.connect()).service() as conn:
        found = await reference_coverage(conn, listed=VOICES_TOLD)
    seen = run.seen()
    looks = seen.integrity.invariants if seen is not None else ()
    looked = next((look for look in looks if look.name == REFERENCES), None)
    return {
        "live": found.live,
        "speakable": found.speakable,
        "without_digest": found.without_digest,
        "degrading": found.live - found.speakable,
        "degrade": found.degrading,
        "stored_audio": {
            "broken": looked.count,
            "at": looked.at.isoformat() if looked.at else None,
            "sample": list(looked.sample),
        }
        if looked is not None
        else None,
    }


async def _queued(run: Restoration, failing: str | None) -> dict[str, Any]:
    if failing is None:
        return {"waiting": 0, "sent": 0, "rule": RAMP}
    async with (await run.connect()).service() as conn:
        waiting, sent = await waiting_tasks(conn, failing)
    return {"waiting": waiting, "sent": sent, "first": FIRST, "rule": RAMP}
