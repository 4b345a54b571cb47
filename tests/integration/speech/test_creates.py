"""Billed creates that met a failure: bought once, recorded once, and never without a record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.integration.scripted_provider import DESIGN_COST, ENROLMENT_COST, Cue, speech_of
from tests.integration.speech.conftest import TRANSCRIPT, Studio
from tests.integration.speech.failures import refusal, wire_cut
from understudy.audio.wav import Clip, write_wav
from understudy.errors import ConflictError, ProviderError, StoreUnavailableError
from understudy.providers.base import CREATE_UNKNOWN
from understudy.providers.qwen.provider import QwenProvider
from understudy.resources import samples_dir
from understudy.speech import creates, designs, settling, voices
from understudy.speech.context import Caller
from understudy.speech.creates import CreateState, LooseCreate, loose_creates
from understudy.speech.voices import VoiceDraft
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store import claims
from understudy.store import voices as rows
from understudy.store.voices import VoiceNotCreatedError, VoiceRow

pytestmark = pytest.mark.integration

DRAFT = VoiceDraft("Elinor", "en", TRANSCRIPT)
BRIEF = {"text": "Four seven one.", "language": "English", "instruct": "a calm low voice"}


async def upload(studio: Studio, caller: Caller, data: bytes | None = None) -> voices.UploadTicket:
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id, data)
    return ticket


async def finalize(studio: Studio, caller: Caller, ticket: voices.UploadTicket) -> VoiceRow:
    return await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)


async def spent(studio: Studio) -> int:
    return sum(call["cost_microusd"] for call in await studio.calls())


def store_away_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row cannot be written, as when the process dies between the create and the save."""
    insert = rows.insert_voice

    async def away(*_: object) -> None:
        monkeypatch.setattr(rows, "insert_voice", insert)
        raise StoreUnavailableError

    monkeypatch.setattr(rows, "insert_voice", away)


async def reap(studio: Studio) -> None:
    await studio.sql(
        "UPDATE public.tasks SET deadline_at = now() - interval '1 s' WHERE status = 'processing'"
    )
    assert await settling.reap_overdue(studio.ctx) is not None


def unknown() -> ProviderError:
    error = wire_cut()
    error.provider_code = CREATE_UNKNOWN
    return error


@pytest.mark.parametrize("lost", [wire_cut, unknown])
async def test_a_create_whose_answer_was_lost_is_found_and_billed_once(
    studio: Studio, lost: Callable[[], ProviderError]
) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller)
    studio.qwen.cues.append(Cue(error=lost, made=True))
    with pytest.raises(ProviderError):
        await finalize(studio, caller, ticket)
    assert await spent(studio) == (ENROLMENT_COST if lost is unknown else 0)
    voice = await finalize(studio, caller, ticket)
    assert voice.provider_voice_id
    assert len(studio.qwen.enrolled) == 1
    assert await spent(studio) == ENROLMENT_COST


async def test_a_create_that_came_to_nothing_is_made_after_a_look(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller)
    studio.qwen.cues.append(Cue(error=refusal))
    with pytest.raises(ProviderError):
        await finalize(studio, caller, ticket)
    assert (await finalize(studio, caller, ticket)).provider_voice_id
    assert (len(studio.qwen.enrolled), len(studio.qwen.looked_up)) == (2, 1)
    assert await spent(studio) == ENROLMENT_COST


async def test_a_first_attempt_asks_for_nothing(studio: Studio) -> None:
    await studio.flip("qwen")
    await studio.voice(await studio.caller())
    assert studio.qwen.looked_up == []


async def test_a_save_that_the_database_refused_keeps_the_paid_voice(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller)
    await studio.sql("ALTER TABLE public.voices ADD CONSTRAINT refused CHECK (name <> 'Elinor')")
    with pytest.raises(VoiceNotCreatedError):
        await finalize(studio, caller, ticket)
    (loose,) = await loose_creates(studio.ctx.database, studio.qwen)
    assert (loose.state, loose.user_id) == (CreateState.UNCLAIMED, caller.user_id)
    await studio.sql("ALTER TABLE public.voices DROP CONSTRAINT refused")
    await studio.upload(caller, ticket.voice_id)
    voice = await finalize(studio, caller, ticket)
    assert voice.provider_voice_id == loose.voice_id
    assert (len(studio.qwen.enrolled), studio.qwen.looked_up) == (1, [])
    assert await spent(studio) == ENROLMENT_COST
    assert await loose_creates(studio.ctx.database, studio.qwen) == []


