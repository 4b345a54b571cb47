"""Bytes that a browser loads for each page of the frontend, as they travel: gzip, as the build wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.tables import console, show
from understudy.resources import frontend_dir

#: The issue's budget for the studio's first load, in bytes.
STUDIO_BUDGET_BYTES = 200_000
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Load:
    """What one page loads.

    Parameters
    ----------
    script, style, total
        Bytes, gzip; the total includes the HTML.
    """

    page: str
    script: int
    style: int
    total: int


def loads(dist: Path) -> list[Load]:
    """Every page's first load: its app's entry, and the page's own lazy part with all they import."""
    manifest: dict[str, Any] = json.loads((dist / MANIFEST).read_text("utf-8"))
    found = []
    for app in ("studio", "operations"):
        entry = f"{app}.html"
        shell = _closure(manifest, [entry])
        for part in sorted(manifest[entry].get("dynamicImports", ())):
            if f"/{app}/pages/" not in part:
                continue
            files = shell | _closure(manifest, [part])
            found.append(_load(dist, f"{app}: {Path(part).stem}", entry, files))
    return found


def _closure(manifest: dict[str, Any], names: list[str]) -> set[str]:
    """Files of ``names`` and of all that they import at once."""
    seen: set[str] = set()
    files: set[str] = set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        chunk = manifest[name]
        files |= {chunk["file"], *chunk.get("css", ())}
        names += chunk.get("imports", [])
    return files


def _load(dist: Path, page: str, html: str, files: set[str]) -> Load:
    script = sum(_size(dist / name) for name in files if name.endswith(".js"))
    style = sum(_size(dist / name) for name in files if name.endswith(".css"))
    return Load(page, script, style, script + style + _size(dist / html))


def _size(path: Path) -> int:
    packed = path.with_name(f"{path.name}.gz")
    return (packed if packed.is_file() else path).stat().st_size


async def run() -> None:
    """Print the table, and whether the studio keeps its budget."""
    dist = frontend_dir()
    if not (dist / MANIFEST).is_file():
        console.print("bundles: the frontend is not built (make frontend); left out")
        return
    found = loads(dist)
    show(
        "What a browser loads (kB, gzip)",
        ("page", "script", "style", "all"),
        [[one.page, *(f"{size / 1000:.1f}" for size in (one.script, one.style, one.total))] for one in found],
    )
    largest = max((one for one in found if one.page.startswith("studio")), key=lambda one: one.total)
    kept = "kept" if largest.total <= STUDIO_BUDGET_BYTES else "BROKEN"
    console.print(
        f"budget {kept}: the studio's largest first load is {largest.page} with {largest.total / 1000:.1f} kB"
        f" of {STUDIO_BUDGET_BYTES / 1000:.0f} kB"
    )
