"""Rung 0, reads closed: what leaks is refused on every api, read back from each, opened by a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.integration.api.conftest import Api, SignUp, User, api, serving, settings, sign_up, user
from tests.integration.api.test_routes import clone
from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.performing import KilledError, document_of, perform, run_of, typed
from tests.unit.findings import finding_of
from understudy.clock import SystemClock
from understudy.restoration.actions.close_reads import STEPS
from understudy.restoration.actions.step import Progress, StepError
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.targets.base import TargetCapabilities
from understudy.restoration.triggers.verdict import Finding
from understudy.rollout.mode import ModeReader
from understudy.rollout.reads import KINDS, ReadsReader, set_reads
from understudy.settings import Settings
from understudy.store.closed_reads import closed_history, holders, read_closed
from understudy.store.database import Database

pytestmark = pytest.mark.integration

__all__ = ["SignUp", "api", "settings", "sign_up", "user"]


def leak(*routes: str) -> Finding:
    """A canary read another's at these routes."""
    return finding_of("security/cross_tenant_read", evidence={"routes": list(routes)})


def secret(**evidence: Any) -> Finding:
    """A secret stood where none may."""
    return finding_of("security/secret_leak", evidence=evidence)


async def closed(database: Database) -> dict[str, int]:
    async with database.service() as conn:
        return {name: row.epoch for name, row in (await read_closed(conn)).items() if row.closed}


async def test_what_the_routes_read_is_closed_and_read_back_from_every_api(
    api: Api, user: User, database: Database, tmp_path: Path
) -> None:
    voice = await clone(api, user)
    async with user.client.get(f"/api/voices/{voice}/preview", allow_redirects=False) as answer:
        link = answer.headers["Location"]
    finding = leak("GET /api/voices/:voice/preview")
    evidence = await perform(STEPS, run_of(database, tmp_path, finding, base_url=api.base))
    assert evidence["close_reads"]["closed"] == {"audio": 1, "voices": 1}
    assert evidence["close_reads"]["routes"] == ["GET /api/voices/:voice/preview"]
    (process,) = evidence["read_back"]["processes"]
    assert process["reads_epoch"] == 1
    assert {(one["kind"], one["status"]) for one in evidence["read_back"]["outside"]} == {
        ("audio", 503),
        ("voices", 503),
    }
    async with user.client.get(link) as answer:
        assert answer.status == 503
    async with user.client.get("/api/generations") as answer:
        assert answer.status == 200

    async def connect() -> Database:
        return database

    # What a probe is held up by: a refusal of ours judges no provider.
    assert await ProbeRecords(connect).closed_reads() == ["audio", "voices"]


async def test_it_is_not_read_back_while_one_api_does_not_hold_it(
    api: Api, database: Database, tmp_path: Path, eventually: Any
) -> None:
    run = run_of(database, tmp_path, leak("GET /api/generations"), base_url=api.base)
    # A second api that does not follow closed reads, as one of an older release.
    older = ModeReader(database, Settings(), kind="api", clock=SystemClock())
    await older.start()
    try:
        step, read_back = STEPS
        await step.act(run, "key")
        assert (await step.look(run, "key")).progress is Progress.DONE

        async def only_the_older_lacks() -> bool:
            sighting = await read_back.look(run, "key")
            return sighting.progress is Progress.PENDING and sighting.detail.count("holds") == 1

        await eventually(only_the_older_lacks, what="the api that follows holds it")
        assert "holds none of epoch 1" in (await read_back.look(run, "key")).detail
        newer = ReadsReader(database, SystemClock(), instance=older.instance)
        await newer.start()
        await newer.stop()
        assert (await read_back.look(run, "key")).progress is Progress.DONE
    finally:
        await older.stop()


