"""Which object store a process uses: the one place that reads ``OBJECTS``."""

from __future__ import annotations

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.settings import Settings
from understudy.store.objects import LocalObjects, ObjectStore
from understudy.store.signing import UrlSigner

log = get_logger(__name__)


def open_objects(settings: Settings, clock: Clock) -> ObjectStore:
    """Return the store that the settings name; nothing is contacted yet.

    Raises
    ------
    ConfigurationError
        A setting of it is missing, too weak, or contradicts another.
    """
    settings.require("object_url_secret")
    if settings.objects == "s3":
        # Its client takes 8 MB, which a process with a folder does not need.
        from understudy.store.s3_objects import S3Objects  # noqa: PLC0415

        settings.check_s3()
        signer = UrlSigner(
            settings.object_url_secret,
            settings.object_url_lifetime_s,
            clock,
            settings.public_base_url,
            previous=settings.object_url_secret_previous,
        )
        return S3Objects(settings, signer)
    return LocalObjects(
        settings.objects_path,
        settings.object_url_secret,
        settings.object_url_lifetime_s,
        clock,
        settings.public_base_url,
        previous_secret=settings.object_url_secret_previous,
    )


async def prove_objects(objects: ObjectStore) -> None:
    """Say at the start what is wrong with the storage, rather than at the first upload.

    Storage that does not answer is logged only: listings and tasks work without it, and it may come back.

    Raises
    ------
    ConfigurationError
        A bucket does not exist or refuses the credentials.
    """
    try:
        await objects.check()
    except StoreUnavailableError:
        log.warning("object_storage_away")
