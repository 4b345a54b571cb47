"""Requests a second of one api process, over a million voices."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time

import aiohttp
import psutil

from bench.stock import Stock, api_process, stock
from bench.tables import percentile, show

VOICES = int(os.environ.get("BENCH_VOICES", "1000000"))
USERS = 1000
OWN = 10_000
CLIENTS = 8
SECONDS = 4.0
PER_PAGE = 20

_VOICES_OF = """
insert into public.voices (user_id, name, reference_object_key, reference_transcript, language, created_at)
select u.id, 'Voice ' || n || ' of ' || (array['Elinor', 'Emma', 'Anne', 'Fanny'])[1 + mod(n, 4)],
       u.id || '/r.wav', 'what was said', 'English', now() - n * interval '1 second'
from (select id from auth.users where {whose}) u, generate_series(1, %s) n
"""


async def _fill(place: Stock, asker: str) -> None:
    await place.owner(
        "insert into auth.users (id, email) select gen_random_uuid(), 'crowd' || n || '@example.org'"
        " from generate_series(1, %s) n",
        USERS,
    )
    await place.owner(_VOICES_OF.format(whose="email like 'crowd%%'"), (VOICES - OWN) // USERS)
    await place.owner(_VOICES_OF.format(whose=f"id = '{asker}'"), OWN)
    await place.owner("vacuum analyze public.voices")


async def _ask(port: int, path: str, token: str, until: float) -> list[float]:
    """Ask again and again on one connection; as lean as HTTP allows, for the client shares the cores."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    took = []
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{path} answered {head.splitlines()[0].decode()}")
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        took.append((time.perf_counter() - began) * 1000)
    writer.close()
    await writer.wait_closed()
    return took


async def _measure(port: int, server: psutil.Process, name: str, path: str, token: str) -> list[object]:
    await _ask(port, path, token, time.perf_counter() + 0.3)
    cpu = server.cpu_times()
    began = time.perf_counter()
    every = await asyncio.gather(*(_ask(port, path, token, began + SECONDS) for _ in range(CLIENTS)))
    seconds = time.perf_counter() - began
    after = server.cpu_times()
    took = list(itertools.chain.from_iterable(every))
    spent_ms = (after.user + after.system - cpu.user - cpu.system) * 1000 / len(took)
    return [name, len(took) / seconds, percentile(took, 0.5), percentile(took, 0.99), spent_ms]


async def run() -> None:
    """Measure and print."""
    async with stock() as place, api_process(place, place.environment) as (port, server):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            account = {"email": "asker@example.org", "password": "a long enough one"}
            async with http.post("/auth/v1/signup", json=account) as answer:
                session = json.loads(await answer.read())
        asker, token = session["user"]["id"], session["access_token"]
        await _fill(place, asker)
        (voice,) = await place.owner("select id from public.voices where user_id = %s limit 1", asker)
        (task,) = await place.admit(asker, voice["id"])
        rows = []
        for name, path in (
            ("health", "/api/health"),
            ("languages", "/api/languages"),
            ("voices, page 1", f"/api/voices?page=1&per_page={PER_PAGE}"),
            (f"voices, page {OWN // PER_PAGE}", f"/api/voices?page={OWN // PER_PAGE}&per_page={PER_PAGE}"),
            ("voices, search", f"/api/voices?search=77&per_page={PER_PAGE}"),
            ("task poll", f"/api/tasks/{task}"),
        ):
            rows.append(await _measure(port, server, name, path, token))
        memory = server.memory_info().rss / 2**20
    show(
        f"Routes of one api process over {VOICES:,} voices",
        ["route", "requests/s", "p50 ms", "p99 ms", "api CPU ms a request"],
        rows,
        note=(
            f"{CLIENTS} connections; {USERS} tenants, the asking one has {OWN:,} voices. Client, api and "
            f"Postgres share {os.cpu_count()} cores. The limit of health and languages is the api's "
            "interpreter; of a poll, that and three round trips to Postgres; of deep pages and searches, "
            f"how many voices of its own the tenant has. RSS of the api afterwards: {memory:.0f} MB."
        ),
    )
