"""What players saw of streamed speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from understudy.plain_text import plain_text

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class PlaybackEvent:
    """One thing a player saw.

    Parameters
    ----------
    event
        ``started``, ``stalled``, ``decode_error``, ``ended_early`` or ``ended``.
    at
        By the player's clock.
    position_ms
        How far it had played.
    client, client_version
        Which player it is, for triggers look at each version by itself.
    """

    generation_id: UUID
    event: str
    at: datetime
    position_ms: int | None
    client: str
    client_version: str
    detail: str | None


_NAMES = [field.name for field in fields(PlaybackEvent)]
_TYPES = ("uuid", "text", "timestamptz", "integer", "text", "text", "text")

# Provider and epoch are the generation's; events of what is not this user's find none and are left out.
_INSERT = (
    SQL(
        "INSERT INTO understudy.playback_events (user_id, {names}, provider, mode_epoch, synthetic)"
        " SELECT g.user_id, {told}, g.tts_provider, g.mode_epoch,"
        " EXISTS (SELECT FROM understudy.synthetic_users WHERE user_id = %(user)s)"
        " FROM unnest({columns}) AS told ({names})"
        " JOIN public.generations g ON g.id = told.generation_id AND g.user_id = %(user)s"
        " ON CONFLICT (generation_id, event, at) DO NOTHING"
    )
    .format(
        names=SQL(", ").join(map(Identifier, _NAMES)),
        told=SQL(", ").join(Identifier("told", name) for name in _NAMES),
        columns=SQL(", ").join(
            SQL("%({})s::{}[]").format(SQL(name), SQL(kind))
            for name, kind in zip(_NAMES, _TYPES, strict=True)
        ),
    )
    .as_bytes()
)


async def insert_events(conn: Connection, user_id: UUID, events: Sequence[PlaybackEvent]) -> int:
    """Keep events of the user's own generations, each once; return how many of these were new.

    A player's words are kept as plain text: they come to stand in findings, and those on terminals.
    """
    values: dict[str, object] = {name: [_plain(getattr(event, name)) for event in events] for name in _NAMES}
    return (await conn.execute(_INSERT, {**values, "user": user_id})).rowcount


def _plain(value: object) -> object:
    return plain_text(value) if isinstance(value, str) else value
