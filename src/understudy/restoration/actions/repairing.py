"""What can be made whole of one row in quarantine: by our own rows, the stored audio, the provider's list."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from understudy.audio.wav import duration_ms, read_wav
from understudy.errors import ConfigurationError, UnderstudyError, ValidationError
from understudy.logs import get_logger
from understudy.providers.base import Provider, VoiceBinding
from understudy.providers.catalog import build_providers
from understudy.restoration.actions.step import Restoration
from understudy.store import generations, quarantine, repairs, sightings, tasks
from understudy.store.buckets import GENERATIONS, REFERENCES, ObjectStat
from understudy.store.database import Connection
from understudy.store.object_choice import open_objects
from understudy.store.objects import ObjectStore
from understudy.store.quarantine import GENERATION, VOICE, Entry, Subject
from understudy.store.repairs import BrokenGeneration, BrokenVoice
from understudy.store.tasks import Ending

LOST = "This was lost through a fault on our side; ask for it again."
REPAIRED, FAILED, NEEDS_ENROLMENT = "repaired", "failed", "needs_enrolment"
UNREPAIRED, LISTED = "unrepaired", "listed"
KNOWN_PROVIDERS = frozenset({"modal", "qwen"})
#: What a binding must have to be one.
_COMPLETE = ("voice_id", "target_model", "kind")

log = get_logger(__name__)


class Repairer:
    """Repairs one entry at a time, each in one transaction; use it as a context.

    Where this guard has no access to the stored audio, or to a provider, what needs them stays unrepaired.
    """

    def __init__(self, run: Restoration) -> None:
        self._run = run
        self._objects: ObjectStore | None = None
        self._providers: Mapping[str, Provider] = {}
        self._repairs: Mapping[str, Callable[[Entry], Awaitable[None]]] = {
            "missing_provider_metadata": self._metadata,
            "orphaned_generations": self._orphaned_generation,
            "orphaned_tasks": self._orphaned_task,
            "completed_without_audio": self._audio,
            "audio_without_row": self._list_object,
            "unreadable_references": self._reference,
            "ledger_unbalanced": self._list_money,
        }

    async def __aenter__(self) -> Self:
        """Open what the settings in force give access to."""
        if self._run.settings is not None:
            try:
                settings = self._run.settings()
                self._objects = open_objects(settings, self._run.clock)
                self._providers = build_providers(settings, self._run.clock)
            except ConfigurationError as error:
                log.warning("repair_without_access", reason=error.message)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back sockets."""
        for provider in self._providers.values():
            await provider.close()

    async def breaks(self, invariant: str, subject: Subject) -> bool:
        """Whether a row that was sampled breaks an invariant that only the stored audio shows.

        Raises
        ------
        StoreUnavailableError
            Database or storage is away: nothing is known.
        """
        if self._objects is None or invariant not in {"completed_without_audio", "unreadable_references"}:
            return False
        async with (await self._run.connect()).service() as conn:
            if await quarantine.is_open(conn, invariant, subject):
                return False
            generation = voice = None
            if subject.kind == GENERATION:
                generation = await repairs.broken_generation(conn, UUID(subject.id))
            elif subject.kind == VOICE:
                voice = await repairs.broken_voice(conn, UUID(subject.id))
        if generation is not None:
            return generation.status == "completed" and await self._stored(generation) is None
        return voice is not None and await self._reference_problem(voice) is not None

    async def repair(self, entry: Entry) -> None:
        """Look at one entry and write down what came of it.

        Raises
        ------
        UnderstudyError
            Something that was asked does not answer; the entry waits.
        """
        await self._repairs[entry.invariant](entry)

    # --- what a provider needs to speak it again ------------------------------------------------------------

    async def _metadata(self, entry: Entry) -> None:
        if entry.kind == VOICE:
            await self._voice_metadata(entry)
        else:
            await self._generation_metadata(entry)

    async def _voice_metadata(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            voice = await repairs.broken_voice(conn, UUID(entry.subject))
        if voice is None:
            await self._conclude(entry, UNREPAIRED, "the voice is gone")
            return
        found, where = await self._binding_of(voice)
        if found is not None:
            changes = {
                "tts_provider": found["provider"],
                "provider_voice_id": found["voice_id"],
                "provider_target_model": found["target_model"],
                "provider_voice_kind": found["kind"],
                "provider_region": found.get("region"),
                "provider_request_id": found.get("request_id"),
            }
            await self._write(entry, "voices", voice.id, changes, f"bound again by {where}")
        elif voice.tts_provider not in KNOWN_PROVIDERS and voice.provider_voice_id is None and _whole(voice):
            # No provider ever knew it: it is spoken from its recording, as every voice of modal's.
            detail = "no provider knows it, and none has to: it is spoken from its recording"
            await self._write(entry, "voices", voice.id, {"tts_provider": "modal"}, detail)
        else:
            await self._conclude(
                entry, NEEDS_ENROLMENT, f"neither our records nor {where} know how a provider knows it"
            )

    async def _binding_of(self, voice: BrokenVoice) -> tuple[dict[str, Any] | None, str]:
        """Return what a provider knows the voice by, and who told it."""
        for binding in voice.bindings:
            if binding.get("provider") in self._enrolling(voice) and all(map(binding.get, _COMPLETE)):
                return binding, "our own record of its create"
        for name in self._enrolling(voice):
            for label in voice.labels:
                provider = self._providers.get(name)
                enrolled = await provider.find_enrolled(label) if provider is not None else None
                if enrolled is not None and _complete(enrolled.binding):
                    return _plain(enrolled.binding), f"the list of {name}, under label {label}"
        return None, "the provider's list" if self._providers else "a provider (none can be asked)"

    def _enrolling(self, voice: BrokenVoice) -> list[str]:
        """Providers that may know it: its own, or any where its own is not one of ours."""
        if voice.tts_provider in KNOWN_PROVIDERS:
            return [voice.tts_provider]
        return sorted(KNOWN_PROVIDERS)

    async def _generation_metadata(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            row = await repairs.broken_generation(conn, UUID(entry.subject))
        if row is None:
            await self._conclude(entry, UNREPAIRED, "the generation is gone")
            return
        provider = row.tts_provider if row.tts_provider in KNOWN_PROVIDERS else row.called_provider
        model = row.provider_model or row.called_model or row.voice_model
        if provider is None or model is None:
            detail = "no call on record says which model spoke it; its audio plays"
            await self._conclude(entry, UNREPAIRED, detail)
            return
        who = "its call" if row.called_model else "its voice"
        changes = {"tts_provider": provider, "provider_model": model}
        await self._write(entry, "generations", row.id, changes, f"named by {who}: {provider}, {model}")

    # --- what nobody works on -------------------------------------------------------------------------------

    async def _orphaned_generation(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            row = await repairs.broken_generation(conn, UUID(entry.subject))
        if row is None or row.status not in {"pending", "processing"}:
            detail = f"it is {row.status} by now" if row else "the generation is gone"
            await self._conclude(entry, REPAIRED if row else UNREPAIRED, detail)
            return
        stored = await self._own_audio(row) if row.task_completed else None
        async with self._transaction() as conn:
            if stored is not None and await self._relink(conn, row, *stored):
                detail = "its task completed and its audio is stored: linked again"
                await quarantine.conclude(conn, entry, REPAIRED, detail)
                return
            await generations.end_generation(conn, row.user_id, row.id, status="failed", error=LOST)
            # Ended, and its tenant is told: nothing is left to keep it from.
            await self._fail(conn, entry, "no task works on it, and no audio of it can be used: it failed")

    async def _orphaned_task(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            task = await tasks.load_task(conn, UUID(entry.subject))
            generation_id = task.generation_id if task else None
            row = await repairs.broken_generation(conn, generation_id) if generation_id else None
        if task is None:
            await self._conclude(entry, UNREPAIRED, "the task is gone")
            return
        if not task.terminal:
            async with self._transaction() as conn:
                await tasks.end_unheld(conn, task.id, Ending("failed", error=LOST))
                if row is not None:
                    await generations.end_generation(conn, row.user_id, row.id, status="failed", error=LOST)
                await self._fail(
                    conn,
                    entry,
                    "past its deadline and held by nobody: it failed, and its reservation was settled",
                )
            return
        if row is None or row.status == "completed":
            await self._conclude(entry, REPAIRED, "its generation is completed by now")
            return
        stored = await self._own_audio(row)
        async with self._transaction() as conn:
            if stored is not None and await self._relink(conn, row, *stored):
                await quarantine.conclude(conn, entry, REPAIRED, "its audio is stored: linked again")
                return
            await generations.end_generation(conn, row.user_id, row.id, status="failed", error=LOST)
            # A completed task stays completed for ever: quarantine is what shows it as failed.
            await quarantine.conclude(
                conn,
                entry,
                FAILED,
                "it completed, and what it made is not there: it shows as failed",
                owed_microusd=row.settled_microusd,
            )

    async def _relink(
        self, conn: Connection, row: BrokenGeneration, key: str, stat: ObjectStat, duration_s: float | None
    ) -> bool:
        model = row.called_model or row.voice_model
        return model is not None and await repairs.complete_from_object(
            conn,
            row,
            object_key=key,
            content_type=stat.content_type,
            sha256=stat.sha256,
            output_format=key.rpartition(".")[2],
            model=model,
            duration_s=duration_s,
        )

    # --- what is not there ----------------------------------------------------------------------------------

    async def _audio(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            row = await repairs.broken_generation(conn, UUID(entry.subject))
        if row is None:
            await self._conclude(entry, UNREPAIRED, "the generation is gone")
            return
        stat = await self._stored(row)
        if stat is None:
            if self._objects is None:
                await self._conclude(entry, UNREPAIRED, "this guard has no access to the stored audio")
                return
            detail = "its audio is lost: it shows as failed"
            await self._conclude(entry, FAILED, detail, owed_microusd=row.settled_microusd)
            return
        async with self._transaction() as conn:
            await sightings.forget_keys(conn, sightings.MISSING, GENERATIONS, [str(row.audio_object_key)])
        changes = {"audio_sha256": row.audio_sha256 or stat.sha256, "audio_content_type": stat.content_type}
        await self._write(entry, "generations", row.id, changes, "its audio is there")

    async def _reference(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            voice = await repairs.broken_voice(conn, UUID(entry.subject))
        if voice is None:
            await self._conclude(entry, UNREPAIRED, "the voice is gone")
            return
        if self._objects is None:
            await self._conclude(entry, UNREPAIRED, "this guard has no access to the stored recordings")
            return
        problem = await self._reference_problem(voice)
        if problem is not None:
            await self._conclude(entry, NEEDS_ENROLMENT, f"{problem}: it has to be cloned or designed again")
            return
        async with self._transaction() as conn:
            key = str(voice.reference_object_key)
            await sightings.forget_keys(conn, sightings.MISSING, REFERENCES, [key])
        await self._conclude(
            entry, REPAIRED, "its recording is there, with its digest, and its transcript too"
        )

    async def _reference_problem(self, voice: BrokenVoice) -> str | None:
        if not voice.reference_object_key:
            return "it has no recording"
        if not voice.has_transcript:
            return "it has no transcript"
        audio = await self._bytes(REFERENCES, voice.reference_object_key)
        if audio is None:
            return "its recording is not there, or damaged"
        if voice.reference_sha256 not in {None, hashlib.sha256(audio).hexdigest()}:
            return "its recording has another digest"
        return None

    # --- what is only listed --------------------------------------------------------------------------------

    async def _list_object(self, entry: Entry) -> None:
        await self._conclude(
            entry, LISTED, "no row stands for it; it is kept where it is, and no link opens it"
        )

    async def _list_money(self, entry: Entry) -> None:
        async with self._transaction() as conn:
            figures = await repairs.ledger_figures(conn, UUID(entry.subject))
        detail = figures.sentence if figures else "the entry is gone"
        await self._conclude(entry, LISTED, detail)

    # --- writing and asking ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with (await self._run.connect()).service() as conn:
            yield conn

    async def _conclude(self, entry: Entry, outcome: str, detail: str, *, owed_microusd: int = 0) -> None:
        async with self._transaction() as conn:
            await quarantine.conclude(conn, entry, outcome, detail, owed_microusd=owed_microusd)

    async def _fail(self, conn: Connection, entry: Entry, detail: str) -> None:
        await quarantine.conclude(conn, entry, FAILED, detail)
        await quarantine.release(conn, entry, actor=entry.actor, reason=detail)

    async def _write(
        self, entry: Entry, table: str, row_id: UUID, changes: Mapping[str, Any], detail: str
    ) -> None:
        async with self._transaction() as conn:
            replaced = await repairs.write_over(conn, table, row_id, changes)
            if replaced is None:
                await quarantine.conclude(conn, entry, UNREPAIRED, "the row is gone")
            else:
                await quarantine.conclude(conn, entry, REPAIRED, detail, replaced=replaced)

    async def _stored(self, row: BrokenGeneration) -> ObjectStat | None:
        """The generation's audio as it is stored; None where it is not there."""
        if self._objects is None or not row.audio_object_key:
            return None
        try:
            return await self._objects.stat(GENERATIONS, row.audio_object_key)
        except UnderstudyError as error:
            if error.retryable:
                raise
            return None

    async def _own_audio(self, row: BrokenGeneration) -> tuple[str, ObjectStat, float | None] | None:
        """Audio that lies where this generation's would, whole: its key, what it is, and how long."""
        if self._objects is None:
            return None
        async for item in self._objects.list(GENERATIONS, prefix=f"{row.user_id}/{row.id}."):
            audio = await self._bytes(GENERATIONS, item.key)
            stat = await self._objects.stat(GENERATIONS, item.key)
            if audio is None or stat is None:
                continue
            try:
                return item.key, stat, duration_ms(read_wav(audio)) / 1000
            except ValidationError:
                return item.key, stat, None
        return None

    async def _bytes(self, bucket: str, key: str) -> bytes | None:
        """What is stored; None where nothing is, or it is damaged."""
        if self._objects is None:
            return None
        try:
            return await self._objects.get(bucket, key)
        except UnderstudyError as error:
            if error.retryable:
                raise
            return None


def _whole(voice: BrokenVoice) -> bool:
    return bool(voice.reference_object_key) and voice.has_transcript


def _complete(binding: VoiceBinding) -> bool:
    return bool(binding.voice_id and binding.target_model and binding.kind)


def _plain(binding: VoiceBinding) -> dict[str, Any]:
    return {
        "provider": binding.provider,
        "voice_id": binding.voice_id,
        "target_model": binding.target_model,
        "kind": binding.kind,
        "region": binding.region,
        "request_id": binding.request_id,
    }
