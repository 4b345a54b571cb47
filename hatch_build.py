"""Takes the built web frontend, where there is one, into the wheel and the source archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontendHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``frontend/dist``, which git does not know; an editable install reads it where it lies."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build."""
        dist = Path(self.root) / "frontend" / "dist"
        if version == "editable" or not (dist / "studio.html").is_file():
            return
        place = "understudy/frontend" if self.target_name == "wheel" else "frontend/dist"
        build_data["force_include"][str(dist)] = place
