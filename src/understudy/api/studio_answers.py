"""What the studio is told before anybody has signed in."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from understudy.api.answers import Answer
from understudy.api.notice_board import NoticeName


class StudioAuth(Answer):
    """Where a Supabase client signs people in."""

    url: str = Field(description="Address of the issuer, without `/auth/v1`; empty for this very origin.")
    key: str = Field(
        description="Publishable key to send with each request; `embedded` for the embedded issuer, empty "
        "where the operator has set none."
    )


class SpeechPrices(Answer):
    """Micro-dollars of 10 000 billed characters, by the kind of voice."""

    cloned: int
    designed: int


class StudioPrices(Answer):
    """List prices in micro-dollars, by provider; a provider that bills by time is estimated."""

    design_create_microusd: dict[str, int]
    clone_create_microusd: dict[str, int]
    per_10k_chars_microusd: dict[str, SpeechPrices]


class StudioLimits(Answer):
    """What is refused beyond."""

    clone_bytes: int = Field(description="Largest recording that a voice is cloned from.")
    design_text_chars: int = Field(description="Longest text of a preview, in code points.")
    design_description_chars: int = Field(description="Longest description of a voice, in code points.")
    max_active_generations: int = Field(description="Generations in progress at once.")
    max_streams: int = Field(description="Speech being streamed at once.")
    clone_consent_required: bool = Field(description="Whether nobody is cloned without their stated consent.")


class StudioConfig(Answer):
    """How the studio signs people in, and what it shows of prices and limits."""

    auth: StudioAuth
    sign_up: bool = Field(description="Whether new accounts are made here.")
    prices: StudioPrices
    limits: StudioLimits


class Notice(Answer):
    """What tenants are told."""

    code: NoticeName
    sentence: str
    since: datetime
    writes_frozen: bool = Field(description="Whatever changes something answers 503.")


class CurrentNotice(Answer):
    """The notice that stands now; null while all is well."""

    notice: Notice | None
