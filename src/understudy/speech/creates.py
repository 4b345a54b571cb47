"""Billed creates, told apart: which voice each made, under which label, and which made one for nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from understudy.providers.base import CREATE_UNKNOWN, EnrolledVoice, MadeVoice, Provider, VoiceBinding
from understudy.settings import Settings
from understudy.store import creates as rows
from understudy.store.creates import CreateRow
from understudy.store.database import Database
from understudy.store.tasks import DESIGN_PREVIEW, TaskRow

#: Providers take 16 characters (facts/dashscope.md section 5); 60 bits tell a million voices apart.
LABEL_DIGITS = 15


def clone_label(voice_id: UUID, reference_sha256: str) -> str:
    """Label of the clone of one recording: another recording for the same voice is another clone."""
    return "u" + hashlib.sha256(f"{voice_id}/{reference_sha256}".encode()).hexdigest()[:LABEL_DIGITS]


def design_label(task_id: UUID) -> str:
    """Label of the voice that a design task makes."""
    return f"u{task_id.hex[:12]}"


def enrolled_before(task: TaskRow | None, settings: Settings) -> EnrolledVoice | None:
    """The voice that an earlier attempt made and could not save; its create is on record already.

    ``None`` without one, and where it speaks with another model, or in another region, than configured now.
    """
    if task is None or "binding" not in task.metadata:
        return None
    binding = VoiceBinding(**task.metadata["binding"])
    usable = (
        binding.target_model == settings.qwen_vc_target_model and binding.region == settings.dashscope_region
    )
    return EnrolledVoice(binding, cost_microusd=0) if usable else None


def paid_before(task: TaskRow, found: EnrolledVoice) -> EnrolledVoice:
    """``found``, free of charge where the attempt that made it was recorded as if it had been billed."""
    failure = task.metadata.get("failure") or {}
    return replace(found, cost_microusd=0) if failure.get("code") == CREATE_UNKNOWN else found


class CreateState(StrEnum):
    """What a create that no voice speaks with is."""

    UNSAVED = "unsaved"
    """A completed preview that its tenant has not saved (yet)."""
    UNCLAIMED = "unclaimed"
    """Made, and what asked for it did not complete. Finalizing, or carrying over, again takes it."""
    ORPHAN = "orphan"
    """At the provider, and nothing of ours knows it."""
    UNKNOWN = "unknown"
    """Sent, not completed, and the provider has no voice under its label: most likely not billed."""


@dataclass(frozen=True, slots=True)
class LooseCreate:
    """One create that no voice speaks with."""

    state: CreateState
    provider: str
    kind: str
    label: str | None
    voice_id: str | None
    task_id: UUID | None
    user_id: UUID | None
    created_at: datetime | str | None

    def facts(self) -> Mapping[str, Any]:
        """Fields for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


async def loose_creates(database: Database, provider: Provider) -> list[LooseCreate]:
    """Compare the provider's list of voices with our rows; changes nothing, bills nothing.

    Raises
    ------
    ProviderError
        Its list cannot be had.
    StoreUnavailableError
        Our rows cannot be had.
    """
    made = await provider.made_voices() if provider.capabilities.bills_creates else []
    async with database.service() as conn:
        held = await rows.held_voices(conn, provider.name, [voice.voice_id for voice in made])
        sent = await rows.sent_creates(conn, provider.name)
        intended = await rows.intended_labels(conn, provider.name)
    by_voice = {create.voice_id: create for create in sent if create.voice_id}
    by_label: dict[str, CreateRow] = {}
    for create in sent:
        by_label.setdefault(_label(create), create)
    loose = [
        _at_provider(
            provider.name,
            voice,
            by_voice.get(voice.voice_id) or by_label.get(voice.label or ""),
            intended=voice.label in intended,
        )
        for voice in made
        if voice.voice_id not in held
    ]
    labels = {voice.label for voice in made}
    if provider.capabilities.bills_creates:
        loose += [
            _nowhere(create)
            for create in sent
            if create.status in {"failed", "cancelled"}
            and not create.voice_id
            and _label(create) not in labels
        ]
    return loose


def _label(create: CreateRow) -> str:
    return design_label(create.task_id) if create.type == DESIGN_PREVIEW else create.label or ""


def _at_provider(provider: str, voice: MadeVoice, create: CreateRow | None, *, intended: bool) -> LooseCreate:
    if create is None and not intended:
        state = CreateState.ORPHAN
    elif create is not None and create.type == DESIGN_PREVIEW and create.status == "completed":
        state = CreateState.UNSAVED
    else:
        state = CreateState.UNCLAIMED
    return LooseCreate(
        state,
        provider,
        voice.kind,
        voice.label,
        voice.voice_id,
        create.task_id if create else None,
        create.user_id if create else None,
        voice.created_at,
    )


def _nowhere(create: CreateRow) -> LooseCreate:
    kind = "vd" if create.type == DESIGN_PREVIEW else "vc"
    return LooseCreate(
        CreateState.UNKNOWN,
        create.provider,
        kind,
        _label(create) or None,
        None,
        create.task_id,
        create.user_id,
        create.created_at,
    )
