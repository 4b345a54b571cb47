"""The lanes of DashScope: one region, its hosts, its keys and the models that speak there.

A key of one lane is a plain 401 on the other (facts/dashscope.md section 4), so what can be known before the
first call is checked before it, each contradiction with its cure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from understudy.errors import ConfigurationError

#: Hosts of the two lanes that every account has.
LANE_HOSTS = {"intl": "dashscope-intl.aliyuncs.com", "cn": "dashscope.aliyuncs.com"}
#: The newer hosts, ``{workspace}.{place}.maas.aliyuncs.com``, by their place.
_PLACES = {"ap-southeast-1": "intl", "cn-beijing": "cn"}
_WORKSPACE_HOST = re.compile(r"^[a-z0-9][a-z0-9-]*\.([a-z0-9-]+)\.maas\.aliyuncs\.com$")
_VENDOR_DOMAIN = ".aliyuncs.com"

#: A dated snapshot: a voice is bound to the exact id, and an undated one moves (facts/dashscope.md 0).
_MODEL = re.compile(r"^qwen[0-9.]*-tts-(vc|vd)-realtime-\d{4}-\d{2}-\d{2}$")
_KIND_NAMES = {"vc": "cloned", "vd": "designed"}

CODING_PLAN_PREFIX = "sk-sp-"
FINGERPRINT_DIGITS = 16
_FINGERPRINTS = re.compile(rf"^(intl|cn)[:=]([0-9a-f]{{{FINGERPRINT_DIGITS}}})$")


def region_of(host: str) -> str | None:
    """``intl`` or ``cn`` for a host of DashScope's, ``None`` for any other (a gateway, this machine)."""
    for region, lane_host in LANE_HOSTS.items():
        if host == lane_host:
            return region
    match = _WORKSPACE_HOST.match(host)
    return _PLACES.get(match.group(1)) if match else None


def check_lane(base_url: str, region: str) -> None:
    """Raise :class:`ConfigurationError` unless ``base_url`` is a bare address of the lane of ``region``."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if parts.query or parts.fragment or parts.username or parts.path.rstrip("/"):
        raise ConfigurationError(
            f"DASHSCOPE_BASE_URL holds more than an address. Write scheme and host only, such as "
            f"https://{LANE_HOSTS[region]}; the paths are ours."
        )
    lane = region_of(host)
    if lane is None and (host.endswith(_VENDOR_DOMAIN)):
        raise ConfigurationError(
            f"DASHSCOPE_BASE_URL points at {host}, which serves no Qwen realtime lane that is known. Use "
            f"{LANE_HOSTS[region]}, or your workspace's host "
            f"(WORKSPACE.ap-southeast-1.maas.aliyuncs.com, WORKSPACE.cn-beijing.maas.aliyuncs.com)."
        )
    if lane is not None and lane != region:
        raise ConfigurationError(
            f"DASHSCOPE_BASE_URL points at {host}, but DASHSCOPE_REGION={region} means {LANE_HOSTS[region]}. "
            f"Make them agree: a key of one lane is refused by the other."
        )


def check_model(setting: str, model: str, kind: str, example: str) -> None:
    """Raise :class:`ConfigurationError` unless ``model`` is a dated realtime model of ``kind`` voices."""
    match = _MODEL.match(model)
    if match is None or match.group(1) != kind:
        raise ConfigurationError(
            f"{setting}={model} is not a dated realtime model of {_KIND_NAMES[kind]} voices ({kind}). Set it "
            f"to something like {example}: a voice speaks only with the very model it was made for."
        )


def check_key(key: str) -> None:
    """Raise :class:`ConfigurationError` for a key that no lane of ours takes; it is never quoted."""
    if key.startswith(CODING_PLAN_PREFIX):
        raise ConfigurationError(
            f"DASHSCOPE_API_KEY is a coding-plan key ({CODING_PLAN_PREFIX}...), which no voice takes. "
            f"Make a Model Studio key of your region and set that."
        )
    if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
        raise ConfigurationError(
            "DASHSCOPE_API_KEY holds spaces or characters that no key has. Copy it again, without quotes or "
            "line ends."
        )


def fingerprint(key: str) -> str:
    """What may be recorded of a key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:FINGERPRINT_DIGITS]


def recorded_fingerprints(text: str) -> Mapping[str, str]:
    """Region by fingerprint, from ``intl:0123456789abcdef,cn:...``.

    Raises
    ------
    ConfigurationError
        A part is not a region and a fingerprint.
    """
    known = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _FINGERPRINTS.match(part)
        if match is None:
            raise ConfigurationError(
                "DASHSCOPE_KEY_FINGERPRINTS is not a list of region:fingerprint pairs. Write them as "
                "`understudy doctor` prints them, such as intl:0123456789abcdef, with commas between several."
            )
        known[match.group(2)] = match.group(1)
    return known
