"""The signed links of stored audio: served by the api itself, whichever store keeps the bytes."""

from __future__ import annotations

from understudy.store.buckets import bucket_rule, check_content_type, key_segments
from understudy.store.signing import ANY_AUDIO, UrlSigner, media_type, require_type


class ObjectLinks:
    """Makes and checks links; a store inherits it.

    One upload a link, its size, its type and its expiry are then enforced alike in front of every store, and
    no address of a storage provider is handed out.
    """

    def __init__(self, signer: UrlSigner) -> None:
        self._signer = signer

    async def sign_get(self, bucket: str, key: str) -> str:
        """Return an expiring URL that reads the object."""
        check_place(bucket, key)
        return self._signer.sign("GET", bucket, key)

    async def sign_put(self, bucket: str, key: str, content_type: str = ANY_AUDIO) -> str:
        """Return an expiring URL that takes one ``PUT`` of this content type."""
        check_place(bucket, key)
        if content_type != ANY_AUDIO:
            check_content_type(bucket, content_type)
        return self._signer.sign("PUT", bucket, key, content_type)

    def verify_get(self, bucket: str, key: str, *, expires: str, signature: str) -> None:
        """Raise :class:`ForbiddenError` unless the URL may read this object now."""
        self._signer.verify("GET", bucket, key, expires=expires, signature=signature)

    def verify_put(
        self, bucket: str, key: str, *, expires: str, signature: str, signed_type: str, content_type: str
    ) -> str:
        """Return the media type to store; raise unless the URL may write this type there now."""
        self._signer.verify(
            "PUT", bucket, key, expires=expires, signature=signature, content_type=signed_type
        )
        sent = media_type(content_type)
        require_type(signed_type, sent)
        check_content_type(bucket, sent)
        return sent


def check_place(bucket: str, key: str) -> None:
    """Raise :class:`NotFoundError` for a bucket or a key that cannot exist."""
    bucket_rule(bucket)
    key_segments(key)