async def test_a_process_that_died_before_the_save_costs_one_create(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller)
    store_away_once(monkeypatch)
    with pytest.raises(StoreUnavailableError):
        await finalize(studio, caller, ticket)
    with pytest.raises(ConflictError, match="being created"):
        await finalize(studio, caller, ticket)
    await reap(studio)
    assert (await finalize(studio, caller, ticket)).provider_voice_id
    assert len(studio.qwen.enrolled) == 1
    assert await spent(studio) == ENROLMENT_COST


async def test_another_recording_is_another_create(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller)
    store_away_once(monkeypatch)
    with pytest.raises(StoreUnavailableError):
        await finalize(studio, caller, ticket)
    await reap(studio)
    other = Clip(speech_of(TRANSCRIPT).samples[: 24_000 * 2], 24_000)
    await studio.upload(caller, ticket.voice_id, write_wav(other))
    voice = await finalize(studio, caller, ticket)
    assert voice.reference_sha256 is not None
    assert voice.provider_voice_id == f"qwen-tts-vc-{creates.clone_label(voice.id, voice.reference_sha256)}"
    assert len(studio.qwen.enrolled) == 2
    (loose,) = await loose_creates(studio.ctx.database, studio.qwen)
    assert loose.state is CreateState.UNCLAIMED


async def sent_by_a_dead_worker(studio: Studio, caller: Caller) -> str:
    task = await designs.start_preview(studio.ctx, caller, **BRIEF)
    async with studio.ctx.database.service() as conn:
        row = await claims.claim_task(conn, task.id, "dead/1", 3600.0)
        assert row is not None
        assert await claims.mark_dispatched(conn, claims.Claim(row.id, "dead/1", row.attempts))
    await studio.sql("UPDATE public.tasks SET lease_expires_at = now() - interval '1 s'")
    return creates.design_label(task.id)


