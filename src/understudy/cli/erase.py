"""``understudy erase``: an account and everything of it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.logs import configure_logging
from understudy.speech.erasing import erase_account
from understudy.store.erasures import Erasure
from understudy.store.object_choice import open_objects, prove_objects


@reports_errors
def erase(
    *,
    user: Annotated[UUID, typer.Option("--user", help="Id of the account.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Erase an account [bold]for good[/]: voices, generations, tasks, audio, sessions, keys, sign-in.

    A tombstone stays, so that the account is erased again after a restore. Numbers of usage stay without the
    account. Voices at the speech provider are listed: ask the provider to delete them. Safe to repeat.

    Example: [bold]understudy erase --user 7f3c2c1e-0d52-4c39-9f5e-3a1f6c3a9a10[/]
    """
    configure_logging("erase", level="warning")
    if not yes:
        typer.confirm(f"Erase the account {user} and everything of it, for good?", abort=True, err=True)
    erased = asyncio.run(_erase(home, user))
    if as_json:
        print_json(asdict(erased))
        return
    listed = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(erased.counts.items()))
    console.print(f"Erased {erased.user_id}: {listed}.", highlight=False, soft_wrap=True)
    for voice in erased.provider_voices:
        console.print(
            f"Still at {voice['provider']}: {voice['voice_id']} ({voice['target_model']})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


async def _erase(home: Path, user: UUID) -> Erasure:
    settings, clock = installed_settings(home), SystemClock()
    objects = open_objects(settings, clock)
    await prove_objects(objects)
    async with installed_database(settings, command="erase") as database:
        return await erase_account(database, objects, clock, user, actor="operator")
