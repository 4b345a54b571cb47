"""Reading the Management API: the proof of what the CLI says it did.

One endpoint lets 120 requests a minute through and answers 429 for the rest of it; that is waited out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from understudy.clock import Clock
from understudy.errors import TargetError
from understudy.restoration.targets.supabase.project import SupabaseProject

#: Attempts on a connection that breaks or an answer 5xx; reading is harmless to repeat.
_TRIES = 3
_MOST_BYTES = 4 * 1024 * 1024
_RESET_HEADERS = ("X-RateLimit-Reset", "Retry-After")


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """What the API tells of a secret: SHA-256 of its value as far as anybody knows, and when it was set."""

    digest: str
    updated_at: str | None


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """What the API tells of a function."""

    version: int
    updated_at: int
    status: str
    verify_jwt: bool | None

    def moved_since(self, version: int, updated_at: int) -> bool:
        """Whether it was deployed anew."""
        return self.version > version or self.updated_at > updated_at


@dataclass(frozen=True, slots=True)
class BackupsRecord:
    """What can be restored: a window of seconds with PITR, else daily backups that this API cannot apply."""

    pitr_enabled: bool
    earliest: datetime | None
    latest: datetime | None
    daily: tuple[tuple[str, datetime, str], ...]


class ManagementApi:
    """Reads of one project; each raises :class:`understudy.errors.TargetError` when there is no answer."""

    def __init__(self, project: SupabaseProject, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._asked_s: dict[str, float] = {}

    async def secrets(self) -> dict[str, SecretDigest]:
        """Digests by name."""
        listed = await self._read("/secrets")
        return {
            str(item["name"]): SecretDigest(str(item["value"]), item.get("updated_at"))
            for item in _objects(listed, "secrets", "name", "value")
        }

    async def function(self) -> FunctionRecord | None:
        """The project's function, or None before its first deployment."""
        listed = await self._read("/functions")
        for item in _objects(listed, "functions", "slug", "version", "updated_at"):
            if item["slug"] == self._project.function:
                return FunctionRecord(
                    int(item["version"]),
                    int(item["updated_at"]),
                    str(item.get("status")),
                    item.get("verify_jwt"),
                )
        return None

    async def status(self) -> str:
        """State of the project: ``ACTIVE_HEALTHY``, ``RESTORING``, ..."""
        told = await self._read("")
        status = told.get("status") if isinstance(told, dict) else None
        if not isinstance(status, str):
            raise TargetError("The Management API names no status of the project.")
        return status

    async def database_healthy(self) -> bool:
        """Whether the platform calls the database healthy."""
        told = _objects(await self._read("/health", {"services": "db"}), "health", "name")
        return any(item["name"] == "db" and item.get("status") == "ACTIVE_HEALTHY" for item in told)

    async def backups(self) -> BackupsRecord:
        """What can be restored."""
        told = await self._read("/database/backups")
        if not isinstance(told, dict):
            raise TargetError("The Management API's list of backups is not understood.")
        window = told.get("physical_backup_data") or {}
        listed = _objects(told.get("backups") or [], "backups", "id", "status", "inserted_at")
        daily = tuple((str(item["id"]), _time(item["inserted_at"]), str(item["status"])) for item in listed)
        return BackupsRecord(
            bool(told.get("pitr_enabled")),
            _second(window.get("earliest_physical_backup_date_unix")),
            _second(window.get("latest_physical_backup_date_unix")),
            daily,
        )

    async def query(self, statement: str) -> list[dict[str, Any]]:
        """Rows of a read-only statement."""
        return _objects(await self._read("/database/query/read-only", query=statement), "rows")

    async def _read(
        self, path: str, parameters: Mapping[str, str] | None = None, *, query: str | None = None
    ) -> Any:
        url = f"{self._project.api_url.rstrip('/')}/v1/projects/{self._project.ref}{path}"
        patience, tries = self._project.patience, 0
        until_s = self._clock.monotonic_s() + patience.throttled_s
        while True:
            await self._pace(path)
            try:
                status, body, reset_s = await self._ask(url, parameters, query)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status, body, reset_s = 0, type(error).__name__.encode(), None
            if status in {200, 201}:
                break
            if status == 429:
                wait_s = max(1.0, reset_s or patience.look_every_s)
                if self._clock.monotonic_s() + wait_s > until_s:
                    raise TargetError(
                        f"The Management API's rate limit still refuses GET {path or '/'} after "
                        f"{patience.throttled_s:g} s. Who else uses {self._project.token_variable}?"
                    )
                await self._clock.sleep(wait_s)
                continue
            tries += 1
            if 0 < status < 500 or tries == _TRIES:
                raise self._refused(path, status, body)
            await self._clock.sleep(float(2 ** (tries - 1)))
        try:
            return json.loads(body)
        except ValueError:
            raise TargetError(f"The Management API's answer to {path or '/'} is not JSON.") from None

    async def _pace(self, path: str) -> None:
        now_s = self._clock.monotonic_s()
        due_s = max(now_s, self._asked_s.get(path, -math.inf) + self._project.patience.pace_s)
        self._asked_s[path] = due_s
        if due_s > now_s:
            await self._clock.sleep(due_s - now_s)

    async def _ask(
        self, url: str, parameters: Mapping[str, str] | None, query: str | None
    ) -> tuple[int, bytes, float | None]:
        headers = {"Authorization": f"Bearer {self._project.token.get_secret_value()}"}
        timeout = aiohttp.ClientTimeout(total=self._project.patience.request_s)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(
                "GET" if query is None else "POST",
                url,
                params=dict(parameters or {}),
                json=None if query is None else {"query": query},
                allow_redirects=False,
            ) as response,
        ):
            body = await response.content.read(_MOST_BYTES)
            while len(body) < _MOST_BYTES and (more := await response.content.read(_MOST_BYTES - len(body))):
                body += more
            return response.status, body, _seconds(response.headers)

    def _refused(self, path: str, status: int, body: bytes) -> TargetError:
        shown = f"/v1/projects/{self._project.ref}{path}"
        if status == 0:
            return TargetError(f"The Management API cannot be reached ({body.decode()}): {shown}.")
        told, token = "", self._project.token.get_secret_value()
        with suppress(ValueError, KeyError, TypeError):
            told = str(json.loads(body)["message"])[:200].replace(token, "[secret]")
        advice = {
            401: f" Is the token of {self._project.token_variable} valid?",
            403: f" The token of {self._project.token_variable} lacks the permission.",
            404: " Is the project's reference right, and does the token's owner belong to its organization?",
        }.get(status, "")
        return TargetError(
            f"The Management API answered {status} to {shown}: {told or 'no message'}.{advice}"
        )


def _objects(listed: Any, what: str, *fields: str) -> list[dict[str, Any]]:
    if not isinstance(listed, list) or not all(
        isinstance(item, dict) and all(name in item for name in fields) for item in listed
    ):
        raise TargetError(f"The Management API's list of {what} is not understood.")
    return listed


def _seconds(headers: Mapping[str, str]) -> float | None:
    for name in _RESET_HEADERS:
        try:
            return float(headers[name])
        except (KeyError, ValueError):
            continue
    return None


def _second(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None


def _time(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise TargetError("A backup of the project has no readable time.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
