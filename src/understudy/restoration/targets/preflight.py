"""Is the way there, in either direction: Modal's five secrets, Qwen's pins, and a key of the right region.

Nothing here submits work: an endpoint that takes POST alone is asked by GET, and must refuse the method.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import aiohttp

from understudy.errors import ConfigurationError, ProviderError, TargetError
from understudy.lanes import fingerprint, recorded_fingerprints
from understudy.providers.qwen.provider import QwenProvider
from understudy.restoration.targets.base import Target
from understudy.settings import LOOPBACK_HOSTS, Settings, check_url

#: What the playbook pins for the way forward.
QWEN_PINS: Mapping[str, str] = {
    "DASHSCOPE_BASE_URL": "https://dashscope-intl.aliyuncs.com",
    "DASHSCOPE_REGION": "intl",
    "QWEN_VC_TARGET_MODEL": "qwen3-tts-vc-realtime-2026-01-15",
    "QWEN_VD_TARGET_MODEL": "qwen3-tts-vd-realtime-2026-01-15",
    "QWEN_MAX_TEXT_CHARS": "2000",
}
#: The five secrets of the way back, and whether the endpoint takes POST alone (facts/modal.md).
MODAL_SECRETS: Mapping[str, bool] = {
    "MODAL_JOB_SUBMIT": True,
    "MODAL_JOB_STATUS": False,
    "MODAL_JOB_RESULT": False,
    "MODAL_JOB_CANCEL": True,
    "MODAL_ENDPOINT_VOICE_DESIGN": True,
}
UNKNOWN_JOB = "fc-understudy-preflight"
TIMEOUT_S = 15.0
_MOST_BYTES = 65_536
_SET_FIX = "`supabase secrets set {name}=<url>` (or the same line of the environment file), then redeploy."


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One thing that must be so.

    Parameters
    ----------
    detail
        What was seen; never a secret's value.
    fix
        What to do; empty when nothing is.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Preflight:
    """Every check, in the order of the playbook."""

    environment: str
    checks: tuple[PreflightCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way."""
        return all(check.ok for check in self.checks)

    def problems(self) -> tuple[PreflightCheck, ...]:
        """What does."""
        return tuple(check for check in self.checks if not check.ok)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "environment": self.environment,
            "ok": self.ok,
            "checks": [asdict(each) for each in self.checks],
        }


@runtime_checkable
class NamesSecrets(Protocol):
    """A target that tells which secrets are set, and not what they hold."""

    async def secret_names(self) -> frozenset[str]:
        """Names of every secret that the deployment has."""
        ...


async def preflight(
    settings: Settings, *, environment: str, target: Target | None = None, candidate: bool = True
) -> Preflight:
    """Check everything; a provider that is away is a check that fails, never an error.

    Parameters
    ----------
    settings
        What the deployment's processes get, as far as this machine knows it.
    target
        Asked as well which of these values are in force there; not asked when None.
    candidate
        Whether the way forward (pins, region and key) is looked at too.
    """
    parts = [check_modal(settings, timeout_s=TIMEOUT_S)]
    if target is not None:
        parts.append(check_deployed(settings, target))
    found = [check for part in await asyncio.gather(*parts) for check in part]
    if candidate:
        found += check_pins(settings, standins_allowed=environment == "local")
        found.append(await check_key(settings))
    return Preflight(environment, tuple(found))


