"""Which source of calls the settings choose."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import ConfigurationError
from understudy.restoration.signals.calls import Connect, Release
from understudy.restoration.signals.product import ProductSource
from understudy.restoration.signals.prometheus import PrometheusSource
from understudy.restoration.signals.source import CallSource
from understudy.restoration.signals.supabase import SupabaseSource
from understudy.settings import Settings, check_url
from understudy.store.database import Database


class OwnDatabase:
    """Connects to a database of the source's own when it is first needed."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._database: Database | None = None

    async def __call__(self) -> Database:
        """Return the database; raises :class:`StoreUnavailableError` while it cannot be reached."""
        if self._database is None:
            self._database = await Database.connect(self._url, application_name="understudy-guard-signals")
        return self._database

    async def close(self) -> None:
        """Close the pool."""
        if self._database is not None:
            await self._database.close()
            self._database = None


def choose_source(
    settings: Settings,
    connect: Connect,
    clock: Clock,
    *,
    mode: Callable[[], str | None],
    query_s: float,
    stale_after_s: float,
) -> CallSource:
    """Return the source that ``GUARD_SIGNAL_SOURCE`` names; nothing is asked of it yet.

    Parameters
    ----------
    connect
        To the product's database; ``GUARD_SIGNAL_DATABASE_URL`` names another.
    mode
        Gives the provider that the environment names, for sources that know no live mode.

    Raises
    ------
    ConfigurationError
        A setting that the source needs is missing or not safe to call.
    """
    check_source(settings)
    release: Release | None = None
    if settings.guard_signal_database_url.get_secret_value():
        own = OwnDatabase(settings.guard_signal_database_url)
        connect, release = own, own.close
    match settings.guard_signal_source:
        case "product":
            return ProductSource(
                connect, clock, query_s=query_s, stale_after_s=stale_after_s, release=release
            )
        case "supabase":
            return SupabaseSource(
                connect, clock, mode=mode, query_s=query_s, stale_after_s=stale_after_s, release=release
            )
        case "prometheus":
            return PrometheusSource(
                settings.guard_prometheus_url,
                settings.guard_prometheus_token,
                clock,
                mode=mode,
                query_s=query_s,
                stale_after_s=stale_after_s,
            )


def check_source(settings: Settings) -> None:
    """Refuse a setting that the source needs and that is missing or not safe to call; asks nothing of it.

    Raises
    ------
    ConfigurationError
        Names the setting.
    """
    if settings.guard_signal_source != "prometheus":
        return
    if not settings.guard_prometheus_url:
        raise ConfigurationError(
            "GUARD_SIGNAL_SOURCE=prometheus needs GUARD_PROMETHEUS_URL, such as "
            "https://prometheus.example.org."
        )
    check_url("GUARD_PROMETHEUS_URL", settings.guard_prometheus_url)
