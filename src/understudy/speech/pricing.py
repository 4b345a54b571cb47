"""What things cost a tenant by list price, to be shown before they are asked for."""

from __future__ import annotations

from understudy.providers.base import Operation
from understudy.providers.modal import ESTIMATED_S_PER_CHARACTER, ESTIMATED_START_S
from understudy.providers.prices import PRICES, gpu_cost
from understudy.speech.designs import MAX_TEXT_CHARS

#: Of the characters that a price list names.
LISTED_CHARACTERS = 10_000


def create_prices(operation: Operation) -> dict[str, int]:
    """Micro-dollars of one billed create by provider; Modal's is an estimate of its longest preview."""
    if operation is Operation.DESIGN:
        spoken_s = ESTIMATED_START_S + ESTIMATED_S_PER_CHARACTER * MAX_TEXT_CHARS
        return {"qwen": PRICES.design_create, "modal": gpu_cost(spoken_s)}
    return {"qwen": PRICES.clone_create, "modal": 0}


def speech_prices() -> dict[str, dict[str, int]]:
    """Micro-dollars of :data:`LISTED_CHARACTERS` billed characters, by provider and kind of voice.

    Modal bills GPU seconds: its figures are estimates, without the start of a container.
    """
    listed = PRICES.synthesis_per_10k_characters
    modal = gpu_cost(ESTIMATED_S_PER_CHARACTER * LISTED_CHARACTERS)
    return {
        "qwen": {"cloned": listed["vc"], "designed": listed["vd"]},
        "modal": {"cloned": modal, "designed": modal},
    }
