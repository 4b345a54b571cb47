"""Stored audio: what every object store offers, and the one that keeps plain files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.store.buckets import (
    BUCKETS,
    GENERATIONS,
    REFERENCES,
    ListedObject,
    ObjectStat,
    bucket_rule,
    check_content_type,
    check_size,
    key_segments,
)
from understudy.store.object_files import (
    ObjectReader,
    ObjectWriter,
    delete_object,
    read_record,
    sweep_abandoned,
    sweep_strays,
    walk_objects,
)
from understudy.store.object_links import ObjectLinks
from understudy.store.signing import ANY_AUDIO, UrlSigner

__all__ = ["GENERATIONS", "REFERENCES", "LocalObjects", "ObjectStat", "ObjectStore", "OpenObject"]

#: Bytes one thread hop moves: large enough to amortise the hop, small enough to hold 64 of them.
BLOCK_BYTES = 256 * 1024
LIST_BATCH = 500

_log = get_logger(__name__)


class OpenObject(Protocol):
    """One open object. Close it."""

    stat: ObjectStat

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``, of the version that was opened, or raise."""
        ...

    async def close(self) -> None:
        """Give back what reading holds."""
        ...


class ObjectStore(Protocol):
    """Private audio in buckets, keyed ``<user>/...``.

    Every method raises :class:`understudy.errors.StoreUnavailableError` when the storage fails or is
    full, and :class:`understudy.errors.NotFoundError` for a bucket or key that cannot exist.
    """

    async def check(self) -> None:
        """Prove that the storage is there; :class:`ConfigurationError` when it is not as the settings say."""
        ...

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> ObjectStat:
        """Store ``data`` whole and durably, or nothing; an object already there is replaced at once."""
        ...

    async def put_stream(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterator[bytes],
        content_type: str,
        *,
        exclusive: bool = False,
    ) -> ObjectStat:
        """Store a body as it arrives, counted; ``exclusive`` refuses, as a conflict, to replace another."""
        ...

    async def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes, checked against their digest; :class:`NotFoundError` when there are none."""
        ...

    async def open(self, bucket: str, key: str) -> OpenObject:
        """Open for reading; :class:`NotFoundError` when it is not there."""
        ...

    async def stat(self, bucket: str, key: str) -> ObjectStat | None:
        """Describe the object, or ``None`` when it is not there."""
        ...

    async def delete(self, bucket: str, key: str) -> None:
        """Remove the object; a missing one is fine."""
        ...

    async def sign_get(self, bucket: str, key: str) -> str:
        """Return an expiring URL that reads the object."""
        ...

    async def sign_put(self, bucket: str, key: str, content_type: str = ANY_AUDIO) -> str:
        """Return an expiring URL that takes one ``PUT`` of this type (``audio/*``: any of the bucket's)."""
        ...

    def verify_get(self, bucket: str, key: str, *, expires: str, signature: str) -> None:
        """Raise :class:`ForbiddenError` unless the URL may read this object now."""
        ...

    def verify_put(
        self, bucket: str, key: str, *, expires: str, signature: str, signed_type: str, content_type: str
    ) -> str:
        """Return the media type to store; raise unless the URL may write this type there now."""
        ...

    def list(self, bucket: str, *, prefix: str = "", after: str = "") -> AsyncIterator[ListedObject]:
        """Yield the objects whose key starts with ``prefix`` and follows ``after``, in the order of keys."""
        ...

    async def sweep(self, *, thorough: bool = False) -> int:
        """Remove what processes that died left unfinished; return how many files. ``thorough`` walks all."""
        ...


class LocalObjects(ObjectLinks):
    """An :class:`ObjectStore` in a folder of this machine, readable by its owner only.

    Parameters
    ----------
    secret, lifetime_s, base_url, previous_secret
        Of the signed URLs; see :class:`understudy.store.signing.UrlSigner`.
    """

    def __init__(
        self,
        root: Path,
        secret: SecretStr,
        lifetime_s: int,
        clock: Clock,
        base_url: str = "",
        *,
        previous_secret: SecretStr | None = None,
    ) -> None:
        super().__init__(UrlSigner(secret, lifetime_s, clock, base_url, previous=previous_secret))
        self._root = root
        self._scratch = root / ".unfinished"
        self._clock = clock

    async def check(self) -> None:
        """Nothing is elsewhere: folders are made when they are needed."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> ObjectStat:
        """Store ``data`` whole and durably, or nothing."""
        check_size(bucket, len(data))
        check_content_type(bucket, content_type)
        writer = ObjectWriter(self._path(bucket, key), self._scratch)
        # One hop to a thread, shielded: cancelled in the middle, it still ends and closes the writer.
        return await asyncio.shield(asyncio.to_thread(writer.write_whole, data, content_type))

    async def put_stream(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterator[bytes],
        content_type: str,
        *,
        exclusive: bool = False,
    ) -> ObjectStat:
        """Store a body as it arrives.

        Raises
        ------
        PayloadTooLargeError, ValidationError
            Over the bucket's limit (counted, whatever a header announced), or a type it does not take.
        ConflictError
            ``exclusive`` and something is stored there already.
        StoreUnavailableError
            The disk is full or fails. In every case nothing of this body is kept.
        """
        check_content_type(bucket, content_type)
        writer = ObjectWriter(self._path(bucket, key), self._scratch)
        try:
            await asyncio.to_thread(writer.open)
            pending = bytearray()
            async for chunk in chunks:
                check_size(bucket, writer.size + len(pending) + len(chunk))
                pending += chunk
                if len(pending) >= BLOCK_BYTES:
                    await asyncio.to_thread(writer.write, bytes(pending))
                    pending.clear()
            await asyncio.to_thread(writer.write, bytes(pending))
            return await asyncio.to_thread(writer.commit, content_type, exclusive=exclusive)
        finally:
            # Shielded: a hang-up cancels this task while a thread may still write to the descriptor.
            await asyncio.shield(asyncio.to_thread(writer.close))

    async def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes, checked against their digest."""
        reader = await self.open(bucket, key)
        try:
            data = await reader.read(0, reader.stat.size)
        finally:
            await reader.close()
        if hashlib.sha256(data).hexdigest() != reader.stat.sha256:
            _log.error("object_damaged", bucket=bucket, key=key)
            raise UnderstudyError("The stored audio is damaged and was not used.")
        return data

    async def stat(self, bucket: str, key: str) -> ObjectStat | None:
        """Describe the object, or ``None`` when it is not there."""
        record = await asyncio.to_thread(read_record, self._path(bucket, key))
        return record.stat if record else None

    async def delete(self, bucket: str, key: str) -> None:
        """Remove the object; a missing one is fine."""
        await asyncio.to_thread(delete_object, self._path(bucket, key))

    async def open(self, bucket: str, key: str) -> ObjectReader:
        """Open for reading; :class:`NotFoundError` when it is not there. Close it."""
        reader = ObjectReader(self._path(bucket, key))
        try:
            await asyncio.to_thread(reader.open)
        except BaseException:
            await reader.close()
            raise
        return reader

    async def list(self, bucket: str, *, prefix: str = "", after: str = "") -> AsyncIterator[ListedObject]:
        """Yield the objects whose key starts with ``prefix`` and follows ``after``, in the order of keys."""
        bucket_rule(bucket)
        walk = walk_objects(self._root / bucket, prefix, after)
        while batch := await asyncio.to_thread(_take, walk):
            for item in batch:
                yield item

    async def sweep(self, *, thorough: bool = False) -> int:
        """Remove what processes that died left unfinished; return how many files."""
        now_s = self._clock.now().timestamp()
        removed = await asyncio.to_thread(sweep_abandoned, self._scratch, now_s)
        if thorough:
            for bucket in BUCKETS:
                removed += await asyncio.to_thread(sweep_strays, self._root / bucket, now_s)
        return removed

    def _path(self, bucket: str, key: str) -> Path:
        bucket_rule(bucket)
        return self._root.joinpath(bucket, *key_segments(key))


def _take(walk: Iterator[ListedObject]) -> tuple[ListedObject, ...]:
    return tuple(islice(walk, LIST_BATCH))
