"""Stored audio in S3-compatible storage, with what a local folder promises: whole or nothing, digested."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store

from understudy.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    StoreUnavailableError,
    UnderstudyError,
)
from understudy.logs import get_logger
from understudy.settings import Settings
from understudy.store.buckets import (
    GENERATIONS,
    REFERENCES,
    TOMBSTONES,
    ListedObject,
    ObjectStat,
    bucket_rule,
    check_content_type,
    check_size,
)
from understudy.store.object_links import ObjectLinks, check_place
from understudy.store.signing import UrlSigner

CONNECT_TIMEOUT_S = 5
#: One request, body included: 256 MB at 5 MB a second.
REQUEST_TIMEOUT_S = 60
RETRIES = 2
RETRY_TIMEOUT_S = 10
#: Bytes of one read: a download of 10 MB is ten requests, and 64 downloads hold 64 MB.
READ_BYTES = 1024 * 1024
LIST_BATCH = 500

#: How obstore words a refusal it has no class for. Its text names the address too, whose port may be 40312.
_REFUSED = re.compile(r"status code: 40[13]\b")

#: User metadata of an object, ``x-amz-meta-sha256`` on the wire.
DIGEST = "sha256"

_log = get_logger(__name__)


class S3Reader:
    """One open object; what is read is of the version that was opened, or an error."""

    def __init__(self, store: S3Store, key: str, stat: ObjectStat, etag: str) -> None:
        self.stat = stat
        self._store = store
        self._key = key
        self._etag = etag
        self._held_from = 0
        self._held = b""

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``; raise when the object was replaced meanwhile."""
        parts = bytearray()
        while length:
            at = offset - self._held_from
            part = self._held[at : at + length] if 0 <= at < len(self._held) else b""
            if not part:
                await self._fetch(offset)
                continue
            parts += part
            offset += len(part)
            length -= len(part)
        return bytes(parts)

    async def close(self) -> None:
        """Forget what was read ahead; no connection is held between reads."""
        self._held = b""

    async def _fetch(self, offset: int) -> None:
        end = min(offset + READ_BYTES, self.stat.size)
        if offset >= end:
            raise UnderstudyError("The stored audio is shorter than its record says.")
        with _storage_errors():
            answer = await self._store.get_async(
                self._key, options={"range": (offset, end), "if_match": self._etag}
            )
            self._held = bytes(await answer.bytes_async())
            self._held_from = offset
        if len(self._held) != end - offset:
            raise StoreUnavailableError("Stored audio was cut short while it was read.", retry_after_s=1)