async def test_a_design_of_a_dead_worker_is_recovered_by_its_label(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    label = await sent_by_a_dead_worker(studio, caller)
    studio.qwen.designs.add(label)
    (row,) = await studio.sql("SELECT id FROM public.tasks")
    async with studio.working():
        task = await studio.ended(row["id"])
    assert task.status == "completed"
    assert (studio.qwen.designed, studio.qwen.looked_up) == ([], [label])
    assert await spent(studio) == DESIGN_COST
    voice = await designs.save_design(
        studio.ctx, caller, name="Host", text="", language=None, instruct="", task_id=task.id
    )
    assert voice.provider_voice_id == f"qwen-tts-vd-{label}"


async def test_a_design_that_may_be_on_the_bill_is_counted_as_if_it_were(studio: Studio) -> None:
    await studio.flip("qwen")
    studio.qwen.cues.append(Cue(error=unknown))
    async with studio.working():
        started = await designs.start_preview(studio.ctx, await studio.caller(), **BRIEF)
        task = await studio.ended(started.id)
    assert task.status == "failed"
    (call,) = await studio.calls()
    assert (call["outcome"], call["cost_microusd"], call["billable"]) == ("failed", DESIGN_COST, False)


def states(found: list[LooseCreate]) -> list[tuple[CreateState, str | None]]:
    return sorted((create.state, create.label) for create in found)


async def test_every_kind_of_loose_create_is_listed(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    await studio.voice(caller)
    studio.qwen.designs |= {"nobodys", "carried"}
    await studio.sql(
        "INSERT INTO understudy.carry_overs (voice_id, provider, target_model, region, user_id, run_id,"
        " label, state, cost_microusd) VALUES (%s, 'qwen', 'm', 'intl', %s, %s, 'carried', 'intended', 1)",
        *(uuid4() for _ in range(3)),
    )
    async with studio.working():
        saved, unsaved = [await designs.start_preview(studio.ctx, caller, **BRIEF) for _ in range(2)]
        await studio.ended(saved.id)
        await studio.ended(unsaved.id)
        studio.qwen.cues.append(Cue(error=wire_cut))
        unknown = await designs.start_preview(studio.ctx, caller, **BRIEF)
        await studio.ended(unknown.id)
        studio.qwen.cues.append(Cue(error=wire_cut, made=True))
        unclaimed = await designs.start_preview(studio.ctx, caller, **BRIEF)
        await studio.ended(unclaimed.id)
    await designs.save_design(
        studio.ctx, caller, name="Host", text="", language=None, instruct="", task_id=saved.id
    )
    found = await loose_creates(studio.ctx.database, studio.qwen)
    assert states(found) == sorted(
        [
            (CreateState.ORPHAN, "nobodys"),
            (CreateState.UNCLAIMED, "carried"),
            (CreateState.UNSAVED, creates.design_label(unsaved.id)),
            (CreateState.UNKNOWN, creates.design_label(unknown.id)),
            (CreateState.UNCLAIMED, creates.design_label(unclaimed.id)),
        ]
    )
    assert {create.user_id for create in found} == {caller.user_id, None}


async def test_a_provider_that_bills_no_create_has_nothing_to_reconcile(studio: Studio) -> None:
    async with studio.working():
        task = await designs.start_preview(studio.ctx, await studio.caller(), **BRIEF)
        await studio.ended(task.id)
    assert await loose_creates(studio.ctx.database, studio.modal) == []


class Account:
    """The stand-in of DashScope that one studio's Qwen provider speaks to."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession) -> None:
        self._base_url = base_url
        self._http = http

    async def stats(self) -> dict[str, int]:
        async with self._http.get(self._base_url + "/_stats") as answer:
            return dict(await answer.json())

    async def fault(self, **probabilities: float) -> None:
        async with self._http.post(self._base_url + "/_faults", json=probabilities) as answer:
            assert answer.status == 200, await answer.text()


@pytest_asyncio.fixture
async def account(studio: Studio, tmp_path: Path) -> AsyncIterator[Account]:
    """Put the real adapter in the scripted one's place, at a stand-in."""
    async with (
        running_standins(tmp_path / "standins", StandInSettings()) as addresses,
        aiohttp.ClientSession() as http,
    ):
        settings = studio.ctx.settings.model_copy(
            update={
                "dashscope_base_url": addresses.dashscope,
                "dashscope_api_key": SecretStr("sk-standin-intl-0001"),
            }
        )
        provider = QwenProvider(settings)
        studio.ctx.providers["qwen"] = provider
        yield Account(addresses.dashscope, http)
        await provider.close()


def recorded() -> bytes:
    return (samples_dir() / "austen-0870.wav").read_bytes()


@pytest.mark.parametrize("died", [False, True])
async def test_between_create_and_save_the_vendor_bills_one_create(
    studio: Studio, account: Account, monkeypatch: pytest.MonkeyPatch, died: bool
) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller, recorded())
    if died:
        store_away_once(monkeypatch)
        with pytest.raises(StoreUnavailableError):
            await finalize(studio, caller, ticket)
        await reap(studio)
    else:
        await studio.sql("ALTER TABLE public.voices ADD CONSTRAINT refused CHECK (name <> 'Elinor')")
        with pytest.raises(VoiceNotCreatedError):
            await finalize(studio, caller, ticket)
        await studio.sql("ALTER TABLE public.voices DROP CONSTRAINT refused")
        await studio.upload(caller, ticket.voice_id, recorded())
    first, second = await asyncio.gather(
        finalize(studio, caller, ticket), finalize(studio, caller, ticket), return_exceptions=True
    )
    made = first if isinstance(first, VoiceRow) else second
    assert isinstance(made, VoiceRow)
    assert (made.provider_voice_kind, made.provider_region) == ("vc", "intl")
    assert (await account.stats())["clone_creates"] == 1
    assert await spent(studio) == 10_000


async def test_a_degraded_clone_is_told_and_kept(studio: Studio, account: Account) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await upload(studio, caller, recorded())
    await account.fault(fallback_mode=1)
    voice = await finalize(studio, caller, ticket)
    assert voice.degraded
    assert voice.provider_metadata is not None
    assert voice.provider_metadata["degraded"] is True
    assert voice.provider_metadata["fallback_reason"]


async def test_a_design_whose_answer_is_lost_is_heard_all_the_same(studio: Studio, account: Account) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    await account.fault(create_answer_lost=1)
    async with studio.working():
        task = await studio.ended((await designs.start_preview(studio.ctx, caller, **BRIEF)).id)
    assert task.status == "completed", task.error
    assert task.metadata["binding"]["metadata"] == {"recovered": True}
    assert (await account.stats())["design_creates"] == 1
    assert await spent(studio) > DESIGN_COST
    voice = await designs.save_design(
        studio.ctx, caller, name="Host", text="", language=None, instruct="", task_id=task.id
    )
    assert (voice.provider_voice_kind, voice.provider_metadata) == ("vd", {"recovered": True})
    assert await loose_creates(studio.ctx.database, studio.ctx.provider("qwen")) == []