@pytest.mark.parametrize("killed_after", ["close_reads", None])
async def test_performed_twice_or_killed_in_between_it_is_closed_once(
    api: Api, database: Database, tmp_path: Path, killed_after: str | None
) -> None:
    run = run_of(database, tmp_path, leak("GET /api/tasks/:task"), base_url=api.base)
    if killed_after:
        with pytest.raises(KilledError):
            await perform(STEPS, run, killed_after=killed_after)
    else:
        await perform(STEPS, run)
    await perform(STEPS, run)
    assert await closed(database) == {"audio": 1, "tasks": 1}
    async with database.service() as conn:
        assert len(await closed_history(conn)) == 2


async def test_a_second_finding_closes_what_it_concerns_and_the_first_word_stays(
    api: Api, database: Database, tmp_path: Path
) -> None:
    await set_reads(database, ["voices"], closed=True, actor="person:ada", reason="mine")
    findings = (leak("GET /api/voices"), leak("GET /api/generations"))
    evidence = await perform(STEPS, run_of(database, tmp_path, *findings, base_url=api.base))
    assert evidence["close_reads"]["closed"] == {"voices": 1, "generations": 2}
    assert evidence["close_reads"]["by"]["voices"] == "person:ada: mine"


async def test_an_answer_of_an_unknown_route_closes_all_reads(
    api: Api, database: Database, tmp_path: Path
) -> None:
    finding = secret(routes=[], unrouted_answers=1)
    await perform(STEPS, run_of(database, tmp_path, finding, base_url=api.base))
    assert set(await closed(database)) == set(KINDS)


@pytest.mark.parametrize(
    "finding",
    [secret(routes=[], unrouted_answers=0), leak("DELETE /api/voices/:voice")],
    ids=["log", "write"],
)
async def test_what_is_no_read_is_left_to_a_person(
    finding: Finding, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match="No read can be closed") as refused:
        await perform(STEPS, run_of(database, tmp_path, finding))
    assert refused.value.hopeless
    assert await closed(database) == {}


async def test_a_target_that_does_not_follow_is_left_to_a_person(database: Database, tmp_path: Path) -> None:
    run = run_of(database, tmp_path, leak("GET /api/voices"))
    run.target.capabilities = TargetCapabilities(live_switch=False, restore_beside=False)  # type: ignore[misc]
    with pytest.raises(StepError, match="out of service there") as refused:
        await perform(STEPS, run)
    assert refused.value.hopeless


async def test_a_person_closes_looks_and_opens(
    api: Api, database_urls: DatabaseUrls, tmp_path: Path, eventually: Any
) -> None:
    async def told(*words: str) -> Any:
        return document_of(await typed(tmp_path, database_urls.app, "reads", *words, "--json"))

    shut = await told("close", "voices", "audio", "--reason", "a leak")
    assert sorted(shut["changed"]) == ["audio", "voices"]

    async def held() -> bool:
        async with api.ctx.database.service() as conn:
            return [one.reads_epoch for one in await holders(conn, 5)] == [1]

    await eventually(held, what="held by the api")
    seen = await told("status")
    assert {row["name"] for row in seen["closed"]} == {"audio", "voices"}
    assert [one["current"] for one in seen["processes"]] == [True]
    assert (await told("open", "--reason", "mended"))["closed"] == []
    empty = await typed(tmp_path, database_urls.app, "reads", "open", "--reason", " ")
    assert empty.exit_code == 1
    assert "--reason is empty" in empty.stderr


async def test_a_secret_in_an_answer_is_on_record_with_its_route(
    settings: Settings, database: Database, eventually: Any
) -> None:
    canary = f"canary-{uuid4().hex}"
    planted = settings.model_copy(update={"planted_canaries": SecretStr(canary)})
    account = {"email": "a@example.org", "password": "long enough", "data": {"note": canary}}
    async with serving(planted) as served:
        async with served.client.post("/auth/v1/signup", json=account) as answer:
            assert answer.status == 500

        async def told() -> bool:
            async with database.service() as conn:
                cursor = await conn.execute("select route from understudy.secret_hits")
                return [row["route"] for row in await cursor.fetchall()] == ["POST /auth/v1/signup"]

        await eventually(told, what="the hit with its route")
