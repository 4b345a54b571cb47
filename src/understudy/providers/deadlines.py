"""Our own deadlines on a provider."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.settings import Settings


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a provider may take: to connect, to the first audio, between chunks, in all, for a voice."""

    connect_s: float
    first_audio_s: float
    chunk_gap_s: float
    total_s: float
    create_s: float = 60.0
    """A create is synchronous and synthesizes a preview; no vendor figure is published."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Deadlines:
        """The configured deadlines."""
        return cls(
            connect_s=settings.provider_connect_timeout_s,
            first_audio_s=settings.provider_first_audio_timeout_s,
            chunk_gap_s=settings.provider_chunk_gap_timeout_s,
            total_s=settings.provider_total_timeout_s,
            create_s=settings.qwen_create_timeout_s,
        )
