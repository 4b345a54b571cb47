"""What the product stands on: database, storage, providers. Each is asked, none is changed for good."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from understudy.clock import Clock
from understudy.doctor.findings import Finding, fail, ok, warn
from understudy.errors import ConfigurationError, MigrationError, UnderstudyError
from understudy.providers.base import Provider
from understudy.providers.catalog import build_providers
from understudy.settings import Settings
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Database
from understudy.store.diagnosis import ServerFacts, ask_server
from understudy.store.freeze import read_freeze
from understudy.store.migrations import status
from understudy.store.object_choice import open_objects

OLDEST_SERVER = 150000
ROLES = ("authenticated", "service_role")
#: Tokens are refused when clocks differ by more than their leeway of 10 s.
NOTED_SKEW_S, REFUSED_SKEW_S = 2.0, 10.0
CHECK_TIMEOUT_S = 15.0

DATABASE, STORAGE, PROVIDERS = "database", "storage", "providers"
_START = "Start it (`understudy up` on one machine), or correct DATABASE_URL."


async def look_at_database(settings: Settings, clock: Clock) -> list[Finding]:
    """Whether it answers, is new enough, knows our roles and migrations, and agrees on the time."""
    if settings.missing("database_url"):
        return [fail(DATABASE, "reachable", "DATABASE_URL is not set", _START)]
    try:
        asked_at = clock.now()
        facts = await ask_server(settings.database_url, ROLES)
        skew_s = (facts.now - asked_at).total_seconds() - (clock.now() - asked_at).total_seconds() / 2
    except UnderstudyError as error:
        return [fail(DATABASE, "reachable", error.message, _START)]
    found = [ok(DATABASE, "reachable", f"as {facts.login}"), _version(facts), _roles(facts), _clock(skew_s)]
    if not facts.unusable_roles:
        found += await _schema(settings)
    return found


def _version(facts: ServerFacts) -> Finding:
    if facts.version_num >= OLDEST_SERVER:
        return ok(DATABASE, "version", facts.version)
    return fail(DATABASE, "version", facts.version, "Upgrade the server to Postgres 15 or newer.")


def _roles(facts: ServerFacts) -> Finding:
    if not facts.unusable_roles:
        return ok(DATABASE, "roles", f"{facts.login} may act as {' and '.join(ROLES)}")
    names = ", ".join(facts.unusable_roles)
    fix = f"Run `understudy db migrate`, then as the owner: GRANT {names} TO {facts.login}."
    return fail(DATABASE, "roles", f"{facts.login} may not act as {names}", fix)


def _clock(skew_s: float) -> Finding:
    detail = f"{abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    fix = "Let both machines follow a time server (chrony, systemd-timesyncd)."
    if abs(skew_s) >= REFUSED_SKEW_S:
        return fail(DATABASE, "clock", detail, fix)
    return (
        warn(DATABASE, "clock", detail, fix) if abs(skew_s) >= NOTED_SKEW_S else ok(DATABASE, "clock", detail)
    )


async def _schema(settings: Settings) -> list[Finding]:
    database = None
    try:
        database = await Database.connect(
            settings.database_url, application_name="understudy-doctor", max_size=1
        )
        async with database.service() as conn:
            schema = await status(conn)
            held = None if schema.pending else await read_freeze(conn)
        schema.check_serving()
    except MigrationError as error:
        return [
            fail(
                DATABASE,
                "migrations",
                error.message,
                "Run `understudy db status`, then `understudy db migrate`.",
            )
        ]
    except UnderstudyError as error:
        return [fail(DATABASE, "migrations", error.message, _START)]
    finally:
        if database is not None:
            await database.close()
    found = [ok(DATABASE, "migrations", f"up to {schema.head}")]
    if held is not None and held.frozen:
        fix = "Run `understudy freeze off` when the reason is gone."
        found.append(warn(DATABASE, "writes", f"frozen by {held.actor}: {held.reason}", fix))
    else:
        found.append(ok(DATABASE, "writes", "not frozen"))
    return found


async def look_at_storage(settings: Settings, clock: Clock) -> list[Finding]:
    """Write, read and remove a small object in each bucket."""
    where = str(settings.objects_path) if settings.objects == "local" else "the S3 storage"
    fix = f"Let this user write to {where}, and see that it is not full."
    try:
        objects = open_objects(settings, clock)
    except UnderstudyError as error:
        return [fail(STORAGE, "settings", _first_sentence(error), "See the findings on settings above.")]
    found = []
    for bucket in (REFERENCES, GENERATIONS):
        key, probe = f"doctor/probe/{uuid4()}.wav", b"RIFF doctor"
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                try:
                    await objects.put(bucket, key, probe, "audio/wav")
                    same = await objects.get(bucket, key) == probe
                finally:
                    await objects.delete(bucket, key)
        except (UnderstudyError, OSError, TimeoutError) as error:
            found.append(fail(STORAGE, bucket, _reason(error), fix))
        else:
            found.append(
                ok(STORAGE, bucket, f"a probe was written, read and removed in {where}")
                if same
                else fail(STORAGE, bucket, "a probe came back changed", f"Replace {where}: it damages data.")
            )
    return found


async def look_at_providers(settings: Settings, clock: Clock) -> list[Finding]:
    """Ask both with one cheap call each; the one that serves and the known-good one must answer."""
    try:
        providers = build_providers(settings, clock)
    except ConfigurationError as error:
        return [fail(PROVIDERS, "settings", _first_sentence(error), "See the findings on settings above.")]
    needed = {settings.tts_provider_mode, settings.known_good_provider}
    try:
        return list(
            await asyncio.gather(
                *(look_at_provider(name, found, needed=name in needed) for name, found in providers.items())
            )
        )
    finally:
        for provider in providers.values():
            await provider.close()


async def look_at_provider(name: str, provider: Provider, *, needed: bool) -> Finding:
    """Ask one; silence fails where it is needed, and is noted where it is not."""
    judge = fail if needed else warn
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            result = await provider.check()
    except (UnderstudyError, TimeoutError) as error:
        fix = f"See that {name}'s addresses and keys in the settings are right and that it is up."
        return judge(PROVIDERS, name, _reason(error), fix)
    return ok(PROVIDERS, name, f"{result.detail} in {result.latency_ms} ms")


def _reason(error: Exception) -> str:
    if isinstance(error, UnderstudyError):
        return error.message
    return f"no answer within {CHECK_TIMEOUT_S:.0f} s" if isinstance(error, TimeoutError) else str(error)


def _first_sentence(error: UnderstudyError) -> str:
    return f"{error.message.partition('. ')[0].rstrip('.')}."
