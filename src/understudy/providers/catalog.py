"""Which providers this process has."""

from __future__ import annotations

from understudy.clock import Clock, SystemClock
from understudy.providers.base import Provider
from understudy.providers.modal import ModalProvider
from understudy.providers.qwen.provider import QwenProvider
from understudy.settings import Settings


def build_providers(settings: Settings, clock: Clock | None = None) -> dict[str, Provider]:
    """Every provider, by name; both are always built, so that a switch meets no surprise.

    Raises
    ------
    ConfigurationError
        A setting of either is missing or contradicts another.
    """
    modal: Provider = ModalProvider(settings, clock or SystemClock())
    qwen: Provider = QwenProvider(settings)
    return {provider.name: provider for provider in (modal, qwen)}
