"""How each fault of a drill is caused, and how it is taken out again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from understudy.drilling.following import DrillError
from understudy.drilling.place import CANARY, Place
from understudy.drilling.players import Heard
from understudy.drilling.policy import RUNAWAY_CHARACTERS
from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import UnderstudyError
from understudy.lanes import fingerprint
from understudy.releases.identity import running_checkout
from understudy.store.planting import lose_column, lose_table, plant_voice_without_metadata

Act = Callable[[Place], Coroutine[Any, Any, None]]

#: A job of the stand-in takes about a tenth of this by itself.
SLOW_S = 2.0
REPEATED_DESIGNS = 8
#: The line of Modal's adapter with which every text begins, and what a bad release has in its place.
SOUND_LINE = "        job_id = request.resume_job_id\n"
BROKEN_LINE = '        raise status_failure(NAME, 500, {}, b"", operation="submit")\n' + SOUND_LINE
LONG_TEXT = "one two three four five six seven eight nine " * 22


async def nothing(_: Place) -> None:
    """The cure itself takes the fault out, or nothing needs to."""


def break_qwen(**faults: float) -> tuple[Act, Act]:
    """Faults of the realtime stand-in, by probability."""

    async def inject(here: Place) -> None:
        await here.service.break_qwen(here.http, **faults)

    async def calm(here: Place) -> None:
        await here.service.break_qwen(here.http, **dict.fromkeys(faults, 0.0))

    return inject, calm


def players_hear(what: Heard) -> tuple[Act, Act]:
    """Players that get whole speech and report something else."""

    async def inject(here: Place) -> None:
        here.players.heard = what

    async def calm(here: Place) -> None:
        here.players.heard = Heard.ENDED

    return inject, calm


async def repeat_designs(here: Place) -> None:
    """One tenant asks for the same voice again and again; each is a billed create."""
    tenant, _ = here.tenants[0]
    body = {
        "text": "one two three",
        "language": "English",
        "instruct": f"a calm reader {secrets.token_hex(3)}",
    }
    headers = {"Authorization": f"Bearer {tenant.access_token}"}
    for _ in range(REPEATED_DESIGNS):
        url = f"{here.service.api}/api/voices/design/preview"
        async with here.http.post(url, json=body, headers=headers) as answer:
            await answer.read()
            if answer.status == 429:
                return  # the valve is closed already
        await asyncio.sleep(0.2)


async def run_away(here: Place) -> None:
    """One tenant has text after text spoken, until it has far more than anybody's hour."""
    tenant, voice = here.tenants[-1]
    spoken = 0
    while spoken < RUNAWAY_CHARACTERS * 3:
        try:
            await tenant.speak(voice, LONG_TEXT)
        except UnderstudyError:
            return  # throttled: that is the cure
        spoken += len(LONG_TEXT)


async def lose_metadata(here: Place) -> None:
    """A voice without its provider's id stands in the table."""
    async with here.owner() as conn:
        here.planted["voice"] = await plant_voice_without_metadata(conn)


async def drop_a_column(here: Place) -> None:
    """A column that a migration made is gone."""
    async with here.owner() as conn:
        await lose_column(conn)


async def migrate_destructively(here: Place) -> None:
    """A migration drops the generations."""
    async with here.owner() as conn:
        await lose_table(conn, version="20991231235959")


async def mismatch_secrets(here: Place) -> None:
    """The worker is started with another JWT secret than the API holds."""
    here.planted["env"] = read_env_file(here.env_file)["JWT_SECRET"]
    set_in_env_file(here.env_file, {"JWT_SECRET": secrets.token_urlsafe(48)})
    await here.redeploy("worker")


async def take_the_wrong_key(here: Place) -> None:
    """The key is on record as one of the other lane's."""
    key = read_env_file(here.env_file)["DASHSCOPE_API_KEY"]
    set_in_env_file(here.env_file, {"DASHSCOPE_KEY_FINGERPRINTS": f"cn:{fingerprint(key)}"})


async def forget_the_wrong_key(here: Place) -> None:
    """The record says nothing of that key again."""
    set_in_env_file(here.env_file, {"DASHSCOPE_KEY_FINGERPRINTS": None})


async def leak_the_canary(here: Place) -> None:
    """A planted secret has come into a tenant's rows, and a list answers with it."""
    tenant, voice = here.tenants[-1]
    await tenant.speak(voice, f"one two three {CANARY}")
    headers = {"Authorization": f"Bearer {tenant.access_token}"}
    async with here.http.get(f"{here.service.api}/api/generations", headers=headers) as answer:
        await answer.read()


async def break_behind_a_slow_standby(here: Place) -> None:
    """Qwen breaks while Modal takes ten times as long as usual."""
    async with here.http.post(f"{here.service.modal}/_faults", json={"slow": 1, "slow_s": SLOW_S}) as answer:
        await answer.read()
    await here.service.break_qwen(here.http, error_event=1)


async def calm_both(here: Place) -> None:
    """Both providers are well again."""
    async with here.http.post(f"{here.service.modal}/_faults", json={"slow": 0}) as answer:
        await answer.read()
    await here.service.break_qwen(here.http, error_event=0)


async def leave_late_failures(here: Place) -> None:
    """Sessions hang on Qwen and fail one after the other while the flip is long over."""
    await here.service.break_qwen(here.http, half_open=0.5, error_event=0.5)


async def calm_late_failures(here: Place) -> None:
    """Qwen is well again."""
    await here.service.break_qwen(here.http, half_open=0, error_event=0)


async def build_a_bad_release(here: Place) -> None:
    """Make a release whose Modal adapter refuses every text; it starts, and says that it is ready.

    Raises
    ------
    DrillError
        This code does not run from a checkout, so no other revision can be made of it.
    """
    checkout = running_checkout()
    if checkout is None:
        raise DrillError(
            "This drill makes a broken revision of the checkout it runs from, and runs from none."
        )
    scratch = here.service.home.parent / "bad-release"
    await git("clone", "--quiet", "--local", "--no-hardlinks", str(checkout.root), str(scratch))
    module = scratch / "src" / "understudy" / "providers" / "modal.py"
    module.write_text(module.read_text("utf-8").replace(SOUND_LINE, BROKEN_LINE), "utf-8")
    author = ("-c", "user.name=drill", "-c", "user.email=drill@understudy.invalid")
    await git("-C", str(scratch), *author, "commit", "--quiet", "--all", "--message", "A bad release")
    await here.command("releases", "build", "HEAD", "--checkout", str(scratch))
    here.planted["revision"] = (await git("-C", str(scratch), "rev-parse", "HEAD")).strip()


async def deploy_a_bad_release(here: Place) -> None:
    """The broken release is deployed."""
    await here.command("releases", "deploy", here.planted["revision"])


async def git(*arguments: str) -> str:
    """Run git and return what it said; raises DrillError with its last words where it fails."""
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    words = said.decode(errors="replace")
    if process.returncode != 0:
        raise DrillError(f"`git {' '.join(arguments)}` failed: {words.strip()[-200:]}")
    return words
