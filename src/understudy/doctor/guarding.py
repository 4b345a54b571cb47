"""The guard: where it remembers, what it sees with, whom it tells, and whether it lives."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from understudy.clock import Clock
from understudy.digests import UNGUESSABLE_CHARS
from understudy.doctor.findings import Finding, fail, ok, warn
from understudy.errors import ConfigurationError, UnderstudyError
from understudy.logs import Redactor
from understudy.processes.home import Home
from understudy.restoration.guard.channels import channels_of, check_secret_url
from understudy.restoration.guard.heartbeat import stale_heartbeat
from understudy.restoration.signals.choosing import check_source
from understudy.settings import Settings
from understudy.store.guard import GUARD_FILE, open_guard_store

AREA = "guard"


def look_at_guard(settings: Settings, home: Home, clock: Clock) -> list[Finding]:
    """Return findings of the guard; its own Postgres is opened as it does itself, nobody is told anything."""
    return [
        _store(settings, home, clock),
        _signals(settings),
        _channels(settings),
        _deadman(settings),
        _metrics_token(settings),
        _canaries(settings),
        _heartbeat(home, clock.now()),
    ]


def _store(settings: Settings, home: Home, clock: Clock) -> Finding:
    if settings.guard_store_url.get_secret_value():
        try:
            with open_guard_store(home.root, settings, clock):
                return ok(AREA, "store", "the Postgres of GUARD_STORE_URL answers")
        except UnderstudyError as error:
            fix = "Correct GUARD_STORE_URL, or leave it empty: the store is then a file of the home."
            return fail(AREA, "store", error.message, fix)
    file = home.root / GUARD_FILE
    place = _existing(file)
    usable = place.is_file() if place == file else place.is_dir()
    if usable and os.access(place, os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0)):
        return ok(AREA, "store", f"{file} can be written")
    fix = "Let this user write there, or point UNDERSTUDY_HOME to another folder."
    return fail(AREA, "store", f"{file} cannot be written: see {place}", fix)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _signals(settings: Settings) -> Finding:
    try:
        check_source(settings)
    except ConfigurationError as error:
        fix = "Correct it: the guard does not start with it."
        return fail(AREA, "signals", error.message, fix)
    return ok(AREA, "signals", f"seen through {settings.guard_signal_source}")


def _channels(settings: Settings) -> Finding:
    try:
        channels = channels_of(settings, Redactor(settings.secrets()))
    except ConfigurationError as error:
        fix = "Correct the address: the guard does not start with it."
        return fail(AREA, "channels", error.message, fix)
    if channels:
        return ok(AREA, "channels", f"tells {' and '.join(channel.name for channel in channels)}")
    fix = (
        "Set GUARD_SLACK_WEBHOOK_URL, GUARD_PAGERDUTY_ROUTING_KEY or GUARD_CLOUDEVENTS_URL, unless somebody "
        "always looks at `understudy status`."
    )
    return warn(AREA, "channels", "none: nobody is told of an incident", fix)


def _deadman(settings: Settings) -> Finding:
    if not settings.guard_deadman_url.get_secret_value():
        return ok(AREA, "dead-man webhook", "none")
    try:
        check_secret_url("GUARD_DEADMAN_URL", settings.guard_deadman_url)
    except ConfigurationError as error:
        fix = "Correct the address: the guard does not start with it."
        return fail(AREA, "dead-man webhook", error.message, fix)
    return ok(AREA, "dead-man webhook", f"asked each {settings.guard_deadman_interval_s:g} s")


def _metrics_token(settings: Settings) -> Finding:
    characters = len(settings.metrics_token.get_secret_value())
    if not characters:
        return ok(AREA, "METRICS_TOKEN", "none: only this machine reads /metrics")
    if characters >= UNGUESSABLE_CHARS:
        return ok(AREA, "METRICS_TOKEN", f"{characters} characters")
    fix = f"Make it {UNGUESSABLE_CHARS} random characters or more: a shorter one is guessed."
    return warn(AREA, "METRICS_TOKEN", f"{characters} characters only", fix)


def _canaries(settings: Settings) -> Finding:
    try:
        planted = settings.canaries()
    except ConfigurationError as error:
        problem, _, fix = error.message.partition(". ")
        return fail(AREA, "PLANTED_CANARIES", f"{problem}.", fix)
    return ok(AREA, "PLANTED_CANARIES", f"{len(planted)} planted" if planted else "none planted")


def _heartbeat(home: Home, now: datetime) -> Finding:
    if not home.state_file.exists():
        return ok(AREA, "heartbeat", "nothing of this home runs")
    try:
        problem = stale_heartbeat(home.root, now)
    except ConfigurationError as error:
        problem = error.message
    if problem is None:
        return ok(AREA, "heartbeat", "it has just completed a look")
    fix = f"Read {home.logs} for why it ended, and start it: understudy guard --home {home.root}"
    return warn(AREA, "heartbeat", problem, fix)
