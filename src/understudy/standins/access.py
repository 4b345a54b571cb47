"""Who may call: DashScope's bearer keys by lane, Modal's proxy headers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import Enum

from understudy.standins.configuration import StandInSettings


class KeyVerdict(Enum):
    """What a presented DashScope key is.

    The wire answers the last two alike; only ``/_stats`` tells them apart.
    """

    ACCEPTED = "accepted"
    WRONG_LANE = "wrong_lane"
    UNKNOWN = "unknown"


def judge_key(authorization: str | None, settings: StandInSettings) -> KeyVerdict:
    """Judge an ``Authorization`` header; older SDKs write the scheme in lower case."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        return KeyVerdict.UNKNOWN
    keys = {"intl": settings.dashscope_key, "cn": settings.dashscope_cn_key}
    for lane, accepted in keys.items():
        if hmac.compare_digest(key.strip().encode(), accepted.get_secret_value().encode()):
            return KeyVerdict.ACCEPTED if lane == settings.lane else KeyVerdict.WRONG_LANE
    return KeyVerdict.UNKNOWN


def passes_proxy(headers: Mapping[str, str], settings: StandInSettings) -> bool:
    """Whether Modal's proxy lets the request through; without configured credentials it is open."""
    key, secret = settings.modal_key.get_secret_value(), settings.modal_secret.get_secret_value()
    if not key and not secret:
        return True
    right_key = hmac.compare_digest(headers.get("Modal-Key", "").encode(), key.encode())
    right_secret = hmac.compare_digest(headers.get("Modal-Secret", "").encode(), secret.encode())
    return right_key and right_secret
