"""Stored audio that restored rows name and the storage lacks, put back from a backup."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg.rows import DictRow
from pydantic import SecretStr

from understudy.errors import BackupError
from understudy.logs import get_logger
from understudy.store.backups.shelf import Shelf, Shelved
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.migrations import connect_owner
from understudy.store.objects import ObjectStore

Connection = psycopg.AsyncConnection[DictRow]

#: Of live rows only: what was deleted, before the backup or since, stays away.
_NAMED = {
    REFERENCES: "select reference_object_key as key from public.voices"
    " where reference_object_key is not null and deleted_at is null",
    GENERATIONS: "select audio_object_key as key from public.generations where audio_object_key is not null",
}

log = get_logger(__name__)


async def put_back(shelf: Shelf, backup: Shelved, url: SecretStr, objects: ObjectStore) -> int:
    """Put them back, each with its recorded digest; return how many.

    Raises
    ------
    BackupError
        The backup's copy of one is damaged.
    StoreUnavailableError
        The storage, or the database at ``url``, cannot be reached.
    """
    async with await connect_owner(url) as conn:
        named = {
            bucket: {str(row["key"]) for row in await (await conn.execute(query.encode())).fetchall()}
            for bucket, query in _NAMED.items()
        }
    count = 0
    for copy in await asyncio.to_thread(lambda: list(shelf.copies(backup))):
        if (
            copy.key not in named.get(copy.bucket, ())
            or await objects.stat(copy.bucket, copy.key) is not None
        ):
            continue
        try:
            data = await asyncio.to_thread(shelf.audio(copy.sha256).read_bytes)
        except OSError as error:
            raise BackupError(
                f"Stored audio of backup {backup.id} cannot be read: {error.strerror}."
            ) from None
        stored = await objects.put(copy.bucket, copy.key, data, copy.content_type)
        if stored.sha256 != copy.sha256:
            raise BackupError(
                f"The stored object {copy.bucket}/{copy.key} of backup {backup.id} was damaged."
            )
        count += 1
    if count:
        log.info("objects_put_back", backup=backup.id, objects=count)
    return count
