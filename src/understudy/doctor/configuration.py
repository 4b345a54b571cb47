"""Every setting: what it is, where it is not default, and which contradict each other."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import SecretStr

from understudy.api.cors import CrossOrigin
from understudy.doctor.findings import Finding, fail, ok
from understudy.errors import ConfigurationError
from understudy.settings import Settings
from understudy.store.signing import require_strong_secret

AREA = "settings"
_CREDENTIALS = re.compile(r"//[^/@]*@")


def look_at_settings(settings: Settings) -> list[Finding]:
    """Return one finding a setting, then one a rule between settings."""
    found = [ok(AREA, name.upper(), _shown(settings, name)) for name in Settings.model_fields]
    rules: tuple[tuple[str, Callable[[], object]], ...] = (
        ("database", lambda: settings.require("database_url")),
        ("signed links", lambda: require_strong_secret("OBJECT_URL_SECRET", settings.object_url_secret)),
        ("identity", lambda: _check_identity(settings)),
        ("cross-origin calls", lambda: CrossOrigin(settings)),
        ("Modal", settings.check_modal),
        ("Qwen", settings.check_qwen),
    )
    found += [_judge(name, rule) for name, rule in rules]
    return found


def _check_identity(settings: Settings) -> None:
    settings.check_identity()
    if settings.auth_verifier == "embedded":
        require_strong_secret("JWT_SECRET", settings.jwt_secret)


def _judge(name: str, rule: Callable[[], object]) -> Finding:
    try:
        rule()
    except ConfigurationError as error:
        problem, _, fix = error.message.partition(". ")
        return fail(AREA, name, f"{problem.rstrip('.')}.", fix or "Correct it, and start again.")
    return ok(AREA, name, "complete and consistent")


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    given = name in settings.model_fields_set
    if isinstance(value, SecretStr):
        return "set (secret, not shown)" if value.get_secret_value() else "not set (secret)"
    # An address may carry a name and password.
    text = "empty" if value in {None, ""} else _CREDENTIALS.sub("//***@", str(value))
    return text if given else f"{text} (default)"
