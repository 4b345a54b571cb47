"""One Supabase project as the Management API tells of it: secrets, functions, backups, its state."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from understudy.clock import Clock
from understudy.standins.faults import FaultPanel

#: Documented limits of a secret.
NAME_CHARS, VALUE_CHARS, SECRETS = 256, 24_576, 100
_REF = re.compile(r"[a-z]{20}\Z")
#: Write-ahead log is shipped about every two minutes, and kept for seven days.
_SHIPPED_AFTER = timedelta(seconds=120)
_KEPT = timedelta(days=7)


class ManagementRefusalError(Exception):
    """An answer that is no success: a status and the one ``message``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Secret:
    """One secret; the API tells its digest, never its value."""

    value: str
    updated_at: datetime

    def digest(self, *, opaque: bool) -> str:
        """SHA-256 of the value, or of something that only the platform knows."""
        text = f"platform/{self.value}" if opaque else self.value
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Upload:
    """What one deploy brought: the files by their paths, and the metadata beside them."""

    slug: str
    files: dict[str, bytes]
    metadata: dict[str, Any]
    at: datetime
    agent: str


@dataclass(slots=True)
class Function:
    """One edge function in force."""

    id: str
    slug: str
    name: str
    version: int
    created_at: datetime
    updated_at: datetime
    verify_jwt: bool
    entrypoint_path: str
    files: dict[str, bytes]

    def to_json(self) -> dict[str, Any]:
        """The object of the function routes."""
        content = b"".join(path.encode() + data for path, data in sorted(self.files.items()))
        return {
            "id": self.id,
            "slug": self.slug,
            "name": self.name,
            "status": "ACTIVE",
            "version": self.version,
            "created_at": _milliseconds(self.created_at),
            "updated_at": _milliseconds(self.updated_at),
            "verify_jwt": self.verify_jwt,
            "import_map": False,
            "entrypoint_path": self.entrypoint_path,
            "ezbr_sha256": hashlib.sha256(content).hexdigest(),
        }


