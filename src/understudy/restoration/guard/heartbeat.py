"""Who watches the guard: a file for this machine, a dead-man webhook for a monitor elsewhere.

Both say only what happened: a look was completed. A monitor that hears nothing calls a person.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.restoration.guard.channels import check_secret_url

#: The file, below the home.
HEARTBEAT_FILE = Path("guard") / "heartbeat.json"
#: A guard that completed no look for longer is stuck.
STUCK_AFTER_S = 10.0
_PING_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 1.0

log = get_logger(__name__)


class Heartbeat:
    """Says after each completed look that the guard lives.

    Parameters
    ----------
    deadman_url
        Asked with GET at most every ``deadman_interval_s``, and only after a look was completed since.

    Attributes
    ----------
    url
        Address of the guard's API, by which commands find it; None until it listens.
    """

    def __init__(
        self,
        home: Path,
        clock: Clock,
        *,
        deadman_url: SecretStr | None = None,
        deadman_interval_s: float = 60.0,
    ) -> None:
        self.url: str | None = None
        self._deadman_url = deadman_url if deadman_url and deadman_url.get_secret_value() else None
        if self._deadman_url is not None:
            check_secret_url("GUARD_DEADMAN_URL", self._deadman_url)
        self._interval_s = deadman_interval_s
        self._file = home / HEARTBEAT_FILE
        self._clock = clock
        self._completed_at_s = clock.monotonic_s()
        self._alive_since_ping = False
        self._file_problem: str | None = None
        self._ping_problem: str | None = None

    def alarms(self) -> dict[str, str | None]:
        """Why the newest sign of life could not be given, by the way it goes; None where it was."""
        return {"heartbeat": self._file_problem, "dead-man webhook": self._ping_problem}

    def age_s(self) -> float:
        """Seconds since the last completed look, or since the start before the first."""
        return self._clock.monotonic_s() - self._completed_at_s

    def beat(
        self, *, leads: bool, verdicts: Mapping[str, str], incident: str | None, cycle_ms: float
    ) -> None:
        """Write down that a look was completed; whatever fails here hurts nothing."""
        self._completed_at_s = self._clock.monotonic_s()
        self._alive_since_ping = True
        document = {
            "at": self._clock.now().isoformat(),
            "pid": os.getpid(),
            "url": self.url,
            "leads": leads,
            "verdicts": dict(verdicts),
            "incident": incident,
            "cycle_ms": round(cycle_ms, 1),
        }
        if not leads and self._leader_beats():
            return  # of two guards on one home the one that acts is the one to hear of
        scratch = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Without fsync: after a crash of the machine an old heartbeat is what should be read.
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(document))
            scratch.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
            if self._file_problem is None:
                log.warning("heartbeat_not_written", reason=error.strerror)
            self._file_problem = f"the heartbeat file cannot be written: {error.strerror}"
        else:
            self._file_problem = None

    def _leader_beats(self) -> bool:
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            age_s = (self._clock.now() - datetime.fromisoformat(document["at"])).total_seconds()
            return bool(document["leads"]) and document["pid"] != os.getpid() and 0 <= age_s < STUCK_AFTER_S
        except (OSError, ValueError, KeyError, TypeError):
            return False

    async def run(self, stop: asyncio.Event) -> None:
        """Ping the dead-man webhook until ``stop``; without one, only wait."""
        if self._deadman_url is None:
            await stop.wait()
            return
        last_s: float | None = None
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PING_TIMEOUT_S)) as session:
            while not stop.is_set():
                now_s = self._clock.monotonic_s()
                if self._alive_since_ping and (last_s is None or now_s - last_s >= self._interval_s):
                    last_s, self._alive_since_ping = now_s, False
                    await self.ping(session)
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait({stopped}, timeout=_LOOK_EVERY_S)
                stopped.cancel()

    async def ping(self, session: aiohttp.ClientSession) -> None:
        """Ask the dead-man webhook once; a failure is kept for :meth:`alarms` and logged once."""
        if self._deadman_url is None:
            return
        problem = None
        try:
            async with session.get(self._deadman_url.get_secret_value(), allow_redirects=False) as answer:
                if answer.status >= 300:
                    problem = f"answered {answer.status}"
        except TimeoutError:
            problem = "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The exception's text may quote the address, which is a secret.
            problem = f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
        said = f"the dead-man webhook {problem}" if problem else None
        if said is not None and said != self._ping_problem:
            log.warning("deadman_not_reached", reason=problem)
        self._ping_problem = said


def read_heartbeat(home: Path) -> dict[str, Any] | None:
    """Return the newest heartbeat of a home; None where no guard has completed a look.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or is none of ours.
    """
    path = home / HEARTBEAT_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # A time without its zone cannot be compared with any: a TypeError, as another shape is.
        datetime.fromisoformat(document["at"]) - datetime.now(UTC)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be read as a heartbeat.") from error
    return document


def stale_heartbeat(home: Path, now: datetime, *, max_age_s: float = STUCK_AFTER_S) -> str | None:
    """Say what is wrong with the guard's heartbeat, or None when it is fresh."""
    document = read_heartbeat(home)
    if document is None:
        return f"No guard has completed a look in {home}. Start one: understudy guard --home {home}"
    age_s = (now - datetime.fromisoformat(document["at"])).total_seconds()
    if age_s > max_age_s:
        return (
            f"The guard's last completed look was {age_s:.0f} s ago (process {document.get('pid')}; at most "
            f"{max_age_s:g} s is healthy). It is stuck or gone: nobody watches."
        )
    if age_s < -max_age_s:
        return f"The heartbeat is {-age_s:.0f} s in the future: this machine's clock was set back."
    return None
