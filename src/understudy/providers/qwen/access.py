"""How one lane is reached: its addresses, its key, and what a refused key most likely means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from pydantic import SecretStr

from understudy.errors import FailureClass, ProviderError, ProviderRejectedError
from understudy.lanes import fingerprint, recorded_fingerprints
from understudy.settings import Settings

NAME = "qwen"
_CUSTOMIZATION_PATH = "/api/v1/services/audio/tts/customization"
_REALTIME_PATH = "/api-ws/v1/realtime"
_UNAUTHORIZED = 401
#: What DashScope calls a refused key; a refused handshake has no body to say it.
_REFUSED_KEY = "InvalidApiKey"


@dataclass(frozen=True, slots=True)
class LaneAccess:
    """One lane, by its settings and nothing else: no global of a vendor's package moves it.

    Parameters
    ----------
    base_url
        Scheme and host; the socket's address is derived from it.
    recorded
        Region by fingerprint, for the keys whose lane is on record.
    """

    base_url: str
    region: str
    key: SecretStr
    recorded: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings) -> LaneAccess:
        """The configured lane."""
        return cls(
            base_url=settings.dashscope_base_url.rstrip("/"),
            region=settings.dashscope_region,
            key=settings.dashscope_api_key,
            recorded=recorded_fingerprints(settings.dashscope_key_fingerprints),
        )

    @property
    def customization_url(self) -> str:
        """Where voices are made, listed and deleted."""
        return self.base_url + _CUSTOMIZATION_PATH

    def realtime_url(self, model: str) -> str:
        """Where ``model`` speaks."""
        return "ws" + self.base_url.removeprefix("http") + _REALTIME_PATH + "?" + urlencode({"model": model})

    @property
    def headers(self) -> dict[str, str]:
        """The one header that is mandatory."""
        return {"Authorization": f"Bearer {self.key.get_secret_value()}"}

    @property
    def key_fingerprint(self) -> str:
        """What may be shown and recorded of the key."""
        return fingerprint(self.key.get_secret_value())

    def named(self, error: ProviderError, *, for_operator: bool = False) -> ProviderError:
        """``error``, or, where it is a refused key, one whose evidence says why it was most likely refused.

        The key is compared by its recorded fingerprint only: it is never tried at another lane. Cause and
        cure are told to an operator; a tenant reads that our key was refused, and no more.
        """
        if error.evidence.get("status") != _UNAUTHORIZED:
            return error
        belongs = self.recorded.get(self.key_fingerprint)
        evidence = {**error.evidence, "lane": self.region, "key_fingerprint": self.key_fingerprint}
        if belongs is None:
            problem = "it is wrong, revoked, or of another region"
            fix = f"Set a key of lane {self.region}."
        elif belongs == self.region:
            problem = f"it is on record as one of this lane ({self.region}), so it was revoked or disabled"
            fix = "Make a new one."
        else:
            problem = f"it is a key of lane {belongs}, and DASHSCOPE_REGION is {self.region}"
            fix = (
                f"Set a key of lane {self.region}, or move DASHSCOPE_REGION and DASHSCOPE_BASE_URL together."
            )
            evidence["key_lane"] = belongs
        told = f"The speech provider refused our key: {problem}. {fix}"
        code = error.provider_code or _REFUSED_KEY
        return ProviderRejectedError(
            told if for_operator else "The speech provider refused our key.",
            failure_class=FailureClass.PROVIDER,
            provider=NAME,
            provider_code="wrong_lane_key" if belongs not in {None, self.region} else code,
            provider_request_id=error.provider_request_id,
            evidence=evidence,
        )