class S3Objects(ObjectLinks):
    """An :class:`understudy.store.objects.ObjectStore` in two buckets of S3-compatible storage.

    The buckets are private and only the service reaches them: every upload passes the api, so each object
    carries its digest and a type that was checked.

    Parameters
    ----------
    settings
        The ``S3_*`` settings, already checked.
    """

    def __init__(self, settings: Settings, signer: UrlSigner) -> None:
        super().__init__(signer)
        names = {REFERENCES: settings.s3_bucket_references, GENERATIONS: settings.s3_bucket_generations}
        self._names = names
        self._stores = {bucket: _connect(settings, name) for bucket, name in names.items()}
        # Not a bucket of its own, which an operator would have to make: a folder beside the recordings.
        self._records = _connect(settings, names[REFERENCES], TOMBSTONES)

    async def check(self) -> None:
        """Prove that both buckets answer.

        Raises
        ------
        ConfigurationError
            A bucket does not exist, or these credentials may not list it.
        StoreUnavailableError
            The storage does not answer.
        """
        for bucket, store in self._stores.items():
            name = self._names[bucket]
            try:
                with _storage_errors():
                    async for _ in store.list(chunk_size=1):
                        break
            except StoreUnavailableError as error:
                cause = str(error.__cause__)
                if "NoSuchBucket" in cause:
                    raise ConfigurationError(
                        f"The bucket {name} does not exist. Create it, private, or correct "
                        f"S3_BUCKET_{bucket.upper()}."
                    ) from None
                if isinstance(error.__cause__, PermissionDeniedError) or _REFUSED.search(cause):
                    raise ConfigurationError(
                        f"The bucket {name} refuses these credentials. Give S3_ACCESS_KEY_ID the rights to "
                        "list, read, write and delete in it."
                    ) from None
                raise

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> ObjectStat:
        """Store ``data`` whole and durably, or nothing."""
        return await self._put(bucket, key, data, content_type, exclusive=False)

    async def put_stream(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterator[bytes],
        content_type: str,
        *,
        exclusive: bool = False,
    ) -> ObjectStat:
        """Store a body as it arrives; held in memory, which the bucket's limit bounds, until it is whole."""
        check_place(bucket, key)
        check_content_type(bucket, content_type)
        body = bytearray()
        async for chunk in chunks:
            check_size(bucket, len(body) + len(chunk))
            body += chunk
        return await self._put(bucket, key, bytes(body), content_type, exclusive=exclusive)

    async def _put(
        self, bucket: str, key: str, data: bytes, content_type: str, *, exclusive: bool
    ) -> ObjectStat:
        check_place(bucket, key)
        check_size(bucket, len(data))
        check_content_type(bucket, content_type)
        digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        with _storage_errors():
            # One request, never multipart: the object is there whole or not at all, with no parts to abort.
            await self._store(bucket).put_async(
                key,
                data,
                attributes={"Content-Type": content_type, DIGEST: digest},
                use_multipart=False,
                mode="create" if exclusive else "overwrite",
            )
        return ObjectStat(len(data), content_type, digest)

    async def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes, checked against their digest."""
        check_place(bucket, key)
        with _storage_errors():
            answer = await self._store(bucket).get_async(key)
            if answer.meta["size"] > bucket_rule(bucket).max_bytes:
                raise PayloadTooLargeError("The stored audio is larger than its bucket allows.")
            recorded = _metadata(answer).get(DIGEST)
            data = bytes(await answer.bytes_async())
        if recorded and (await asyncio.to_thread(hashlib.sha256, data)).hexdigest() != recorded:
            _log.error("object_damaged", bucket=bucket, key=key)
            raise UnderstudyError("The stored audio is damaged and was not used.")
        return data

    async def stat(self, bucket: str, key: str) -> ObjectStat | None:
        """Describe the object, or ``None`` when it is not there."""
        try:
            return (await self._head(bucket, key)).stat
        except NotFoundError:
            check_place(bucket, key)
            return None

    async def open(self, bucket: str, key: str) -> S3Reader:
        """Open for reading; :class:`NotFoundError` when it is not there."""
        head = await self._head(bucket, key)
        return S3Reader(self._store(bucket), key, head.stat, head.etag)

    async def delete(self, bucket: str, key: str) -> None:
        """Remove the object; a missing one is fine."""
        check_place(bucket, key)
        try:
            with _storage_errors():
                await self._store(bucket).delete_async(key)
        except NotFoundError:
            return

    async def list(self, bucket: str, *, prefix: str = "", after: str = "") -> AsyncIterator[ListedObject]:
        """Yield the objects whose key starts with ``prefix`` and follows ``after``, in the order of keys."""
        bucket_rule(bucket)
        # obstore takes a prefix of whole segments only; the rest of it is compared here.
        folder = prefix.rpartition("/")[0] or None
        with _storage_errors():
            pages = self._store(bucket).list(prefix=folder, offset=after or None, chunk_size=LIST_BATCH)
            async for page in pages:
                for item in page:
                    if bucket == REFERENCES and item["path"].startswith(f"{TOMBSTONES}/"):
                        continue
                    if item["path"].startswith(prefix):
                        yield ListedObject(item["path"], item["size"], item["last_modified"])

    async def sweep(self, *, thorough: bool = False) -> int:  # noqa: ARG002
        """Remove nothing: an upload in one request leaves nothing unfinished."""
        return 0

    def _store(self, bucket: str) -> S3Store:
        return self._records if bucket == TOMBSTONES else self._stores[bucket]

    async def _head(self, bucket: str, key: str) -> _Head:
        check_place(bucket, key)
        store = self._store(bucket)
        with _storage_errors():
            answer = await store.get_async(key, options={"head": True})
            meta, facts = answer.meta, _metadata(answer)
            digest = facts.get(DIGEST, "")
            if not digest and meta["size"] <= bucket_rule(bucket).max_bytes:
                digest = await _digest_of(store, key)
        stat = ObjectStat(meta["size"], facts.get("Content-Type", "application/octet-stream"), digest)
        return _Head(stat, meta["e_tag"] or "")


@dataclass(frozen=True, slots=True)
class _Head:
    stat: ObjectStat
    etag: str


def _metadata(answer: obstore.GetResult) -> dict[str, str]:
    return {str(name): str(value) for name, value in answer.attributes.items()}


async def _digest_of(store: S3Store, key: str) -> str:
    """Digest of an object that somebody put there without one, block by block."""
    digest = hashlib.sha256()
    answer = await store.get_async(key)
    async for block in answer.stream(min_chunk_size=READ_BYTES):
        await asyncio.to_thread(digest.update, bytes(block))
    return digest.hexdigest()


def _connect(settings: Settings, name: str, folder: str = "") -> S3Store:
    endpoint: dict[str, Any] = {"endpoint": settings.s3_endpoint} if settings.s3_endpoint else {}
    return S3Store(
        name,
        prefix="/".join(part for part in (settings.s3_prefix.rstrip("/"), folder) if part) or None,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        client_options={
            # Settings allow http to loopback only.
            "allow_http": settings.s3_endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S)},
        **endpoint,
    )


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn obstore's errors into ours; their texts name addresses, so they go to the log's cause only."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise NotFoundError from None
        raise _unavailable(error) from error
    except AlreadyExistsError:
        raise ConflictError("Audio was already uploaded here.") from None
    except PreconditionError as error:
        raise StoreUnavailableError("The audio was replaced while it was read.", retry_after_s=1) from error
    except (BaseError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailableError:
    _log.error("object_storage_failed", error=type(error).__name__)
    return StoreUnavailableError("Stored audio cannot be reached; nothing was changed.", retry_after_s=10)
