"""The faults of the detection benchmark: how each is put into a running service, and taken out again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import psycopg

from understudy.demo.service import Service
from understudy.demo.tenant import Tenant
from understudy.drilling.players import Heard, Players
from understudy.envfile import read_env_file, set_in_env_file
from understudy.lanes import fingerprint
from understudy.rollout.mode import set_mode
from understudy.store.database import Database

CANARY = "canary-of-the-bench-4711"
WARM_S = 6.0


class Lane(Enum):
    """What may run beside what: traffic and playback faults take turns, the rest disturbs nobody."""

    TRAFFIC = "traffic"
    PLAYBACK = "playback"
    ALONE = "alone"


@dataclass
class Stage:
    """What the faults are injected into."""

    service: Service
    http: aiohttp.ClientSession
    database: Database
    owner: psycopg.AsyncConnection[dict[str, Any]]
    tenants: list[tuple[Tenant, str]]
    players: Players | None = None
    planted: dict[str, Any] = field(default_factory=dict)

    async def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run one statement as the schema's owner and return its rows."""
        cursor = await self.owner.execute(statement.encode(), values)
        return list(await cursor.fetchall()) if cursor.description else []

    async def new_epoch(self) -> None:
        """Qwen again, under an epoch that has seen no failure, and healthy traffic on it."""
        for mode in ("modal", "qwen"):
            await set_mode(self.database, mode, actor="bench", reason="a fresh epoch")
        await asyncio.sleep(WARM_S)


Inject = Callable[[Stage, int], Awaitable[str | None]]


async def _nothing(_: Stage) -> None:
    return None


async def _new_epoch(on: Stage) -> None:
    await on.new_epoch()


@dataclass(frozen=True)
class Cell:
    """One fault.

    Parameters
    ----------
    expects
        Pairs of trigger and check that must say ``verdict``.
    inject
        Puts the fault in; returns the subject of the finding to wait for, or None for any.
    clears
        Whether the verdict goes away once the fault is taken out; otherwise each run has its own subject.
    """

    lane: Lane
    fault: str
    expects: tuple[tuple[str, str], ...]
    inject: Inject
    clear: Callable[[Stage, int], Awaitable[None]]
    prepare: Callable[[Stage], Awaitable[None]] = _nothing
    clears: bool = True
    verdict: str = "FAIL"


# --- speech that fails ---


def _broken_speech(failure_class: str, fault: str) -> Cell:
    async def inject(on: Stage, _: int) -> str | None:
        await on.service.break_qwen(on.http, **{fault: 1})
        return None

    async def clear(on: Stage, _: int) -> None:
        await on.service.break_qwen(on.http, **{fault: 0})

    return Cell(
        Lane.TRAFFIC,
        f"{failure_class}: {fault}",
        (("success_rate", "rate"), ("realtime_failures", failure_class)),
        inject,
        clear,
        prepare=_new_epoch,
    )


# --- what players report ---


def _bad_playback(check: str, heard: Heard) -> Cell:
    async def inject(on: Stage, _: int) -> str | None:
        assert on.players is not None
        on.players.heard = heard
        return None

    async def clear(on: Stage, _: int) -> None:
        assert on.players is not None
        on.players.heard = Heard.ENDED

    return Cell(
        Lane.PLAYBACK,
        f"players report {heard.value}",
        (("playback", check),),
        inject,
        clear,
        prepare=_new_epoch,
    )


# --- money ---

_CALL = """
insert into understudy.provider_calls (at, operation, provider, model, outcome, latency_ms, characters,
    cost_microusd, user_id, mode_epoch, subject_digest)
select clock_timestamp(), %(operation)s, 'qwen', 'bench', 'ok', 100, %(characters)s, %(cost)s, %(user)s,
       (select epoch from understudy.provider_mode), %(digest)s
from generate_series(1, %(count)s)
"""


async def _calls(on: Stage, user: UUID, **more: Any) -> None:
    values: dict[str, Any] = {
        "operation": "design",
        "characters": 0,
        "cost": 200_000,
        "digest": None,
        "count": 1,
    }
    await on.sql(_CALL, user=user, **(values | more))


async def _repeat_designs(on: Stage, run: int) -> str | None:
    user = uuid4()
    digest = hashlib.sha256(f"a calm reader {run}".encode()).hexdigest()
    await _calls(on, user, count=8, digest=digest)
    return str(user)


async def _run_away(on: Stage, _: int) -> str | None:
    user = uuid4()
    await _calls(on, user, operation="speak", characters=60_000, cost=1, count=10)
    return str(user)


async def _leave(_: Stage, __: int) -> None:
    return None


# --- data ---

_COPY = """
insert into {table} select (jsonb_populate_record(t, %(changes)s::jsonb)).* from {table} t where {where}
order by created_at limit 1 returning id
"""


