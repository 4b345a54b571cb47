"""``understudy known-good``: the state that a restoration returns to, as a person confirms it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.guard_home import guard_store
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, check_reason
from understudy.cli.output import console, errors, print_json, reports_errors
from understudy.errors import ConfigurationError
from understudy.releases.kept_environment import ENVIRONMENT_FILE, keep_environment, kept_environment_file
from understudy.store.guard import KnownGood

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """What is known to be good: revision, release, settings, migrations, secrets' digests, provider, key."""


@app.command("record", epilog='Example: understudy known-good record --reason "release 1.4 ran a week"')
@reports_errors
def record(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why it counts as good.")],
    allow_dirty: Annotated[
        bool,
        typer.Option("--allow-dirty", help="Record a checkout with uncommitted changes, and say so in it."),
    ] = False,
    with_release: Annotated[
        bool,
        typer.Option(
            "--release/--no-release",
            help="Build the release that a code rollback starts from; without it none can be done here.",
        ),
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Record what is in force as known-good. Earlier records stay; the record holds no secret.

    On this machine that builds a release in HOME/releases: wheel and installed dependencies, so that going
    back installs nothing and needs no network. A copy of the environment file is kept beside it, readable by
    this user alone.
    """
    from understudy.cli.environment import chosen  # noqa: PLC0415  (`show` need not load it all)
    from understudy.cli.present_state import (  # noqa: PLC0415
        check_served,
        code_in_force,
        code_of_source,
        describe,
        environment_values,
    )
    from understudy.clock import SystemClock  # noqa: PLC0415
    from understudy.restoration.targets.choosing import target_of  # noqa: PLC0415
    from understudy.settings import settings_from  # noqa: PLC0415

    check_reason(reason)
    environment, clock = chosen(), SystemClock()
    values = environment_values(environment, home)
    target = target_of(environment, home, settings_from(values), clock)
    if environment.is_local:
        if not as_json and with_release:
            errors.print("Building the release; this takes a few seconds.", style="dim", highlight=False)
        code = code_in_force(home, allow_changes=allow_dirty, build=with_release, clock=clock)
    else:
        code = code_of_source(environment)

    async def look() -> dict[str, Any]:
        await check_served(target, code)
        return await describe(target, environment, home, code)

    document = {"reason": reason, "environment": environment.name.value, **asyncio.run(look())}
    with guard_store(home, must_exist=False) as store:
        kept = store.record_known_good(document, actor=f"person:{account()}")
        store.announce(None, kind="known_good", actor=kept.actor, body={"record": kept.seq, "reason": reason})
    if environment.is_local:
        keep_environment(home, kept.seq, (home / ENVIRONMENT_FILE).read_bytes())
    _tell([kept], home, as_json)


@app.command("show", epilog="Example: understudy known-good show --history 5")
@reports_errors
def show(
    *,
    history: Annotated[int, typer.Option("--history", min=1, help="Newest records shown.")] = 1,
    full: Annotated[
        bool, typer.Option("--full", help="With --json: every object of the database's catalog too.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what is recorded as known-good."""
    with guard_store(home) as store:
        records = store.known_good_history(history)
    if not records and not as_json:
        raise ConfigurationError("Nothing is recorded as known-good. Record it: understudy known-good record")
    _tell(records, home, as_json, full=full)


@app.command("list", epilog="Example: understudy known-good list")
@reports_errors
def list_command(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Newest records listed.")] = 20,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the records, the newest first: a restoration returns to that one."""
    with guard_store(home) as store:
        records = store.known_good_history(limit)
    if as_json:
        print_json({"known_good": [kept.summary() for kept in records]})
        return
    if not records:
        console.print("Nothing is recorded as known-good. Record it: understudy known-good record")
    for kept in records:
        row = kept.summary()
        tag = f" ({row['tag']})" if row["tag"] else ""
        revision = f"{row['revision'][:12]}{tag}" if row["revision"] else "no revision"
        said = f"#{kept.seq:<4} {kept.at:%Y-%m-%d %H:%M} UTC  {revision:<24} {row['mode']:<6} {row['reason']}"
        console.print(Text(said), soft_wrap=True)


def _tell(records: list[KnownGood], home: Path, as_json: bool, *, full: bool = False) -> None:
    if as_json:
        print_json({"known_good": [_plain(kept, full=full) for kept in records]})
        return
    for kept in records:
        document = kept.document
        console.print(
            Text(f"#{kept.seq}  {kept.at:%Y-%m-%d %H:%M} UTC  {kept.actor}  {document.get('reason', '')}"),
            style="bold",
            soft_wrap=True,
        )
        for name, said in _lines(document, kept_environment_file(home, kept.seq)):
            console.print(Text(f"  {name:<12} {said}"), soft_wrap=True)


def _lines(document: Mapping[str, Any], environment_file: Path) -> list[tuple[str, str]]:
    git, migrations = document.get("git"), document.get("migrations") or {}
    provider, release = document.get("provider") or {}, document.get("release")
    catalog = document.get("catalog")
    changed = ", with changes that are not committed" if git and git["changed"] else ""
    tag = f" ({git['tag']})" if git and git.get("tag") else ""
    key = document.get("qwen_key_fingerprint")
    built = f"{release['path']}, wheel sha256 {str(release['wheel_sha256'])[:16]}" if release else ""
    kept = f"; kept in {environment_file}" if environment_file.is_file() else ""
    return [
        ("revision", f"{git['revision']}{tag}{changed}" if git else "not a checkout"),
        ("release", built or "none: a code rollback has nothing to start from on this machine"),
        ("migrations", f"{migrations.get('head')}, {len(migrations.get('files') or {})} files"),
        (
            "catalog",
            f"fingerprint {catalog['fingerprint'][:16]}" if catalog else "the database did not answer",
        ),
        ("environment", f"sha256 {str(document.get('environment_sha256'))[:16]}{kept}"),
        ("settings", f"{len(document.get('settings') or {})} that are no secret"),
        ("secrets", f"{len(document.get('secret_digests') or {})} digests"),
        ("provider", f"{provider.get('mode')}; known-good {provider.get('known_good')}"),
        ("qwen key", f"{key} for {provider.get('region')}" if key else "none set"),
    ]


def _plain(kept: KnownGood, *, full: bool) -> dict[str, Any]:
    document = dict(kept.document)
    catalog = document.get("catalog")
    if isinstance(catalog, Mapping) and not full:
        document["catalog"] = {
            "fingerprint": catalog["fingerprint"],
            "server_version": catalog["server_version"],
            "objects": len(catalog["entries"]),
        }
    return {"seq": kept.seq, "at": kept.at.isoformat(), "actor": kept.actor, **document}
