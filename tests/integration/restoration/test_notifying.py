"""The outbox against real receivers: down, broken, slow, throttling, refusing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.errors import ConfigurationError
from understudy.logs import Redactor
from understudy.restoration.guard.alarms import Alarms
from understudy.restoration.guard.channels import (
    Channel,
    CloudEventsChannel,
    PagerDutyChannel,
    SlackChannel,
    channels_of,
)
from understudy.restoration.guard.heartbeat import Heartbeat, read_heartbeat, stale_heartbeat
from understudy.restoration.guard.notifying import LONGEST_RETRY_S, Notifier
from understudy.restoration.guard.process import alarms_beside
from understudy.restoration.incidents import IncidentBook
from understudy.settings import Settings
from understudy.store.guard import GuardStore, Lease

pytestmark = pytest.mark.integration

SECRET_PATH = "T000-B000-veryverysecret"
ROUTING_KEY = SecretStr("0123456789abcdef0123456789abcdef")
REDACTOR = Redactor([ROUTING_KEY, "sk-planted-secret-1"])
CLOSED_PORT = SecretStr(f"http://127.0.0.1:9/{SECRET_PATH}")


class Receiver:
    """Answers what it is told to and keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.types: list[str] = []
        self.answers: list[web.Response | Callable[[], Awaitable[web.Response]]] = []
        self.url = SecretStr("")

    async def handle(self, request: web.Request) -> web.Response:
        answer = self.answers.pop(0) if self.answers else web.Response(text="ok")
        if callable(answer):
            answer = await answer()
        if answer.status < 300 and request.can_read_body:
            self.got.append(await request.json())
            self.types.append(request.content_type)
        return answer


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = SecretStr(f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET_PATH}")
    yield found
    await runner.cleanup()


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.3)) as opened:
        yield opened


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> GuardStore:
    return GuardStore(tmp_path / "guard.sqlite3", clock)


class Story:
    """Writes an incident's life into the journal."""

    def __init__(self, store: GuardStore) -> None:
        self.store = store
        lease = store.acquire("production", "a", lifetime_s=10**9)
        assert isinstance(lease, Lease)
        self.lease = lease

    def opened(self) -> None:
        body = {"finding": {"detail": "40 of 40 calls failed <&>"}, "action": "env_switch"}
        self.store.open_incident(
            self.lease, environment="production", incident="inc-1", state="OPEN",
            title="Success rate on qwen below the SLO", actor="guard", body=body,
        )  # fmt: skip

    def page(self, message: str = "Restoration on hold: sk-planted-secret-1") -> None:
        body = {"about": message, "message": message, "instruction": "Flip by hand."}
        self.store.append(self.lease, incident="inc-1", kind="page", actor="guard", body=body)

    def move(self, before: str, after: str) -> None:
        self.store.append(
            self.lease, incident="inc-1", kind="state", actor="guard", body={}, move=(before, after)
        )

    def entry(self, kind: str, **body: Any) -> None:
        self.store.append(self.lease, incident="inc-1", kind=kind, actor="person:ada", body=body)


def notifier(store: GuardStore, clock: HandClock, *channels: Channel, leads: bool = True) -> Notifier:
    return Notifier(store, channels, clock, environment="production", leads=lambda: leads, random=Random(1))


