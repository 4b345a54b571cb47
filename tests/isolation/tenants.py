"""Tenants who own one of everything, each marked so that any trace of it is recognised elsewhere."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from uuid import uuid4

from psycopg.types.json import Jsonb
from pydantic import SecretStr

from understudy.api.auth import TokenIssuer
from understudy.api.passwords import PasswordHasher
from understudy.clock import SystemClock
from understudy.settings import Settings
from understudy.store import api_keys, sessions, users
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Database
from understudy.store.objects import LocalObjects

TABLES = ("public.voices", "public.generations", "public.tasks", "public.profiles")


@dataclass(frozen=True, slots=True)
class Tenant:
    """One identity: its credentials, what it owns, and the words that only it may see."""

    user_id: str
    marker: str
    ids: dict[str, str]
    keys: tuple[str, str]
    credentials: dict[str, str]

    def headers(self, credential: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials[credential]}"}

    @property
    def traces(self) -> tuple[str, ...]:
        return (self.marker, self.user_id, *self.ids.values())


async def settle(settings: Settings, database: Database) -> Tenant:
    """Make a tenant with a voice, a finished generation, a pending task and a finished design preview."""
    clock, marker = SystemClock(), f"mark{secrets.token_hex(8)}"
    ids = {name: str(uuid4()) for name in ("voice", "spare", "generation", "task", "preview")}
    objects = LocalObjects(settings.objects_path, SecretStr("x" * 32), 60, clock)
    now, session = clock.now(), uuid4()
    hashed = await PasswordHasher().hash(marker)
    async with database.service() as conn:
        user = await users.create_user(
            conn, email=f"{marker}@example.org", encrypted_password=hashed, user_metadata={}, at=now
        )
        assert user is not None
        await sessions.add_refresh_token(
            conn,
            token_hash=secrets.token_hex(32),
            user_id=user.id,
            session_id=session,
            parent_hash=None,
            created_at=now,
            expires_at=now.replace(year=now.year + 1, day=1),
        )
        _, key = await api_keys.create_key(conn, user_id=user.id, name=marker, at=now, expires_at=None)
        reference, speech = f"{user.id}/{ids['voice']}/reference.wav", f"{user.id}/{ids['generation']}.wav"
        await conn.execute(
            "insert into public.profiles (id, display_name) values (%s, %s)", (user.id, marker)
        )
        await conn.execute(
            "insert into public.voices (id, user_id, name, reference_object_key, reference_transcript,"
            " language, description, reference_content_type) values (%s, %s, %s, %s, %s, 'English', %s,"
            " 'audio/wav')",
            (ids["voice"], user.id, marker, reference, marker, marker),
        )
        await conn.execute(
            "insert into public.voices (id, user_id, name) values (%s, %s, %s)",
            (ids["spare"], user.id, f"{marker} spare"),
        )
        await conn.execute(
            "insert into public.generations (id, user_id, voice_id, text, audio_object_key, status,"
            " audio_content_type, completed_at) values (%s, %s, %s, %s, %s, 'completed', 'audio/wav', now())",
            (ids["generation"], user.id, ids["voice"], marker, speech),
        )
        preview = {
            "preview": {"object_key": reference},
            "brief": {"language": "English", "instruct": marker, "text": marker},
        }
        for name, kind, status, facts in (
            ("task", "design_preview", "pending", {"brief": preview["brief"]}),
            ("preview", "design_preview", "completed", preview),
        ):
            await conn.execute(
                "insert into public.tasks (id, user_id, type, status, metadata, result, mode_epoch,"
                " deadline_at) values (%s, %s, %s, %s, %s, %s, 1, now() + interval '1 hour')",
                (ids[name], user.id, kind, status, Jsonb(facts), Jsonb({"note": marker})),
            )
    for bucket, object_key in ((REFERENCES, reference), (GENERATIONS, speech)):
        await objects.put(bucket, object_key, f"RIFF{marker}".encode(), "audio/wav")
    token, _ = TokenIssuer(settings, clock).issue(user, session, signed_in_at_s=int(now.timestamp()))
    return Tenant(str(user.id), marker, ids, (reference, speech), {"token": token, "key": key})


async def belongings(database: Database, objects: LocalObjects, tenant: Tenant) -> dict[str, str]:
    """Everything a tenant owns, as text: compared before and after others tried."""
    found = {}
    async with database.service() as conn:
        for table in TABLES:
            owner = "id" if table == "public.profiles" else "user_id"
            cursor = await conn.execute(
                f"select t::text as row from {table} t where {owner} = %s order by 1", (tenant.user_id,)
            )
            found[table] = json.dumps([row["row"] for row in await cursor.fetchall()])
    for bucket, key in zip((REFERENCES, GENERATIONS), tenant.keys, strict=True):
        found[f"{bucket}/{key}"] = str(await objects.stat(bucket, key))
    return found
