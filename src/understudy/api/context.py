"""What one process opens at its start and gives back at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import understudy
from understudy.clock import Clock
from understudy.logs import Leaks, get_logger
from understudy.providers.catalog import build_providers
from understudy.releases.identity import running_revision
from understudy.rollout.freeze import FreezeReader
from understudy.rollout.mode import ModeReader
from understudy.settings import Settings
from understudy.speech.context import SpeechContext
from understudy.store.database import Database
from understudy.store.migrations import check_serving
from understudy.store.object_choice import open_objects, prove_objects
from understudy.tracing import open_tracing

#: Connections of one process: a request holds one for a few milliseconds.
POOL_SIZE = 8

log = get_logger(__name__)


@asynccontextmanager
async def open_context(
    settings: Settings, *, kind: str, clock: Clock, instance: UUID | None = None, leaks: Leaks | None = None
) -> AsyncIterator[SpeechContext]:
    """Open database, objects, providers, mode and signals; close them in reverse order.

    Parameters
    ----------
    kind
        ``api`` or ``worker``, as listed in ``understudy.processes``.
    leaks
        Log lines of this process in which a secret stood; they become signals.

    Raises
    ------
    ConfigurationError
        A setting is missing, too weak, or contradicts another.
    StoreUnavailableError, MigrationError
        The database does not answer, or its schema is not what this version needs.
    """
    settings.require("database_url", "object_url_secret")
    settings.check_identity()
    settings.canaries()
    instance = instance or uuid4()
    objects = open_objects(settings, clock)
    providers = build_providers(settings, clock)
    tracing = open_tracing(
        settings.otel_exporter_otlp_endpoint,
        process=kind,
        instance=str(instance),
        version=understudy.__version__,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tracing.stop)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        database = await Database.connect(
            settings.database_url, application_name=f"understudy-{kind}", max_size=POOL_SIZE
        )
        stack.push_async_callback(database.close)
        async with database.service() as conn:
            await check_serving(conn)
        await prove_objects(objects)
        swept = await objects.sweep()
        if swept:
            log.info("abandoned_uploads_removed", files=swept)
        mode = ModeReader(
            database,
            settings,
            kind=kind,
            clock=clock,
            instance=instance,
            check=providers[settings.known_good_provider].check,
            revision=await asyncio.to_thread(running_revision),
        )
        await mode.start()
        stack.push_async_callback(mode.stop)
        freeze = FreezeReader(database, clock)
        stack.push_async_callback(freeze.stop)
        await freeze.start()
        ctx = SpeechContext(
            database=database,
            objects=objects,
            providers=providers,
            mode=mode,
            settings=settings,
            clock=clock,
            freeze=freeze,
            kind=kind,
            tracing=tracing,
        )
        ctx.signals.start()
        stack.push_async_callback(ctx.signals.stop)
        if leaks is not None:
            leaks.attach(lambda name: ctx.signals.leak("log", name))
        yield ctx