async def test_each_channel_says_it_in_its_own_format_and_order(
    store: GuardStore, clock: HandClock, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    story = Story(store)
    slack = SlackChannel(receiver.url, REDACTOR)
    pager = PagerDutyChannel(receiver.url, REDACTOR, routing_key=ROUTING_KEY)
    events = CloudEventsChannel(receiver.url, REDACTOR)
    told = notifier(store, clock, slack, pager, events)
    story.opened()
    story.entry("intent", plan={})
    story.page()
    story.entry("ack")
    story.move("OPEN", "RESTORING")
    story.move("RESTORING", "MITIGATED")
    story.move("MITIGATED", "RECOVERED")
    story.move("RECOVERED", "CLOSED")
    store.announce(story.lease, kind="alarm", actor="guard", body={"name": "blind", "message": "no database"})
    store.announce(story.lease, kind="alarm_over", actor="guard", body={"name": "blind"})

    async def everything(channel: Channel) -> list[dict[str, Any]]:
        receiver.got.clear()
        while await told.deliver_next(channel, session):
            pass
        return receiver.got

    texts = [message["text"] for message in await everything(slack)]
    heads = [text.split("*")[1] for text in texts]
    assert heads == [
        "OPEN", "PAGE", "ACKNOWLEDGED", "MITIGATED", "RECOVERED", "CLOSED", "ALARM", "ALARM OVER",
    ]  # fmt: skip
    assert "40 of 40 calls failed &lt;&amp;&gt;" in texts[0]
    assert "understudy incident watch inc-1" in texts[0]
    assert "*What to do:* Flip by hand." in texts[1]
    assert "[redacted]" in texts[1]

    pages = await everything(pager)
    assert [event["event_action"] for event in pages] == [
        "trigger", "trigger", "acknowledge", "trigger", "trigger", "resolve", "trigger", "resolve",
    ]  # fmt: skip
    assert {event["dedup_key"] for event in pages[:6]} == {"inc-1"}
    assert {event["dedup_key"] for event in pages[6:]} == {"guard-production-blind"}
    assert {event["routing_key"] for event in pages} == {ROUTING_KEY.get_secret_value()}
    payload = pages[1]["payload"]
    assert (payload["source"], payload["severity"]) == ("production", "critical")
    assert len(payload["summary"]) <= 1024
    assert "sk-planted" not in json.dumps(pages)

    clouds = await everything(events)
    assert [event["type"].rsplit(".", 1)[1] for event in clouds] == [
        "opened", "page", "acknowledged", "mitigated", "recovered", "closed", "alarm", "alarm_over",
    ]  # fmt: skip
    assert {event["specversion"] for event in clouds} == {"1.0"}
    assert len({event["id"] for event in clouds}) == len(clouds)
    assert receiver.types[-1] == "application/cloudevents+json"
    assert [row.delivered for row in store.outbox.channels()] == [8, 8, 8]
    assert told.alarms() == {}


async def test_trouble_is_retried_with_a_doubling_wait_and_nothing_is_lost(
    store: GuardStore, clock: HandClock, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    story = Story(store)
    slack = SlackChannel(receiver.url, REDACTOR)
    told = notifier(store, clock, slack)
    story.opened()
    story.page("second")

    async def hang() -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    receiver.answers = [
        web.Response(status=500, text="oops"),
        web.Response(status=429, headers={"Retry-After": "120"}),
        hang,
        web.Response(status=408),
    ]
    waits = []
    for _ in range(4):
        assert not await told.deliver_next(slack, session)
        row = store.outbox.channel("slack")
        assert row.next_attempt_at is not None
        waits.append((row.next_attempt_at - clock.now()).total_seconds())
        assert not await told.deliver_next(slack, session)  # not due: the receiver is left alone
        assert store.outbox.channel("slack").attempts == row.attempts
        clock.advance(waits[-1])
    assert 0.5 <= waits[0] <= 1
    assert waits[1] == 120
    assert 2 <= waits[2] <= 4 <= waits[3] <= 8
    assert "no answer in time" not in str(store.outbox.channel("slack").last_error)
    assert "4 attempts failed" in told.alarms()["outbox slack"]
    while await told.deliver_next(slack, session):
        pass
    assert ["40 of 40" in receiver.got[0]["text"], "second" in receiver.got[1]["text"]] == [True, True]
    assert told.alarms() == {}
    assert told._retry_s(60, None) <= LONGEST_RETRY_S
    assert told._retry_s(0, 10**9) == 3600


async def test_what_cannot_be_delivered_is_a_dead_letter_and_an_alarm(
    store: GuardStore, clock: HandClock, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    story = Story(store)
    slack, dead = SlackChannel(receiver.url, REDACTOR), CloudEventsChannel(CLOSED_PORT, REDACTOR)
    told = notifier(store, clock, slack, dead)
    story.opened()
    store.outbox.channel("pagerduty")
    story.page("later")
    receiver.answers = [web.Response(status=400, text="invalid_payload")]
    await told.deliver_next(slack, session)
    assert "invalid_payload" in told.alarms()["outbox slack"]
    await told.deliver_next(slack, session)
    assert len(receiver.got) == 1  # the refused one did not hold up the next

    await told.deliver_next(dead, session)
    clock.advance(timedelta(hours=23, minutes=59).total_seconds())
    await told.deliver_next(dead, session)
    assert [letter.channel for letter in store.outbox.dead_letters()] == ["slack"]
    clock.advance(600)
    for _ in range(2):
        await told.deliver_next(dead, session)
    assert store.outbox.channel("cloudevents").sent_seq == store.head()
    # PagerDuty was switched off since, with a page to tell.
    clock.advance(timedelta(days=30).total_seconds())
    story.page("a month later")
    pager = PagerDutyChannel(receiver.url, REDACTOR, routing_key=ROUTING_KEY)
    receiver.got.clear()
    while await told.deliver_next(pager, session):
        pass
    assert ["a month later" in event["payload"]["summary"] for event in receiver.got] == [True]
    found = told.document()
    assert [letter["channel"] for letter in found["dead_letters"]].count("cloudevents") == 2
    assert SECRET_PATH not in json.dumps(found)


async def test_a_dead_channel_is_told_of_on_the_others_and_never_on_itself(
    store: GuardStore, clock: HandClock, tmp_path: Path, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    story = Story(store)
    slack = SlackChannel(receiver.url, REDACTOR)
    pager = PagerDutyChannel(receiver.url, REDACTOR, routing_key=ROUTING_KEY)
    told = notifier(store, clock, slack, pager)
    book = IncidentBook(store, "production", clock)
    book.lease = story.lease
    alarms = Alarms(book, clock, {})
    nobody: Any = SimpleNamespace(alarm=lambda: None, alarms=dict)

    async def minute(*, slack_is_dead: bool) -> None:
        for channel in (slack, pager):
            while True:
                refuses = slack_is_dead and channel is slack
                receiver.answers = [web.Response(status=410)] if refuses else []
                if not await told.deliver_next(channel, session):
                    break
        clock.advance(60)
        for name, message in alarms_beside(nobody, told, nobody, Heartbeat(tmp_path, clock)).items():
            alarms.say(name, message)
        alarms.announce()

    story.opened()
    for _ in range(4):
        await minute(slack_is_dead=True)
    assert [letter.channel for letter in store.outbox.dead_letters()] == ["slack"]
    events = [event["payload"]["class"] for event in receiver.got]
    assert events == ["opened", "alarm"]
    assert "outbox slack" in receiver.got[1]["payload"]["summary"]
    clock.advance(timedelta(days=1).total_seconds())
    for _ in range(2):
        await minute(slack_is_dead=False)
    assert [entry.kind for entry in store.entries()].count("alarm") == 1


async def test_a_dead_channel_blocks_no_other_and_a_follower_tells_nobody(
    store: GuardStore,
    receiver: Receiver,
    clock: HandClock,
    eventually: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = Story(store)
    black_hole = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
    port = black_hole.getsockname()[1]
    channels = (
        SlackChannel(SecretStr(f"http://127.0.0.1:{port}/{SECRET_PATH}"), REDACTOR),
        CloudEventsChannel(CLOSED_PORT, REDACTOR),
        PagerDutyChannel(receiver.url, REDACTOR, routing_key=ROUTING_KEY),
    )
    leads, asked = [False], []

    def lead() -> bool:
        asked.append(1)
        return leads[0]

    told = Notifier(store, channels, clock, environment="production", leads=lead, random=Random(1))
    stop = asyncio.Event()
    running = asyncio.create_task(told.run(stop))
    story.opened()
    await eventually(lambda: len(asked) >= 3, what="a look of each channel", within_s=5)
    await asyncio.sleep(0)
    assert receiver.got == []
    leads[0] = True
    await eventually(lambda: len(receiver.got) == 1, what="the pager's page", within_s=5)
    stop.set()
    await asyncio.wait_for(running, 2)
    black_hole.close()
    logged = "".join(capsys.readouterr())
    assert "notice_not_delivered" in logged
    assert SECRET_PATH not in logged
    assert ROUTING_KEY.get_secret_value() not in logged


def test_addresses_are_checked_and_never_quoted() -> None:
    for url, said in (("http://hooks.example.org/hunter22", "only https"), ("hunter22", "is not a URL")):
        settings = Settings.model_construct(
            guard_slack_webhook_url=SecretStr(url),
            guard_pagerduty_routing_key=SecretStr(""),
            guard_cloudevents_url=SecretStr(""),
        )
        with pytest.raises(ConfigurationError, match=said) as caught:
            channels_of(settings, Redactor())
        assert "hunter22" not in caught.value.message


async def test_the_deadman_is_told_only_of_completed_looks(
    tmp_path: Path,
    clock: HandClock,
    receiver: Receiver,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pings: list[int] = []

    async def ping() -> web.Response:
        pings.append(1)
        return web.Response(status=500 if len(pings) > 1 else 200)

    receiver.answers = [ping, ping]
    heart = Heartbeat(tmp_path, clock, deadman_url=receiver.url, deadman_interval_s=60)
    assert "No guard has completed a look" in str(stale_heartbeat(tmp_path, clock.now()))
    clock.advance(11)
    assert heart.age_s() == 11
    stop = asyncio.Event()
    running = asyncio.create_task(heart.run(stop))
    heart.url = "http://127.0.0.1:1"
    beat = {"leads": True, "verdicts": {"cost": "PASS"}, "incident": None, "cycle_ms": 3.0}
    heart.beat(**beat)
    await eventually(lambda: pings, what="the first ping", within_s=5)
    assert (heart.age_s(), set(heart.alarms().values())) == (0, {None})
    found = read_heartbeat(tmp_path)
    assert found is not None
    assert (found["url"], found["leads"], found["verdicts"]) == ("http://127.0.0.1:1", True, {"cost": "PASS"})
    assert stale_heartbeat(tmp_path, clock.now() + timedelta(seconds=10)) is None
    assert "11 s ago" in str(stale_heartbeat(tmp_path, clock.now() + timedelta(seconds=11)))
    assert "in the future" in str(stale_heartbeat(tmp_path, clock.now() - timedelta(seconds=60)))
    heart.beat(**beat)
    follower = Heartbeat(tmp_path, clock)
    with monkeypatch.context() as patched:
        patched.setattr("understudy.restoration.guard.heartbeat.os.getpid", lambda: 7)
        follower.beat(**{**beat, "leads": False})
        assert (read_heartbeat(tmp_path) or {})["leads"] is True  # the leader's beat is the one to hear
        clock.advance(10)
        follower.beat(**{**beat, "leads": False})
        assert (read_heartbeat(tmp_path) or {})["pid"] == 7
    clock.advance(50)
    await eventually(lambda: heart.alarms()["dead-man webhook"], what="a problem", within_s=5)
    assert heart.alarms() == {"heartbeat": None, "dead-man webhook": "the dead-man webhook answered 500"}
    stop.set()
    await asyncio.wait_for(running, 2)
    assert len(pings) == 2

    (tmp_path / "guard" / "heartbeat.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read as a heartbeat"):
        read_heartbeat(tmp_path)