def _copied_row(check: str, fault: str, table: str, changes: dict[str, Any], where: str = "true") -> Cell:
    """A row like a healthy one, an hour old, with something missing."""

    async def inject(on: Stage, _: int) -> str | None:
        identifier = str(uuid4())
        hour = {"created_at": "2026-01-01T00:00:00Z", "id": identifier, **changes}
        while not await on.sql(_COPY.format(table=table, where=where), changes=json.dumps(hour)):
            await asyncio.sleep(0.2)  # nothing like it is there yet
        on.planted[check] = identifier
        return None

    async def clear(on: Stage, _: int) -> None:
        await on.sql(f"delete from {table} where id = %(id)s", id=on.planted.pop(check))

    return Cell(Lane.ALONE, fault, (("data_integrity", check),), inject, clear)


async def _drop_column(on: Stage, _: int) -> str | None:
    await on.sql("alter table understudy.valve_history rename column reason to reason_lost")
    return None


async def _put_column_back(on: Stage, _: int) -> None:
    await on.sql("alter table understudy.valve_history rename column reason_lost to reason")


# --- secrets ---


async def _another_secret(on: Stage, _: int) -> str | None:
    instance = uuid4()
    on.planted["process"] = instance

    async def live() -> None:
        while True:
            await on.sql(
                """
                insert into understudy.processes (instance, kind, pid, host, mode_value, mode_epoch,
                    mode_state, env_value, started_at, seen_at, secret_digests)
                select %(instance)s, 'worker', 1, host, mode_value, mode_epoch, mode_state, env_value, now(),
                       clock_timestamp(), secret_digests || '{"JWT_SECRET": "0123456789abcdef"}'
                from understudy.processes where kind = 'api' order by seen_at desc limit 1
                on conflict (instance) do update set seen_at = excluded.seen_at
                """,
                instance=instance,
            )
            await asyncio.sleep(1.0)

    on.planted["living"] = asyncio.create_task(live())
    return None


async def _one_secret(on: Stage, _: int) -> None:
    on.planted["living"].cancel()
    await asyncio.gather(on.planted.pop("living"), return_exceptions=True)
    await on.sql("delete from understudy.processes where instance = %(i)s", i=on.planted.pop("process"))


async def _leak(on: Stage, _: int) -> str | None:
    """A real one: the request log would name the path."""
    async with on.http.get(f"{on.service.api}/api/tasks/{CANARY}-{secrets.token_hex(4)}") as answer:
        await answer.read()
    return None


async def _forget_leaks(on: Stage, _: int) -> None:
    await asyncio.sleep(2.0)
    await on.sql("delete from understudy.secret_hits")


async def _wrong_region(on: Stage, _: int) -> str | None:
    path = on.service.home / "understudy.env"
    key = read_env_file(path)["DASHSCOPE_API_KEY"]
    set_in_env_file(path, {"DASHSCOPE_KEY_FINGERPRINTS": f"cn:{fingerprint(key)}"})
    return None


async def _right_region(on: Stage, _: int) -> None:
    set_in_env_file(on.service.home / "understudy.env", {"DASHSCOPE_KEY_FINGERPRINTS": None})


CELLS: tuple[Cell, ...] = (
    _broken_speech("transport", "reset_mid_audio"),
    _broken_speech("protocol", "garbage_frame"),
    _broken_speech("provider", "error_event"),
    _bad_playback("decode_errors", Heard.DECODE_ERROR),
    _bad_playback("stalls", Heard.STALLED),
    _bad_playback("not_completed", Heard.NOT_COMPLETED),
    Cell(
        Lane.ALONE,
        "8 creates of one prompt",
        (("cost", "design_repeats"),),
        _repeat_designs,
        _leave,
        clears=False,
    ),
    Cell(
        Lane.ALONE,
        "600,000 characters of one tenant",
        (("cost", "runaway_characters"),),
        _run_away,
        _leave,
        clears=False,
    ),
    _copied_row(
        "missing_provider_metadata",
        "a voice without its provider's id",
        "public.voices",
        {"provider_voice_id": None, "reference_object_key": None},
        "tts_provider = 'qwen'",
    ),
    _copied_row(
        "orphaned_generations",
        "a generation without its task",
        "public.generations",
        {"status": "processing"},
    ),
    _copied_row(
        "completed_without_audio",
        "completed, and its audio is gone",
        "public.generations",
        {"audio_object_key": "bench/gone.mp3"},
        "status = 'completed'",
    ),
    Cell(
        Lane.ALONE, "a column is gone", (("data_integrity", "schema_drift"),), _drop_column, _put_column_back
    ),
    Cell(
        Lane.ALONE,
        "a worker holds another JWT secret",
        (("security", "secret_mismatch"),),
        _another_secret,
        _one_secret,
    ),
    Cell(
        Lane.ALONE,
        "a planted canary in a request's log line",
        (("security", "secret_leak"),),
        _leak,
        _forget_leaks,
    ),
    Cell(
        Lane.ALONE,
        "the key is on record as another lane's",
        (("security", "wrong_region_key"),),
        _wrong_region,
        _right_region,
    ),
)
