"""List prices, in one table with a date, and what a call costs by them.

Money is in micro-dollars (millionths of a US dollar), rounded up: a bill is never understated. Sources, read
on the day of :data:`PRICES` (facts/dashscope.md section 4, facts/modal.md):

* Synthesis: Alibaba's price page has CNY 1 per 10 000 characters in Beijing, CNY 0.954101 in Singapore; the
  international page prints US$0.13 (``vc``) and one list US$0.143353 (``vd``). The dollar figures count here.
* Creates: CNY 0.01 a clone and CNY 0.2 a design by the Chinese pages, US$0.01 and **US$0.2** by the English
  model cards, seven times as much. Nobody resolved it, so the dearer one counts here; compare the first bill.
* Modal: an A10G at US$1.10 an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

#: Unified and compatibility ideographs; all of the planes 2 and 3, which hold nothing else.
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in micro-dollars.

    Parameters
    ----------
    as_of
        Day the list was read.
    synthesis_per_10k_characters
        By voice kind: ``vc`` cloned, ``vd`` designed.
    gpu_hour
        One A10G for an hour on Modal.
    """

    as_of: date
    synthesis_per_10k_characters: dict[str, int]
    clone_create: int
    design_create: int
    gpu_hour: int


PRICES = Prices(
    as_of=date(2026, 11, 24),
    synthesis_per_10k_characters={"vc": 130_000, "vd": 143_353},
    clone_create=10_000,
    design_create=200_000,
    gpu_hour=1_100_000,
)


def billed_characters(text: str) -> int:
    """Characters as Qwen bills them: one each, Han characters two, wherever in Unicode they are."""
    return len(text) + sum(1 for _ in _HAN.finditer(text))


def synthesis_cost(characters: int, kind: str) -> int:
    """Micro-dollars for ``characters`` billed characters of a ``vc`` or ``vd`` voice."""
    return -(-characters * PRICES.synthesis_per_10k_characters[kind] // 10_000)


def gpu_cost(seconds: float) -> int:
    """Micro-dollars for ``seconds`` of an A10G."""
    return -(-round(seconds * 1000) * PRICES.gpu_hour // 3_600_000)
