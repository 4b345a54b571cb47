"""The guard of a home, for commands: its store, address and redactor; with or without a running guard."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from understudy.cli.account import account
from understudy.clock import SystemClock
from understudy.envfile import read_env_file
from understudy.errors import ConfigurationError, ForbiddenError, StoreUnavailableError
from understudy.logs import Redactor
from understudy.settings import ENV_FILE_VARIABLE, settings_from
from understudy.store.guard import GUARD_FILE, MACHINE_KEY, GuardStore, open_guard_store

if TYPE_CHECKING:
    import aiohttp

#: An operator's own key of the guard (`understudy guard-keys`): on a machine with one account it says who.
KEY_VARIABLE = "UNDERSTUDY_OPERATOR_KEY"
_TIMEOUT_S, _CONNECT_TIMEOUT_S = 5, 2


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """The two settings that say where the store is.

    They are read by themselves: another setting that is wrong may be the very trouble one looks into.
    """

    guard_store_url: SecretStr
    database_url: SecretStr


def _values(home: Path) -> dict[str, str]:
    """What the environment and the environment file say; the environment wins."""
    path = Path(os.environ.get(ENV_FILE_VARIABLE) or home / "understudy.env")
    try:
        values = read_env_file(path) if path.is_file() else {}
    except ConfigurationError:
        values = {}
    return values | dict(os.environ)


@contextmanager
def guard_store(home: Path, *, must_exist: bool = True) -> Iterator[GuardStore]:
    """Open the store of the home's guard.

    Raises
    ------
    ConfigurationError
        No guard has run there, or its store cannot be opened.
    """
    values = _values(home)
    choice = StoreChoice(
        SecretStr(values.get("GUARD_STORE_URL", "")), SecretStr(values.get("DATABASE_URL", ""))
    )
    with open_guard_store(home, choice, SystemClock(), must_exist=must_exist) as store:
        yield store


def highest_mode_epoch(home: Path) -> int:
    """Return the highest epoch of the mode that the home's guard ever saw; 0 where no guard has run.

    A guard's Postgres that is away must not keep anybody from switching: then it is 0 as well.
    """
    url = _values(home).get("GUARD_STORE_URL")
    if not url and not (home / GUARD_FILE).is_file():
        return 0
    try:
        with guard_store(home) as store:
            return store.highest_mode_epoch()
    except (ConfigurationError, StoreUnavailableError):
        if url:
            return 0
        raise


def person_at(store: GuardStore) -> str:
    """Return who is at this keyboard: whose guard key is in the environment, else this machine's account.

    Raises
    ------
    ForbiddenError
        The key is not a good one, or nobody's.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        return account()
    label = store.operators.label_of(key)
    if label is None or label == MACHINE_KEY:
        raise ForbiddenError(
            f"{KEY_VARIABLE} is no person's good key of this guard. `understudy guard-keys list` shows them."
        )
    return label


def redactor_of(home: Path) -> Redactor:
    """Redact as the guard does: its settings' secrets and the operator token, where they can be read."""
    secrets: list[SecretStr | str] = []
    with suppress(OSError, UnicodeDecodeError):
        secrets.append((home / "run" / "operator.token").read_text("utf-8").strip())
    with suppress(ConfigurationError):
        secrets += settings_from(_values(home)).secrets()
    return Redactor(secrets)


async def ask_guard(session: aiohttp.ClientSession, home: Path, path: str, url: str | None = None) -> Any:
    """Ask the guard's API with this home's own key; None when it does not answer.

    Parameters
    ----------
    url
        Its address; the one of its heartbeat when not given.
    """
    import aiohttp  # noqa: PLC0415  (commands that read the store alone ask nobody)

    from understudy.restoration.guard.heartbeat import read_heartbeat  # noqa: PLC0415

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S)
    token_file = home / "run" / "operator.token"
    try:
        heartbeat = read_heartbeat(home) if url is None else {}
        address = url or (heartbeat or {}).get("url")
        if not address or not token_file.is_file():
            return None
        headers = {"Authorization": f"Bearer {token_file.read_text(encoding='utf-8').strip()}"}
        async with session.get(f"{address}{path}", headers=headers, timeout=timeout) as answer:
            return await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError, OSError, ConfigurationError):
        return None
