"""The isolation gate: everything it finds wrong, as sentences; none means that nothing leaks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import psycopg
from pydantic import SecretStr

from tests.isolation.routes import CASES, ERASING, KEY_REFUSED, NEEDS_SESSION, Case, Ids
from tests.isolation.tenants import TABLES, Tenant, belongings, settle
from understudy.clock import SystemClock
from understudy.settings import Settings
from understudy.store.database import Database
from understudy.store.objects import LocalObjects

Route = tuple[str, str]


class FoundError(Exception):
    """Something was found, and one finding is enough."""


@dataclass(slots=True)
class Gate:
    """Asks a running api, and its database, on behalf of tenants for what is not theirs."""

    base: str
    settings: Settings
    first_only: bool = False
    prepare: Callable[[], Awaitable[None]] | None = None
    findings: list[str] = field(default_factory=list)
    asked: int = 0

    async def run(self) -> list[str]:
        """Return every finding."""
        database = await Database.connect(self.settings.database_url, application_name="isolation")
        objects = LocalObjects(self.settings.objects_path, SecretStr("x" * 32), 60, SystemClock())
        try:
            ann, bob, eve = [await settle(self.settings, database) for _ in range(3)]
            tenants = [ann, bob, eve]
            if self.prepare is not None:
                await self.prepare()
            async with aiohttp.ClientSession(self.base) as http:
                await self._coverage(http)
                owned = {one.user_id: await belongings(database, objects, one) for one in tenants}
                for one in tenants:
                    await self._database_rows(one, tenants)
                    await self._lists(http, one, tenants)
                    await self._links(http, one, tenants)
                for caller in tenants:
                    for victim in tenants:
                        if victim is not caller:
                            await self._foreign(http, caller, victim)
                for one in tenants:
                    left = await belongings(database, objects, one)
                    for name, was in owned[one.user_id].items():
                        self._expect(left[name] == was, f"{name.partition('/')[0]} of another were changed")
                untouched = await belongings(database, objects, bob)
                await self._owner(http, ann, [bob, eve])
                await self._ask(http, eve, "token", ERASING, CASES[ERASING], eve.ids, {200}, [ann, bob])
                self._expect(
                    untouched == await belongings(database, objects, bob), "an owner's writes touched others"
                )
        except FoundError:
            pass
        finally:
            await database.close()
        return self.findings

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds and otherwise not in self.findings:
            self.findings.append(otherwise)
            if self.first_only:
                raise FoundError

    async def _coverage(self, http: aiohttp.ClientSession) -> None:
        async with http.get("/openapi.json") as answer:
            paths = (await answer.json())["paths"]
        routes = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
        for verb, path in sorted(routes ^ CASES.keys()):
            known = (verb, path) in CASES
            self._expect(
                False, f"{verb} {path}: {'a case without a route' if known else 'no isolation case'}"
            )

    async def _foreign(self, http: aiohttp.ClientSession, caller: Tenant, victim: Tenant) -> None:
        """Ask each route for the victim's rows, and for nobody's: the answers must be alike."""
        for route, case in CASES.items():
            if case.other is None or route[1].startswith("/objects/"):
                continue
            for credential in caller.credentials:
                nobody = {name: str(uuid4()) for name in victim.ids}
                answers = [
                    await self._ask(http, caller, credential, route, case, ids, {case.other}, [victim])
                    for ids in (victim.ids, nobody)
                ]
                self._expect(
                    answers[0] == answers[1],
                    f"{' '.join(route)}: another tenant's row is told from none by the {credential}",
                )

    async def _owner(self, http: aiohttp.ClientSession, owner: Tenant, others: list[Tenant]) -> None:
        """Ask each route for own rows: a gate that refuses everybody would pass everything above."""
        for credential in ("key", "token"):
            for ending in (False, True):
                for route, case in CASES.items():
                    skipped = route == ERASING or route[1].startswith("/objects/")
                    if skipped or case.ends is not ending or (ending and credential == "key"):
                        continue
                    wanted = {case.own}
                    if credential == "key" and route in NEEDS_SESSION:
                        wanted = {KEY_REFUSED}
                    if route == ("POST", "/api/generate"):
                        # The second one meets the limit of generations in flight.
                        wanted.add(409)
                    await self._ask(http, owner, credential, route, case, owner.ids, wanted, others)

    async def _lists(self, http: aiohttp.ClientSession, one: Tenant, tenants: list[Tenant]) -> None:
        others = [other for other in tenants if other is not one]
        for path in ("/api/voices", "/api/generations", "/api/tasks", "/v1/audio/voices"):
            for credential in one.credentials:
                for query in ({}, {"page": "2"}, *({"search": other.marker} for other in others)):
                    asked = {**query, "user_id": others[0].user_id}
                    async with http.get(path, params=asked, headers=one.headers(credential)) as answer:
                        text = await answer.text()
                    self._no_trace(f"GET {path}", text, others, allowed=json.dumps(query))
                    if not query:
                        self._expect(one.marker in text, f"GET {path}: an owner's own row is missing")

    async def _links(self, http: aiohttp.ClientSession, one: Tenant, tenants: list[Tenant]) -> None:
        """Turn own signed links to others' objects, and to none."""
        for path in (
            f"/api/voices/{one.ids['voice']}/preview",
            f"/api/generations/{one.ids['generation']}/audio",
        ):
            async with http.get(path, headers=one.headers("token"), allow_redirects=False) as answer:
                self._expect(answer.status == 302, f"GET {path[:15]}: an owner gets no link")
                link = urlsplit(answer.headers.get("Location", ""))
            if not link.path:
                continue
            query = {name: values[0] for name, values in parse_qs(link.query).items()}
            async with http.get(link.path, params=query) as answer:
                self._expect(one.marker in await answer.text(), "an owner's link does not open")
            for other in tenants:
                for key in other.keys if other is not one else ():
                    for target in (key, key.replace(other.user_id, str(uuid4()))):
                        turned = "/".join([*link.path.split("/")[:3], target])
                        for verb in ("GET", "PUT", "HEAD"):
                            headers = {"Content-Type": "audio/wav"}
                            sent = http.request(verb, turned, params=query, headers=headers)
                            async with sent as answer:
                                text = await answer.text()
                            self.asked += 1
                            self._expect(
                                answer.status == 403, f"{verb} /objects: {answer.status} on a turned link"
                            )
                            self._no_trace(f"{verb} /objects", text, [other])

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        caller: Tenant,
        credential: str,
        route: Route,
        case: Case,
        ids: Ids,
        wanted: set[int],
        others: list[Tenant],
    ) -> tuple[int, str]:
        verb, path = route
        sent: dict[str, Any] = {"headers": caller.headers(credential), "allow_redirects": False}
        if case.body is not None:
            body = case.body(ids)
            if case.form:
                sent["data"] = form = aiohttp.FormData(default_to_multipart=True)
                for name, value in body.items():
                    form.add_field(name, value)
            else:
                sent["json"] = body
        asked = path.replace("{id}", ids.get(case.names, ""))
        async with http.request(verb, asked, **sent) as answer:
            text = await answer.text() + answer.headers.get("Location", "")
        self.asked += 1
        name = f"{verb} {path}"
        self._expect(
            answer.status in wanted, f"{name}: {answer.status} by {credential}, not {sorted(wanted)}"
        )
        self._no_trace(name, text, others)
        return answer.status, text

    def _no_trace(self, where: str, text: str, others: list[Tenant], *, allowed: str = "") -> None:
        for other in others:
            for trace in other.traces:
                self._expect(trace in allowed or trace not in text, f"{where}: shows another tenant's data")

    async def _database_rows(self, one: Tenant, tenants: list[Tenant]) -> None:
        """Ask the database itself as the tenant, without any filter: row level security alone must hold."""
        others = [other for other in tenants if other is not one]
        url = self.settings.database_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            for role, sub in (("authenticated", one.user_id), ("anon", "")):
                relations = await _relations(conn, role)
                if role == "authenticated":
                    for table in TABLES:
                        self._expect(table in relations, f"{table}: its tenants cannot read it")
                for relation in relations:
                    text = await self._read(conn, role, sub, f"select x::text from {relation} x")
                    self._no_trace(f"{relation} as {role}", text, others)
                    if role == "authenticated" and relation in TABLES:
                        self._expect(one.user_id in text, f"{relation}: an owner does not see own rows")
            for table in ("public.voices", "public.generations"):
                statement = f"delete from {table} returning user_id::text"
                self._no_trace(
                    statement, await self._read(conn, "authenticated", one.user_id, statement), others
                )
            for owner, key in ((others[0].user_id, None), (one.user_id, others[0].keys[0])):
                written = f"'{key}'" if key else "null"
                statement = (
                    "insert into public.voices (user_id, name, reference_object_key)"
                    f" values ('{owner}', 'n', {written})"
                )
                answer = await self._read(conn, "authenticated", one.user_id, statement)
                self._expect(answer.startswith("refused"), "a voice of another tenant can be inserted")

    async def _read(self, conn: psycopg.AsyncConnection[Any], role: str, sub: str, statement: str) -> str:
        claims = json.dumps({"sub": sub, "role": role} if sub else {"role": role})
        self.asked += 1
        try:
            async with conn.transaction(force_rollback=True):
                await conn.execute(
                    "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                    (role, claims),
                )
                cursor = await conn.execute(statement.encode())
                rows = await cursor.fetchall() if cursor.description else []
                return "\n".join(str(row[0]) for row in rows)
        except psycopg.errors.InsufficientPrivilege as error:
            return f"refused: {type(error).__name__}"


async def _relations(conn: psycopg.AsyncConnection[Any], role: str) -> list[str]:
    cursor = await conn.execute(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')"
        " and has_schema_privilege(%(role)s, n.oid, 'usage')"
        " and has_any_column_privilege(%(role)s, c.oid, 'select') order by 1",
        {"role": role},
    )
    return [row[0] for row in await cursor.fetchall()]
