"""Rung 1: the known-good settings again, and every process started anew with them.

What is put back is what the environment file was when a person recorded it as known-good, if its digest still
says so. Values never stand in the journal, names do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from understudy.errors import ConfigurationError, ProviderError
from understudy.providers.catalog import build_providers
from understudy.releases.kept_environment import environment_of_record
from understudy.restoration.actions.env_switch import Redeploy
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.restoration.targets.base import MODE_VARIABLE
from understudy.settings import LOOPBACK_HOSTS, Settings, settings_from
from understudy.store.guard import KnownGood
from understudy.store.mode import list_processes, read_mode

#: Settings that differ for good reasons, each with the reason; never written here.
UNTOUCHED: Mapping[str, str] = {
    "DATABASE_URL": "which database serves is the database rung's to say",
    "MIGRATION_DATABASE_URL": "which database serves is the database rung's to say",
    "UNDERSTUDY_HOME": "where this installation lies",
    "PUBLIC_BASE_URL": "where this installation answers",
    "GUARD_STORE_URL": "where the guard keeps this very run",
    MODE_VARIABLE: "which provider serves is the env switch's to say",
}
LOCAL_ADDRESS = "an address of this machine, chosen at each start"
RECORD = 'understudy known-good record --reason "..."'


class Precheck:
    """The record must be whole, and its settings usable now; otherwise nothing is written."""

    name = "precheck"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the record."""
        record = run.known_good_record
        return {
            "record": record.seq if record else None,
            "environment_sha256": record.document.get("environment_sha256") if record else None,
            "untouched": dict(UNTOUCHED),
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Read the record, compare it, and ask a provider whose secret or address would change."""
        record, kept = _kept(run)
        present = await run.target.read_env(_names(kept))
        changes, untouched = _difference(kept, present)
        evidence: dict[str, Any] = {
            "record": record.seq,
            "recorded_at": record.at.isoformat(),
            "changed": sorted(changes),
            "untouched": untouched,
            "added_since": sorted(set(present) - set(kept)),
        }
        try:
            settings = settings_from(present | changes)
        except ConfigurationError as error:
            raise StepError(
                f"The known-good settings contradict what stays as it is: {error.message}",
                hopeless=True,
                evidence=evidence,
            ) from error
        checks = await _ask_providers(run, settings, changes)
        return evidence | {"secrets": _secrets(record, settings, untouched), "checks": checks}


class WriteSettings:
    """Write what differs, in one atomic change of the durable environment."""

    name = "write_settings"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the settings that are put back where they differ."""
        record = run.known_good_record
        settings = record.document.get("settings") if record else None
        secrets = record.document.get("secret_digests") if record else None
        names = sorted({*(settings or ()), *(secrets or ())} - set(UNTOUCHED))
        return {"put_back_where_they_differ": names}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the file is its own key
        """Compare the durable environment with the record."""
        record, kept = _kept(run)
        changes, untouched = _difference(kept, await run.target.read_env(_names(kept)))
        if changes:
            return Sighting(Progress.ABSENT, f"not as recorded: {', '.join(sorted(changes))}")
        return Sighting(
            Progress.DONE, evidence={"record": record.seq, "as_recorded": len(kept), "untouched": untouched}
        )

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Write them."""
        _, kept = _kept(run)
        changes, _ = _difference(kept, await run.target.read_env(_names(kept)))
        await run.target.write_env(changes)


class ReadBack:
    """Every live process must say that it holds the secrets of the record; they are told by digest."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must agree."""
        return {"expect": "the record's secret digests", "of": list(run.target.kinds)}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Compare."""
        record, kept = _kept(run)
        present = await run.target.read_env(_names(kept))
        changes, untouched = _difference(kept, present)
        recorded = {name: digest for name, digest in _digests(record).items() if name not in untouched}
        async with (await run.connect()).service() as conn:
            processes = await list_processes(conn, run.stale_after_s)
        missing = [f"{name} in the environment is not as recorded" for name in sorted(changes)]
        seen = []
        for kind in run.target.kinds:
            live = [process for process in processes if process.kind == kind]
            if not live:
                missing.append(f"no live {kind} reports")
            for process in live:
                held = process.secret_digests
                other = sorted(name for name, digest in recorded.items() if held.get(name, digest) != digest)
                seen.append({"kind": kind, "pid": process.pid, "held": len(held), "other": other})
                missing += [f"{kind} {process.pid} holds another {name}" for name in other]
        evidence = {"record": record.seq, "compared": sorted(recorded), "processes": seen}
        if missing:
            return Sighting(Progress.PENDING, "; ".join(missing), evidence)
        return Sighting(Progress.DONE, evidence=evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


class Verification:
    """The smoke suite and the checklist from outside, of the provider that serves: this moves none."""

    name = "verification"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what is expected."""
        return {"smoke": "eight checks", "expect": "the provider that serves"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # nothing remembers a check
        """Never done by itself: an old answer proves nothing."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Run every check; one that is not green fails the step."""
        async with (await run.connect()).service() as conn:
            row = await read_mode(conn)
        verified = await run.verify(await run.target.base_url(), row.value if row else run.known_good)
        if not verified.ok:
            raise StepError(verified.detail, evidence=verified.evidence)
        return verified.evidence


#: The rung, in order; the evidence step comes before it.
STEPS: tuple[Step, ...] = (Precheck(), WriteSettings(), Redeploy(), ReadBack(), Verification())
#: A file without its processes is the very mismatch: an order to stop does not part them.
TOGETHER: tuple[tuple[str, ...], ...] = (("write_settings", "redeploy"),)


def _kept(run: Restoration) -> tuple[KnownGood, dict[str, str]]:
    """Return the newest record and the environment that it was made of."""
    record = run.known_good_record
    if record is None:
        raise StepError(
            f"Nothing is recorded as known-good, so there are no settings to go back to. While things are "
            f"well: {RECORD}",
            hopeless=True,
        )
    if run.home is None or not run.target.capabilities.live_switch:
        raise StepError(
            f"Settings of the target {run.target.name} are put back by hand: its secrets cannot be read from "
            f"here.",
            hopeless=True,
        )
    try:
        kept = environment_of_record(run.home, record.seq, str(record.document.get("environment_sha256")))
        digests = settings_from(kept).secret_digests()
    except ConfigurationError as error:
        raise StepError(error.message, hopeless=True) from error
    other = sorted(name for name, digest in _digests(record).items() if digests.get(name) != digest)
    if other:
        raise StepError(
            f"The kept copy of record #{record.seq} holds another {', '.join(other)} than was recorded. "
            f"Nothing was written.",
            hopeless=True,
        )
    return record, kept


def _digests(record: KnownGood) -> dict[str, str]:
    return dict(record.document.get("secret_digests") or {})


def _names(kept: Mapping[str, str]) -> list[str]:
    """Everything that is recorded, and everything that a process would read."""
    return sorted({*kept, *(name.upper() for name in Settings.model_fields)})


def _difference(kept: Mapping[str, str], present: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is to be written, and by name why something that differs is not."""
    changes, untouched = {}, {}
    for name, value in sorted(kept.items()):
        if present.get(name) == value:
            continue
        if name in UNTOUCHED:
            untouched[name] = UNTOUCHED[name]
        elif _is_here(value) and _is_here(present.get(name, "")):
            untouched[name] = LOCAL_ADDRESS
        else:
            changes[name] = value
    return changes, untouched


def _is_here(value: str) -> bool:
    """Whether a value is an address of this machine: which port it has is chosen at each start."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme) and (parts.hostname or "") in LOOPBACK_HOSTS


def _secrets(record: KnownGood, settings: Settings, untouched: Mapping[str, str]) -> dict[str, Any]:
    """Say which secrets of the record would be held again."""
    now, recorded = settings.secret_digests(), _digests(record)
    return {
        "recorded": sorted(recorded),
        "held_again": sorted(name for name, digest in recorded.items() if now.get(name) == digest),
        "untouched": sorted(set(untouched) & set(recorded)),
    }


async def _ask_providers(run: Restoration, settings: Settings, changes: Mapping[str, str]) -> dict[str, str]:
    """Ask the known-good provider, and any whose settings would change, with the settings to come."""
    try:
        providers = build_providers(settings, run.clock)
    except ConfigurationError as error:
        raise StepError(f"The known-good settings cannot be used: {error.message}", hopeless=True) from error
    touched = {"modal": "MODAL_", "qwen": "DASHSCOPE_"}
    answers = {}
    try:
        for name, provider in sorted(providers.items()):
            prefix = touched.get(name, "")
            if name != run.known_good and not any(changed.startswith(prefix) for changed in changes):
                continue
            try:
                answers[name] = (await provider.check()).detail
            except ProviderError as error:
                raise StepError(
                    f"{name} refuses the known-good settings too ({error.code}: {error.message}): was a "
                    f"secret rotated since? Record known-good again after a rotation.",
                ) from error
    finally:
        for provider in providers.values():
            await provider.close()
    return answers
