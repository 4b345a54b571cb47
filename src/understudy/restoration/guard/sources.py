"""What the guard sees with, built from settings and policy: source, observers, probes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from understudy.clock import Clock
from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.restoration.guard.connecting import migrating_url
from understudy.restoration.guard.preparing import settings_now
from understudy.restoration.guard.watching import Observer, Reading, Watcher
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.probes import PROBE_CANARIES_FILE, ProbePlan, ProbeRunner, lane_of
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.choosing import choose_source
from understudy.restoration.signals.cost import CostObserver
from understudy.restoration.signals.integrity import IntegrityObserver
from understudy.restoration.signals.playback import PlaybackObserver
from understudy.restoration.signals.schema import SchemaWatch
from understudy.restoration.signals.security import SecurityObserver
from understudy.restoration.targets.base import Target
from understudy.restoration.verification.canaries import remembered_identities
from understudy.settings import Settings
from understudy.store.catalog import Catalog
from understudy.store.guard import GuardStore
from understudy.store.mode import ModeRow
from understudy.store.object_choice import open_objects
from understudy.store.objects import ObjectStore

#: The integrity observer asks each second what is due, and each of its looks keeps a deadline of its own.
INTEGRITY_EVERY_S = 1.0
INTEGRITY_DEADLINE_S = 120.0
#: An observer keeps its own deadline; so much later, in seconds, it is given up from outside.
GRACE_S = 1.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that looks."""

    watcher: Watcher
    probes: ProbeRunner


def sight_of(
    *,
    home: Path,
    settings: Settings,
    playbook: Playbook,
    store: GuardStore,
    target: Target,
    connect: Connect,
    clock: Clock,
    leads: Callable[[], bool],
    durable_mode: Callable[[], str | None],
) -> Sight:
    """Build it; nothing is contacted yet.

    Parameters
    ----------
    durable_mode
        The mode by the environment, for sources that know no mode row.

    Raises
    ------
    ConfigurationError
        A setting of the source is not usable.
    """
    limits = playbook.limits
    newest: list[Watcher] = []

    def mode() -> ModeRow | None:
        observed = newest[0].observed
        return observed.mode if observed else None

    probes = ProbeRunner(
        plan=ProbePlan.of(playbook.probes),
        switched_on=settings.probes == "on",
        base_url=target.base_url,
        identities=lambda url: remembered_identities(home / PROBE_CANARIES_FILE, url),
        connect=connect,
        mode=mode,
        lane=lambda name: lane_of(name, settings_now(settings), clock),
        memory=store,
        clock=clock,
        random=Random(),  # noqa: S311  # spreads the probes' turns
        leads=leads,
    )
    watcher = Watcher(
        choose_source(
            settings,
            connect,
            clock,
            mode=durable_mode,
            query_s=limits.query_s,
            stale_after_s=limits.source_stale_after_s,
        ),
        clock,
        span_s=playbook.span_s,
        operations={playbook.triggers.success_rate.rate.operation},
        observers=_observers(home, settings, playbook, connect, clock=clock, store=store, probes=probes),
        probes=probes,
    )
    newest.append(watcher)
    return Sight(watcher, probes)


def _observers(
    home: Path,
    settings: Settings,
    playbook: Playbook,
    connect: Connect,
    *,
    clock: Clock,
    store: GuardStore,
    probes: ProbeRunner,
) -> dict[str, Observer]:
    parts = playbook.triggers
    playback = PlaybackObserver(connect, clock, span_s=parts.playback.span_s)
    cost = CostObserver(connect, clock)
    security = SecurityObserver(
        connect,
        clock,
        settings=lambda: settings_now(settings),
        known_good=lambda: _known_good_digests(store),
        canary_read=probes.canary_read,
        span_s=max(parts.security.wrong_region_key.window_s, parts.security.secret_leak.window_s),
        stale_after_s=playbook.limits.source_stale_after_s,
    )
    integrity = IntegrityObserver(
        connect,
        clock,
        plans=parts.data_integrity.plans(),
        objects=_objects(settings, clock),
        schema=SchemaWatch(
            migrating_url(home, settings),
            _Remembered(store),
            recorded=lambda: _known_good_catalog(store),
            recorded_files=lambda: _known_good_migrations(store),
        ),
    )
    return {
        "playback": _paced(playback.read, playback.every_s, playback.deadline_s),
        "cost": _paced(cost.read, cost.every_s, cost.deadline_s),
        "security": _paced(security.read, security.every_s, security.deadline_s),
        "integrity": Observer(integrity.read, INTEGRITY_EVERY_S, INTEGRITY_DEADLINE_S),
    }


def _paced(look: Callable[[], Awaitable[Reading]], every_s: float, deadline_s: float) -> Observer:
    return Observer(look, every_s, deadline_s + GRACE_S)


class _Remembered:
    """The guard's store, as the schema watch calls it."""

    def __init__(self, store: GuardStore) -> None:
        self._store = store

    def meta(self, key: str) -> str | None:
        return self._store.meta(key)

    def set_meta(self, key: str, value: str) -> None:
        self._store.remember(key, value)


def _known_good_digests(store: GuardStore) -> Mapping[str, str] | None:
    record = store.known_good()
    digests = record.document.get("secret_digests") if record is not None else None
    return digests if isinstance(digests, Mapping) else None


def _known_good_migrations(store: GuardStore) -> Mapping[str, str] | None:
    record = store.known_good()
    migrations = record.document.get("migrations") if record is not None else None
    files = migrations.get("files") if isinstance(migrations, Mapping) else None
    return files if isinstance(files, Mapping) else None


def _known_good_catalog(store: GuardStore) -> Catalog | None:
    record = store.known_good()
    document = record.document.get("catalog") if record is not None else None
    if not isinstance(document, Mapping):
        return None
    try:
        return Catalog.from_json(document)
    except ValueError as error:
        log.warning("known_good_catalog_not_usable", reason=str(error))
        return None


def _objects(settings: Settings, clock: Clock) -> ObjectStore | None:
    """Return the object store, or None where this guard has no access: rows alone are looked at then."""
    try:
        return open_objects(settings, clock)
    except ConfigurationError as error:
        log.warning("objects_not_watched", reason=error.message)
        return None
