"""Making a designed voice once, also when the worker that asked for it died."""

from __future__ import annotations

import contextlib
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict

from understudy.errors import ProviderError, StoreUnavailableError
from understudy.logs import get_logger
from understudy.providers.base import CREATE_UNKNOWN, DesignBrief, DesignedVoice, Operation, Provider
from understudy.speech.calls import CallMeter
from understudy.speech.context import SpeechContext
from understudy.speech.creates import design_label
from understudy.speech.holding import Held
from understudy.store import claims

log = get_logger(__name__)


def prompt_digest(brief: Mapping[str, str]) -> str:
    """SHA-256 of what a design was asked for: the same for prompts that differ in case or spacing only."""
    asked = [brief.get(name) or "" for name in ("instruct", "text", "language")]
    words = [" ".join(unicodedata.normalize("NFKC", part).casefold().split()) for part in asked]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


async def make_design(
    ctx: SpeechContext, held: Held, provider: Provider, meter: CallMeter, brief: DesignBrief, *, sent: bool
) -> DesignedVoice | None:
    """Return the voice of a design task, made now or, where a worker ``sent`` for it and died, looked up.

    Its cost is on ``meter`` and its binding on the task before anything else can go wrong: a voice that is
    paid for is never without a record.

    Returns
    -------
    DesignedVoice or None
        ``None`` when it was sent for and the provider has no such voice.
    """
    label = design_label(held.task.id)
    try:
        if not sent:
            designed = await provider.design(brief, label=label)
        elif (found := await provider.find_designed(brief, label=label)) is not None:
            log.warning("design_recovered", task_id=str(held.task.id), voice=found.binding.voice_id)
            designed = found
        else:
            return None
    except ProviderError as error:
        if error.provider_code == CREATE_UNKNOWN:
            # It may be on the bill, and nobody asks again: the ledger assumes that it is.
            meter.cost_microusd = provider.estimate(Operation.DESIGN, text=brief.text)
        raise
    meter.cost_microusd = designed.cost_microusd
    meter.request_id = designed.binding.request_id
    meter.model = designed.binding.target_model or meter.model
    if provider.capabilities.bills_creates:
        # Without the store the note is missed; the provider's own list still has the label.
        with contextlib.suppress(StoreUnavailableError):
            async with ctx.database.service() as conn:
                await claims.add_facts(conn, held.claim, {"binding": asdict(designed.binding)})
    return designed
