"""Where a secret must never be: logs, reports, the guard's store, and the arguments of any process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil

from understudy.demo.service import Service
from understudy.envfile import read_env_file

SHORTEST = 8


def secrets_of(service: Service) -> dict[str, str]:
    """Every secret of a running installation, by name."""
    values = read_env_file(service.home / "understudy.env")
    found = {name: value for name, value in values.items() if name.endswith(("_SECRET", "_KEY"))}
    passwords = json.loads((service.home / "postgres.passwords.json").read_text())
    found |= {f"postgres {name}": str(value) for name, value in passwords.items()}
    control = json.loads((service.home / "run" / "control.json").read_text())
    found |= {"control token": control["token"], "operator token": service.operator_token}
    return {name: value for name, value in found.items() if len(value) >= SHORTEST}


def told(service: Service) -> list[str]:
    """Each place that tells a secret, as one line; the files that exist to hold secrets are left out."""
    secrets = secrets_of(service)
    assert len(secrets) >= 6
    places = {str(path.relative_to(service.home)): path.read_bytes() for path in _readable(service.home)}
    places["up.log"] = (service.home.parent / "up.log").read_bytes()
    for process in psutil.process_iter(["pid", "cmdline"]):
        places[f"arguments of {process.info['pid']}"] = " ".join(process.info["cmdline"] or []).encode()
    assert any("logs" in place for place in places)
    return [
        f"{name} stands in {place}"
        for place, content in places.items()
        for name, value in secrets.items()
        if value.encode() in content
    ]


def _readable(home: Path) -> list[Path]:
    keepers = {"understudy.env", "postgres.passwords.json", "control.json", "operator.token", "canaries.json"}
    folders = [home / name for name in ("logs", "reports", "guard", "run", "objects")]
    return [
        Path(folder) / name
        for top in folders
        for folder, _, names in os.walk(top)
        for name in names
        if name not in keepers and (Path(folder) / name).is_file()
    ]
