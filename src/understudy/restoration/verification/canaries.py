"""Two identities that try a deployment as tenants do, and take away what they made."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr

from understudy.errors import ConfigurationError, TargetError
from understudy.restoration.verification.client import DeploymentClient, Reply
from understudy.restoration.verification.evidence import RequestEvidence
from understudy.settings import LOOPBACK_HOSTS
from understudy.store.synthetic import CANARY_DOMAIN


@dataclass(frozen=True, slots=True)
class CanaryAccount:
    """An account: signed in where it exists, signed up where it does not."""

    email: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class CanaryToken:
    """A ready-made access token, for a deployment whose accounts are made elsewhere."""

    token: SecretStr


CanaryIdentity = CanaryAccount | CanaryToken


@dataclass(frozen=True, slots=True)
class CanaryIdentities:
    """Two different tenants; one alone cannot prove isolation."""

    a: CanaryIdentity
    b: CanaryIdentity

    @classmethod
    def fresh(cls) -> CanaryIdentities:
        """Two accounts that no deployment knows yet (``.invalid`` never receives mail, RFC 2606)."""
        return cls(_fresh_account(), _fresh_account())

    def secrets(self) -> list[SecretStr]:
        """Values that must not appear in anything written."""
        return [item.password if isinstance(item, CanaryAccount) else item.token for item in (self.a, self.b)]


@dataclass(frozen=True, slots=True)
class CanarySession:
    """One identity, signed in."""

    user_id: UUID
    token: SecretStr


@dataclass(frozen=True, slots=True)
class Leaving:
    """Something a canary made: ``kind`` is ``tasks``, ``generations`` or ``voices``."""

    owner: CanarySession
    kind: str
    id: str


@dataclass(slots=True)
class Leavings:
    """Everything the canaries made, to be deleted whatever happens."""

    items: list[Leaving] = field(default_factory=list)

    def add(self, owner: CanarySession, kind: str, identifier: object) -> None:
        """Remember one thing; anything that is no UUID is ignored (its creation failed)."""
        try:
            self.items.append(Leaving(owner, kind, str(UUID(str(identifier)))))
        except ValueError:
            return

    async def remove(self, client: DeploymentClient, *, within_s: float) -> list[str]:
        """Delete all of it, tasks first, and return one sentence for each thing that stays.

        Parameters
        ----------
        within_s
            Seconds for all deletions together.
        """
        order = {"tasks": 0, "generations": 1, "voices": 2}
        waiting = sorted(self.items, key=lambda item: order[item.kind])
        left: list[str] = []
        try:
            async with asyncio.timeout(within_s):
                while waiting:
                    problem = await _delete(client, waiting[0])
                    done = waiting.pop(0)
                    if problem:
                        left.append(f"{done.kind} {done.id}: {problem}")
        except TimeoutError:
            left += [f"{item.kind} {item.id}: no time left to delete it" for item in waiting]
        self.items.clear()
        return left


async def _delete(client: DeploymentClient, item: Leaving) -> str | None:
    log: list[RequestEvidence] = []
    path = f"/api/{item.kind}/{item.id}"
    try:
        if item.kind == "tasks":
            await client.call("POST", f"{path}/cancel", log=log, token=item.owner.token)
        reply = await client.call("DELETE", path, log=log, token=item.owner.token)
    except TargetError as error:
        return error.message
    gone = 200 <= reply.status < 300 or reply.status == 404
    return None if gone else f"{reply.label} answered {reply.status}"


async def sign_in(client: DeploymentClient, identity: CanaryIdentity) -> CanarySession:
    """Sign ``identity`` in, or up when the deployment does not know it, and learn who it is there.

    Raises
    ------
    TargetError
        The deployment refused; the message says at which step and what to give it instead.
    """
    token = identity.token if isinstance(identity, CanaryToken) else await _token_of(client, identity)
    reply = await client.call("GET", "/api/me", log=[], token=token)
    me = reply.json() if reply.status == 200 else None
    user = me.get("user") if isinstance(me, dict) else None
    try:
        return CanarySession(UUID(user["id"]), token)  # type: ignore[index]  # what is no user is caught
    except (TypeError, KeyError, ValueError, AttributeError):
        raise TargetError(
            f"GET /api/me (status {reply.status}) does not recognise the canary's token. "
            f"Give tokens of this deployment."
        ) from None


async def sign_in_both(
    client: DeploymentClient, identities: CanaryIdentities
) -> tuple[CanarySession, CanarySession]:
    """Sign both identities in.

    Raises
    ------
    TargetError
        One is refused, or both are the same user, which could prove nothing about isolation.
    """
    first, second = await sign_in(client, identities.a), await sign_in(client, identities.b)
    if first.user_id == second.user_id:
        raise TargetError("Both canary identities are the same user; isolation needs two different ones.")
    return first, second


async def _token_of(client: DeploymentClient, account: CanaryAccount) -> SecretStr:
    credentials = {"email": account.email, "password": account.password.get_secret_value()}
    reply = await client.authenticate("/token?grant_type=password", credentials, log=[])
    if not 200 <= reply.status < 300:
        reply = await client.authenticate("/signup", credentials, log=[])
    if not 200 <= reply.status < 300:
        raise TargetError(
            f"{reply.label} answered {reply.status}: the canary account can neither sign in nor sign up. "
            f"Give ready-made tokens, or delete that account."
        )
    return _access_token(reply)


def _access_token(reply: Reply) -> SecretStr:
    session: Any = reply.json()
    token = session.get("access_token") if isinstance(session, dict) else None
    if not isinstance(token, str) or not token:
        raise TargetError(
            f"{reply.label} gave no session (it may want e-mail addresses confirmed). Give ready-made tokens."
        )
    return SecretStr(token)


def remembered_identities(file: Path, base_url: str) -> CanaryIdentities:
    """Return the two accounts used at ``base_url`` before, or new ones, kept in ``file`` (mode 0600).

    Every host gets accounts of its own, so that none learns a password that opens another.

    Raises
    ------
    ConfigurationError
        The file is not readable JSON of this shape, or cannot be written.
    """
    parts = urlsplit(base_url)
    # On this machine ports change with every start; the deployment behind them does not.
    origin = "loopback" if parts.hostname in LOOPBACK_HOSTS else f"{parts.scheme}://{parts.netloc}"
    known = _read_accounts(file)
    try:
        if origin in known:
            a, b = (_account(known[origin][key]) for key in ("a", "b"))
            return CanaryIdentities(a, b)
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} does not hold canary accounts; delete it and try again.") from error
    a, b = _fresh_account(), _fresh_account()
    known[origin] = {key: _record(account) for key, account in (("a", a), ("b", b))}
    _write_private(file, json.dumps(known, indent=2))
    return CanaryIdentities(a, b)


def _read_accounts(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} cannot be read as JSON ({error}); delete it and try again."
        ) from error
    if not isinstance(known, dict):
        raise ConfigurationError(f"{file} does not hold canary accounts; delete it and try again.")
    return known


def _write_private(file: Path, text: str) -> None:
    """Replace ``file`` atomically; nobody but its owner ever reads it, not even while it is written."""
    scratch = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
        scratch.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written ({error.strerror}).") from error


def _fresh_account() -> CanaryAccount:
    email = f"canary-{secrets.token_hex(6)}{CANARY_DOMAIN}"
    return CanaryAccount(email, SecretStr(secrets.token_urlsafe(24)))


def _record(account: CanaryAccount) -> dict[str, str]:
    return {"email": account.email, "password": account.password.get_secret_value()}


def _account(record: Mapping[str, str]) -> CanaryAccount:
    return CanaryAccount(record["email"], SecretStr(record["password"]))