async def check_modal(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> tuple[PreflightCheck, ...]:
    """One check a secret: present, a URL that is safe to call, reachable, and answering as agreed."""
    key, secret = settings.modal_key.get_secret_value(), settings.modal_secret.get_secret_value()
    async with aiohttp.ClientSession(
        headers={"Modal-Key": key, "Modal-Secret": secret} if key else None,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
    ) as session:
        return tuple(
            await asyncio.gather(
                *(
                    _endpoint(session, name, getattr(settings, name.lower()), takes_post=post)
                    for name, post in MODAL_SECRETS.items()
                )
            )
        )


async def check_deployed(settings: Settings, target: Target) -> tuple[PreflightCheck, ...]:
    """Compare with what the deployment has: names where it tells no more, values where it does."""
    names = (*MODAL_SECRETS, *QWEN_PINS)
    try:
        if isinstance(target, NamesSecrets):
            present = await target.secret_names()
            absent = [name for name in names if name not in present]
            told = f"target {target.name} has all {len(names)} names"
        else:
            values = await target.read_env(names)
            absent = [name for name in MODAL_SECRETS if not values.get(name)]
            told = f"target {target.name} has them"
            differing = [
                name
                for name, value in values.items()
                if value and value != str(getattr(settings, name.lower()))
            ]
            if differing:
                return (
                    PreflightCheck(
                        "deployed settings",
                        ok=False,
                        detail=f"in force there is another value than here: {', '.join(differing)}",
                        fix="Find out which is right, write it there, and redeploy.",
                    ),
                )
    except TargetError as error:
        fix = "See that the target answers, and that its secrets are named in understudy.toml."
        return (PreflightCheck("deployed settings", ok=False, detail=error.message, fix=fix),)
    if absent:
        fix = _SET_FIX.format(name=absent[0])
        return (
            PreflightCheck(
                "deployed settings", ok=False, detail=f"not set there: {', '.join(absent)}", fix=fix
            ),
        )
    return (PreflightCheck("deployed settings", ok=True, detail=told),)


def check_pins(settings: Settings, *, standins_allowed: bool) -> tuple[PreflightCheck, ...]:
    """One check a pinned setting.

    Parameters
    ----------
    standins_allowed
        A loopback address in place of the pinned one is the stand-in of a developer's machine.
    """
    found = []
    for name, pin in QWEN_PINS.items():
        value = str(getattr(settings, name.lower())).rstrip("/")
        if value == pin:
            found.append(PreflightCheck(name, ok=True, detail=value))
        elif standins_allowed and (urlsplit(value).hostname or "") in LOOPBACK_HOSTS:
            found.append(PreflightCheck(name, ok=True, detail=f"{value}: the stand-in; pinned is {pin}"))
        else:
            fix = f"Set {name}={pin}, as the playbook pins it, and redeploy."
            found.append(PreflightCheck(name, ok=False, detail=f"{value}, pinned is {pin}", fix=fix))
    return tuple(found)


async def check_key(settings: Settings) -> PreflightCheck:
    """Does the key belong to the region: by its recorded fingerprint, then by one call at that lane alone."""
    name, region = "region and key", settings.dashscope_region
    try:
        settings.check_qwen()
        key = settings.dashscope_api_key.get_secret_value()
        told = recorded_fingerprints(settings.dashscope_key_fingerprints).get(fingerprint(key))
    except ConfigurationError as error:
        problem, _, fix = error.message.partition(". ")
        return PreflightCheck(name, ok=False, detail=problem, fix=fix or "Correct it.")
    if told not in {None, region}:
        return PreflightCheck(
            name,
            ok=False,
            detail=f"the key {told}:{fingerprint(key)} is on record as one of lane {told}, not of {region}",
            fix=f"Set a key of lane {region}; this one was not tried anywhere.",
        )
    provider = QwenProvider(settings)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            result = await provider.check()
    except ProviderError as error:
        return PreflightCheck(name, ok=False, detail=error.message, fix=f"Set a key of lane {region}.")
    except TimeoutError:
        fix = "See that the lane can be reached from here."
        return PreflightCheck(name, ok=False, detail=f"no answer within {TIMEOUT_S:.0f} s", fix=fix)
    finally:
        await provider.close()
    return PreflightCheck(name, ok=True, detail=result.detail)


async def _endpoint(
    session: aiohttp.ClientSession, name: str, url: str, *, takes_post: bool
) -> PreflightCheck:
    if not url:
        return PreflightCheck(name, ok=False, detail="not set", fix=_SET_FIX.format(name=name))
    try:
        host = check_url(name, url)
    except ConfigurationError as error:
        return PreflightCheck(name, ok=False, detail=error.message, fix=_SET_FIX.format(name=name))
    try:
        async with session.get(
            url, params=None if takes_post else {"job_id": UNKNOWN_JOB}, allow_redirects=False
        ) as answer:
            status, body = answer.status, await answer.content.read(_MOST_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        detail = f"{host} does not answer ({type(error).__name__})"
        return PreflightCheck(name, ok=False, detail=detail, fix="Start it, or correct the address.")
    problem = _refused(status) or _broken(name, status, body, takes_post=takes_post)
    if problem:
        fix = "Compare the address with what `modal deploy` printed for this endpoint."
        return PreflightCheck(name, ok=False, detail=f"{host}: {problem}", fix=fix)
    said = "takes POST alone" if takes_post else f"answers HTTP {status} for a job that is not there"
    return PreflightCheck(name, ok=True, detail=f"{host} {said}")


def _refused(status: int) -> str | None:
    if status in {401, 403}:
        return f"HTTP {status}: it wants other proxy keys (MODAL_KEY, MODAL_SECRET)"
    return f"HTTP {status}: it is ill" if status >= 500 else None


def _broken(name: str, status: int, body: bytes, *, takes_post: bool) -> str | None:
    """Say how the answer breaks the contract, if it does."""
    document = _json(body)
    if takes_post:
        # Modal answers GET by the polls of a design's redirects as well: there 404 is of a call, in JSON.
        polls = name == "MODAL_ENDPOINT_VOICE_DESIGN" and status in {400, 404, 422} and document is not None
        return None if status == 405 or polls else f"HTTP {status} to GET, where only POST is taken"
    if status == 405:
        return "it takes no GET: another endpoint's address?"
    if name == "MODAL_JOB_STATUS":
        states = status == 200 and isinstance(document, dict) and isinstance(document.get("status"), str)
        return (
            None if states or (status == 404 and document is not None) else f"HTTP {status} tells no status"
        )
    tells = status in {202, 404, 410} and (status == 202 or document is not None)
    return None if tells else f"HTTP {status} for the result of a job that is not there"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
