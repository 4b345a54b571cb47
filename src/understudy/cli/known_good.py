"""``understudy known-good``: the state that a restoration returns to, as a person confirms it."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from understudy.cli.guard_home import guard_store
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, check_reason
from understudy.cli.output import console, print_json, reports_errors
from understudy.envfile import read_env_file
from understudy.errors import ConfigurationError
from understudy.lanes import fingerprint
from understudy.settings import Settings, settings_from
from understudy.store.guard import KnownGood
from understudy.store.journal import canonical_json
from understudy.store.migrations import load_migrations

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_GIT_TIMEOUT_S = 5


@app.callback()
def group() -> None:
    """What is known to be good: revision, settings, migrations, secrets' digests, provider and key."""


@app.command("record", epilog='Example: understudy known-good record --reason "release 1.4 ran a week"')
@reports_errors
def record(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why it counts as good.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Record what is in force on this machine as known-good. Earlier records stay; no secret is kept."""
    check_reason(reason)
    document = {"reason": reason, **describe(home, Path.cwd())}
    with guard_store(home, must_exist=False) as store:
        kept = store.record_known_good(document, actor=f"person:{getpass.getuser()}")
        store.announce(None, kind="known_good", actor=kept.actor, body={"record": kept.seq, "reason": reason})
    _tell([kept], as_json)


@app.command("show", epilog="Example: understudy known-good show --history 5")
@reports_errors
def show(
    *,
    history: Annotated[int, typer.Option("--history", min=1, help="Newest records shown.")] = 1,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what is recorded as known-good."""
    with guard_store(home) as store:
        records = store.known_good_history(history)
    if not records and not as_json:
        raise ConfigurationError("Nothing is recorded as known-good. Record it: understudy known-good record")
    _tell(records, as_json)


def describe(home: Path, checkout: Path) -> dict[str, Any]:
    """Return everything that is recorded of the present state; digests only where it is secret.

    Raises
    ------
    ConfigurationError
        The environment file or a setting in it cannot be read.
    """
    values = read_env_file(home / "understudy.env")
    settings = settings_from(values)
    migrations = load_migrations()
    key = settings.dashscope_api_key.get_secret_value()
    return {
        "git": _revision(checkout),
        "migrations": {
            "head": migrations[-1].version if migrations else None,
            "files": {migration.version: migration.sha256 for migration in migrations},
        },
        "environment_sha256": sha256(canonical_json(values).encode()).hexdigest(),
        "secret_digests": settings.secret_digests(),
        "provider": _provider(settings),
        "qwen_key_fingerprint": fingerprint(key) if key else None,
    }


def _provider(settings: Settings) -> dict[str, str]:
    return {
        "mode": settings.tts_provider_mode,
        "known_good": settings.known_good_provider,
        "region": settings.dashscope_region,
        "address": settings.dashscope_base_url,
    }


def _revision(checkout: Path) -> dict[str, Any] | None:
    """Return revision, tag and whether files differ from it; None outside a checkout or without git."""
    revision = _git(checkout, "rev-parse", "HEAD")
    if revision is None:
        return None
    tag = _git(checkout, "describe", "--tags", "--exact-match")
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "tag": tag, "changed": bool(changed)}


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", *arguments],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _tell(records: list[KnownGood], as_json: bool) -> None:
    if as_json:
        print_json({"known_good": [_plain(kept) for kept in records]})
        return
    for kept in records:
        document = kept.document
        console.print(
            Text(f"#{kept.seq}  {kept.at:%Y-%m-%d %H:%M} UTC  {kept.actor}  {document.get('reason', '')}"),
            style="bold",
            soft_wrap=True,
        )
        for name, said in _lines(document):
            console.print(Text(f"  {name:<12} {said}"), soft_wrap=True)


def _lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    git, migrations = document.get("git"), document.get("migrations") or {}
    provider = document.get("provider") or {}
    changed = ", with changes that are not committed" if git and git["changed"] else ""
    tag = f" ({git['tag']})" if git and git.get("tag") else ""
    key = document.get("qwen_key_fingerprint")
    return [
        ("revision", f"{git['revision']}{tag}{changed}" if git else "not a checkout"),
        ("migrations", f"{migrations.get('head')}, {len(migrations.get('files') or {})} files"),
        ("environment", f"sha256 {str(document.get('environment_sha256'))[:16]}"),
        ("secrets", f"{len(document.get('secret_digests') or {})} digests"),
        ("provider", f"{provider.get('mode')}; known-good {provider.get('known_good')}"),
        ("qwen key", f"{key} for {provider.get('region')}" if key else "none set"),
    ]


def _plain(kept: KnownGood) -> dict[str, Any]:
    return {"seq": kept.seq, "at": kept.at.isoformat(), "actor": kept.actor, **kept.document}
