"""Secrets of a project: set by the CLI, believed by their digests, and nothing else may have moved.

The API tells no value. A public one that was set from here is remembered with the digest seen then; who is
asked for it later compares the digest first.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.clock import Clock
from understudy.errors import TargetError
from understudy.logs import get_logger
from understudy.restoration.targets.base import MODE_VARIABLE
from understudy.restoration.targets.supabase.cli import CliAnswer, SupabaseCli
from understudy.restoration.targets.supabase.management import ManagementApi, SecretDigest
from understudy.restoration.targets.supabase.project import SupabaseProject
from understudy.restoration.targets.supabase.state import ProjectState

#: Settings that are no secret: only these may stand in an argument list, and only these are remembered.
PUBLIC_NAMES = (
    MODE_VARIABLE,
    "DASHSCOPE_BASE_URL",
    "DASHSCOPE_REGION",
    "QWEN_VC_TARGET_MODEL",
    "QWEN_VD_TARGET_MODEL",
    "QWEN_MAX_TEXT_CHARS",
)
#: Values that a digest gives away without any record.
_CANDIDATES = {MODE_VARIABLE: ("modal", "qwen")}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z")
_MOST_CHARS = 24_576

log = get_logger(__name__)


class ProjectSecrets:
    """Reads and writes the secrets that edge functions get as their environment."""

    def __init__(
        self,
        project: SupabaseProject,
        cli: SupabaseCli,
        api: ManagementApi,
        state: ProjectState,
        clock: Clock,
    ) -> None:
        self._project = project
        self._cli = cli
        self._api = api
        self._state = state
        self._clock = clock

    async def read(self, names: Sequence[str]) -> dict[str, str]:
        """Values of ``names`` as far as their digests prove them; a value nobody knows is left out."""
        digests = await self._api.secrets()
        self._check_stopped(digests)
        remembered, found = self._state.section("values"), {}
        for name in names:
            if name not in digests or name not in PUBLIC_NAMES:
                continue
            digest = digests[name].digest
            entry = remembered.get(name)
            if entry is not None and digest in {entry["digest"], _sha256(entry["value"])}:
                found[name] = entry["value"]
                continue
            for value in _CANDIDATES.get(name, ()):
                if _sha256(value) == digest:
                    found[name] = value
        return found

    async def names(self) -> frozenset[str]:
        """Names of every secret of the project."""
        return frozenset(await self._api.secrets())

    async def check_stopped(self) -> None:
        """Raise while an earlier write has moved what it should not, and nobody has looked."""
        if self._state.stopped() is not None:
            self._check_stopped(await self._api.secrets())

    async def write(self, changes: Mapping[str, str]) -> None:
        """Set ``changes`` and prove it: exactly these digests move.

        Raises
        ------
        TargetError
            A name or value that cannot be carried, the CLI refused, a value is not in force, or another
            secret moved as well: then nothing more is changed until a person has looked.
        """
        if not changes:
            return
        for name, value in changes.items():
            _check(name, value)
        before = await self._api.secrets()
        self._check_stopped(before)
        missing = self._missing(changes, before, before)
        if not missing:
            self._remember(changes, before)
            return
        answer = await self._set(changes)
        after = await self._settled(changes, before, answer)
        self._check_others(changes, before, after)
        missing = self._missing(changes, before, after)
        if missing:
            why = answer.message or "the CLI reported success"
            raise TargetError(f"`supabase secrets set` did not change {', '.join(missing)}: {why}.")
        if not answer.ok:
            log.warning("secrets_set_outcome_read_back", names=sorted(changes), said=answer.message)
        self._remember(changes, after)

    async def _set(self, changes: Mapping[str, str]) -> CliAnswer:
        """Run the CLI in an empty folder, so that no config.toml sends secrets of its own."""
        plain = [f"{name}={value}" for name, value in changes.items() if name in PUBLIC_NAMES]
        hidden = {name: value for name, value in changes.items() if name not in PUBLIC_NAMES}
        until_s = self._clock.monotonic_s() + self._project.patience.throttled_s
        with tempfile.TemporaryDirectory(prefix="understudy-secrets-") as folder:
            empty = Path(folder) / "empty"
            empty.mkdir()
            arguments = ["secrets", "set", *plain]
            if hidden:
                file = Path(folder) / "values.env"
                file.touch(mode=0o600)
                file.write_text("".join(f"{name}={_quoted(value)}\n" for name, value in hidden.items()))
                arguments += ["--env-file", str(file)]
            wait_s = self._project.patience.look_every_s
            while True:
                answer = await self._cli.run(*arguments, workdir=empty, hide=list(hidden.values()))
                if not answer.throttled or self._clock.monotonic_s() + wait_s > until_s:
                    return answer
                await self._clock.sleep(wait_s)
                wait_s = min(2 * wait_s, 30.0)

    async def _settled(
        self, changes: Mapping[str, str], before: Mapping[str, SecretDigest], answer: CliAnswer
    ) -> dict[str, SecretDigest]:
        """Digests afterwards; one that was not refused outright gets time to show."""
        until_s = self._clock.monotonic_s() + self._project.patience.settle_s
        while True:
            after = await self._api.secrets()
            refused = not answer.ok and not answer.timed_out
            if refused or not self._missing(changes, before, after) or self._clock.monotonic_s() >= until_s:
                return after
            await self._clock.sleep(self._project.patience.look_every_s)

    def _missing(
        self,
        changes: Mapping[str, str],
        before: Mapping[str, SecretDigest],
        after: Mapping[str, SecretDigest],
    ) -> list[str]:
        """Names not in force.

        That the digest is SHA-256 is no promise of the API: one that is not must at least have moved.
        """
        missing = []
        for name, value in changes.items():
            if name not in after:
                missing.append(name)
                continue
            proven = after[name].digest == _sha256(value)
            if not proven and before.get(name) == after[name]:
                missing.append(name)
        return missing

    def _check_others(
        self,
        changes: Mapping[str, str],
        before: Mapping[str, SecretDigest],
        after: Mapping[str, SecretDigest],
    ) -> None:
        moved = sorted(
            name
            for name in (before.keys() | after.keys()) - changes.keys()
            if _digest(before, name) != _digest(after, name)
        )
        if not moved:
            return
        document = {
            "at": self._clock.now().isoformat(),
            "set": sorted(changes),
            "before": {name: _digest(before, name) for name in moved},
            "after": {name: _digest(after, name) for name in moved},
        }
        self._state.stop(document)
        raise TargetError(self._stop_text(document))

    def _check_stopped(self, digests: Mapping[str, SecretDigest]) -> None:
        document = self._state.stopped()
        if document is None:
            return
        before = document.get("before")
        if before and all(_digest(digests, name) == digest for name, digest in before.items()):
            self._state.go_on()
            return
        raise TargetError(self._stop_text(document))

    def _stop_text(self, document: Mapping[str, object]) -> str:
        moved, wanted = document.get("before"), document.get("set")
        names = ", ".join(moved) if isinstance(moved, dict) else "unknown secrets"
        set_names = ", ".join(map(str, wanted)) if isinstance(wanted, list) else "a secret"
        return (
            f"Stopped: while {set_names} was set, other secrets of the project changed too: {names}. Find "
            f"out who changed them; then put them back, or remove {self._state.stopped_file} to go on."
        )

    def _remember(self, changes: Mapping[str, str], digests: Mapping[str, SecretDigest]) -> None:
        for name, value in changes.items():
            if name in PUBLIC_NAMES:
                entry = {
                    "value": value,
                    "digest": digests[name].digest,
                    "at": self._clock.now().isoformat(),
                }
                self._state.record("values", name, entry)


def _digest(digests: Mapping[str, SecretDigest], name: str) -> str | None:
    return digests[name].digest if name in digests else None


def _sha256(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _check(name: str, value: str) -> None:
    if not _NAME.match(name):
        raise TargetError(f"{name!r} is not the name of a secret.")
    if name.startswith("SUPABASE_"):
        raise TargetError(f"{name}: the platform sets the variables that begin with SUPABASE_ itself.")
    if len(value) > _MOST_CHARS:
        raise TargetError(f"The value of {name} is longer than the {_MOST_CHARS} characters of a secret.")
    if name not in PUBLIC_NAMES:
        _quoted(value, name)


def _quoted(value: str, name: str = "a secret") -> str:
    """``value`` as the CLI's dotenv reader takes it literally: it knows no escape for a quote."""
    if "\0" not in value and "\r" not in value:
        for quote in ("'", "`"):
            if quote not in value:
                return f"{quote}{value}{quote}"
        if '"' not in value and "\\" not in value:
            return f'"{value}"'
    raise TargetError(
        f"The value of {name} cannot be written to an environment file as the Supabase CLI reads it: it "
        f"holds every kind of quote, or a control character. Set it in the dashboard."
    )
