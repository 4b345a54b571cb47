"""``docs/settings.md``, from the settings themselves: run `understudy doctor --settings-markdown`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import SecretStr

import understudy
from understudy.settings import Settings

_HEAD = """# Settings

Every setting is an environment variable, or a line `NAME=value` in the file that `UNDERSTUDY_ENV_FILE` names;
the environment wins. `understudy doctor --all` shows each as a process would read it, never a secret's value.

`make settings` writes this page from the code; a test fails when it is out of date.

| setting | default | meaning | secret | used by |
|---|---|---|---|---|
"""
_NOT_USERS = {"settings", "doctor"}


def settings_markdown() -> str:
    """Return the page."""
    users = _users()
    rows = []
    for name, field in Settings.model_fields.items():
        is_secret = field.annotation is SecretStr
        default = "" if is_secret or field.default in {None, ""} else f"`{field.default}`"
        meaning = (field.description or "").replace("|", "\\|")
        used_by = ", ".join(sorted(users.get(name, set())))
        rows.append(
            f"| `{name.upper()}` | {default} | {meaning} | {'yes' if is_secret else ''} | {used_by} |"
        )
    return _HEAD + "\n".join(rows) + "\n"


@cache
def _users() -> Mapping[str, set[str]]:
    """Find the rooms whose source names each setting."""
    package = Path(understudy.__file__).parent
    names = re.compile(
        rf"\b({'|'.join(sorted(Settings.model_fields, key=len, reverse=True))})\b", re.IGNORECASE
    )
    found: dict[str, set[str]] = {}
    text = (package / "settings.py").read_text(encoding="utf-8")
    derived = {
        "objects_dir": "objects_path",
        "cors_allowed_origins": "cors_origins",
        "planted_canaries": "watched",
    }
    assert all(f"def {method}" in text for method in derived.values())  # noqa: S101  (renamed with the settings)
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room in _NOT_USERS:
            continue
        source = path.read_text(encoding="utf-8")
        for match in names.finditer(source):
            if match.group(1).islower() and not re.search(rf"settings\.{match.group(1)}\b", source):
                continue
            found.setdefault(match.group(1).lower(), set()).add(room)
        for name, method in derived.items():
            if f"settings.{method}" in source:
                found.setdefault(name, set()).add(room)
    return found