@dataclass(slots=True)
class Project:
    """State of one project.

    Parameters
    ----------
    ref
        20 lower-case letters.
    restores
        Points in time that a restore was accepted for, Unix seconds.
    migrations
        Version and name of each that ran.
    """

    ref: str
    name: str
    clock: Clock
    panel: FaultPanel
    secrets: dict[str, Secret] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)
    restores: list[int] = field(default_factory=list)
    migrations: list[tuple[str, str]] = field(default_factory=list)
    created_at: datetime = field(init=False)
    _restoring_until_s: float | None = field(default=None, init=False)
    _restore_failed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not _REF.match(self.ref):
            raise ManagementRefusalError(400, "ref: must be 20 lower-case letters")
        self.created_at = self.clock.now() - timedelta(days=90)

    def to_json(self) -> dict[str, Any]:
        """The object of the project routes."""
        return {
            "id": self.ref,
            "ref": self.ref,
            "organization_id": "standin",
            "organization_slug": "standin",
            "name": self.name,
            "region": "eu-central-1",
            "created_at": self.created_at.isoformat(),
            "status": self.status,
            "database": {
                "host": f"db.{self.ref}.supabase.co",
                "version": "15.8.1.085",
                "postgres_engine": "15",
                "release_channel": "ga",
            },
        }

    @property
    def status(self) -> str:
        """``RESTORING`` while a restore runs."""
        if self._restoring_until_s is not None:
            if self.clock.monotonic_s() < self._restoring_until_s:
                return "RESTORING"
            return "RESTORE_FAILED" if self._restore_failed else "ACTIVE_HEALTHY"
        return "ACTIVE_HEALTHY"

    def list_secrets(self) -> list[dict[str, str]]:
        """Names and digests."""
        opaque = self.panel.strikes("secrets_digest_opaque")
        return [
            {"name": name, "value": secret.digest(opaque=opaque), "updated_at": secret.updated_at.isoformat()}
            for name, secret in sorted(self.secrets.items())
        ]

    def set_secrets(self, wanted: Any) -> None:
        """Create or overwrite, all or nothing."""
        pairs = _pairs(wanted)
        if len({*self.secrets, *pairs}) > SECRETS:
            raise ManagementRefusalError(400, f"a project holds at most {SECRETS} secrets")
        now = self.clock.now()
        if not self.panel.strikes("secrets_set_lies"):
            self.secrets |= {name: Secret(value, now) for name, value in pairs.items()}
        if self.panel.strikes("secrets_set_moves_others"):
            for name in sorted(self.secrets.keys() - pairs.keys())[:1]:
                self.secrets[name] = Secret(uuid4().hex, now)

    def delete_secrets(self, names: Any) -> None:
        """Remove those that are there."""
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ManagementRefusalError(400, "expected an array of names")
        for name in names:
            self.secrets.pop(name, None)

    def deploy(self, upload: Upload) -> Function:
        """Put what was uploaded into force, under the next version."""
        self.uploads.append(upload)
        before, now = self.functions.get(upload.slug), self.clock.now()
        verify_jwt = upload.metadata.get("verify_jwt", before.verify_jwt if before else True)
        if self.panel.strikes("deploy_flips_verify_jwt"):
            verify_jwt = not verify_jwt
        deployed = Function(
            id=before.id if before else str(uuid4()),
            slug=upload.slug,
            name=str(upload.metadata.get("name") or upload.slug),
            version=before.version + 1 if before else 1,
            created_at=before.created_at if before else now,
            updated_at=now,
            verify_jwt=bool(verify_jwt),
            entrypoint_path=str(upload.metadata["entrypoint_path"]),
            files=upload.files,
        )
        if before is not None and self.panel.strikes("deploy_lies"):
            return before
        self.functions[upload.slug] = deployed
        return deployed

    def function(self, slug: str) -> Function:
        """The function of that name."""
        if slug not in self.functions:
            raise ManagementRefusalError(404, "Function not found")
        return self.functions[slug]

    @property
    def pitr_window(self) -> tuple[int, int]:
        """First and last second that a restore may name."""
        now = self.clock.now()
        return int((now - _KEPT).timestamp()), int((now - _SHIPPED_AFTER).timestamp())

    def backups(self) -> dict[str, Any]:
        """The answer of the backups route."""
        enabled = not self.panel.strikes("pitr_disabled")
        earliest, latest = self.pitr_window
        days = [self.clock.now().replace(hour=2, minute=0, second=0) - timedelta(days=n) for n in (1, 2, 3)]
        daily = [
            {
                "id": 900 - n,
                "is_physical_backup": False,
                "status": "COMPLETED",
                "inserted_at": day.isoformat(),
            }
            for n, day in enumerate(days)
        ]
        physical = {
            "earliest_physical_backup_date_unix": earliest,
            "latest_physical_backup_date_unix": latest,
        }
        return {
            "region": "eu-central-1",
            "walg_enabled": enabled,
            "pitr_enabled": enabled,
            "backups": [] if enabled else daily,
            "physical_backup_data": physical if enabled else {},
        }

    def restore(self, wanted: Any) -> None:
        """Begin a restore in place."""
        point = wanted.get("recovery_time_target_unix") if isinstance(wanted, dict) else None
        if not isinstance(point, int):
            raise ManagementRefusalError(400, "recovery_time_target_unix: must be an integer")
        if self.panel.strikes("pitr_disabled") or self.panel.strikes("restore_refused"):
            raise ManagementRefusalError(400, "PITR is not enabled for this project.")
        earliest, latest = self.pitr_window
        if not earliest <= point <= latest:
            raise ManagementRefusalError(400, "Recovery time target is outside of the recovery window.")
        if self.status == "RESTORING":
            raise ManagementRefusalError(400, "The project is being restored already.")
        self.restores.append(point)
        self._restoring_until_s = self.clock.monotonic_s() + self.panel.number("restore_s")
        self._restore_failed = self.panel.strikes("restore_fails")

    def finish_restore(self) -> None:
        """End a restore under way now, for those who do not want to wait."""
        if self._restoring_until_s is not None:
            self._restoring_until_s = self.clock.monotonic_s()

    def health(self, services: list[str]) -> list[dict[str, Any]]:
        """State of each service that was asked about."""
        status = {"RESTORING": "COMING_UP", "RESTORE_FAILED": "UNHEALTHY"}.get(self.status, self.status)
        if "db" in services and self.panel.strikes("database_unhealthy"):
            status = "UNHEALTHY"
        return [{"name": name, "healthy": status == "ACTIVE_HEALTHY", "status": status} for name in services]


def _pairs(wanted: Any) -> dict[str, str]:
    if not isinstance(wanted, list):
        raise ManagementRefusalError(400, "expected an array")
    pairs: dict[str, str] = {}
    for item in wanted:
        name, value = (item.get("name"), item.get("value")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not name or len(name) > NAME_CHARS:
            raise ManagementRefusalError(400, f"name: must be 1 to {NAME_CHARS} characters")
        if name.startswith("SUPABASE_"):
            raise ManagementRefusalError(400, "name: must not start with the SUPABASE_ prefix")
        if not isinstance(value, str) or len(value) > VALUE_CHARS:
            raise ManagementRefusalError(400, f"value: must be at most {VALUE_CHARS} characters")
        pairs[name] = value
    return pairs


def _milliseconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
