"""A provider as a probe speaks to it: its adapter, and which of its lanes that is."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.clock import Clock
from understudy.providers.base import Provider
from understudy.providers.modal import ModalProvider
from understudy.providers.qwen.provider import QwenProvider
from understudy.settings import Settings

PROVIDERS = ("modal", "qwen")


@dataclass(frozen=True, slots=True)
class Lane:
    """One provider as configured now.

    Parameters
    ----------
    name
        Where a voice that is enrolled there can be spoken: another model or region is another lane.
    """

    provider: Provider
    name: str


def lane_of(name: str, settings: Settings, clock: Clock) -> Lane:
    """Build one provider alone: the other one's settings may be what is broken.

    Raises
    ------
    ConfigurationError
        Its own settings are.
    """
    if name == "modal":
        return Lane(ModalProvider(settings, clock), "modal")
    return Lane(QwenProvider(settings), f"qwen/{settings.dashscope_region}/{settings.qwen_vc_target_model}")


def standby_of(active: str) -> str:
    """Name the provider that does not serve."""
    return next(name for name in PROVIDERS if name != active)
