"""One module a resource; each has a ``router``."""

from __future__ import annotations

from fastapi import APIRouter

from understudy.api.routes import (
    clone,
    design,
    documentation,
    generations,
    health,
    languages,
    me,
    metrics,
    notice,
    objects,
    openai_audio,
    openai_models,
    openai_voices,
    operator,
    playback_events,
    stream,
    studio,
    tasks,
    transcriptions,
    usage,
    voices,
)


def all_routers() -> tuple[APIRouter, ...]:
    """Every router, in the order in which paths are tried (``/voices/design`` before ``/voices/{id}``)."""
    return (
        health.router,
        languages.router,
        me.router,
        me.public_router,
        clone.router,
        design.router,
        voices.router,
        generations.router,
        stream.router,
        playback_events.router,
        tasks.router,
        transcriptions.router,
        usage.router,
        operator.router,
        openai_models.router,
        openai_voices.router,
        openai_audio.router,
        objects.router,
        documentation.router,
        metrics.router,
        studio.public_router,
        notice.router,
        studio.router,
    )
