"""The studio and the operations console of a release: built pages that are of the very revision's sources.

A release without them works: nothing here ever keeps one from being built.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from understudy import frontend_build
from understudy.frontend_build import FrontendBuildError, built_from, is_built, sources_digest
from understudy.logs import get_logger

#: Beside a release's manifest: whether it has pages, and if not, why.
PAGES_FILE: Final = "pages.json"
#: A person waits for `understudy releases build`; a registry that is away is given up soon.
INSTALL_WITHIN_S: Final = 120.0
BUILD_WITHIN_S: Final = 120.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReleasePages:
    """What became of a release's pages.

    Parameters
    ----------
    how
        ``copied`` from a build of the same sources, ``built`` with npm, or ``none``.
    why
        Where there are none.
    """

    how: str
    source_sha256: str | None = None
    why: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def add_pages(source: Path, package: Path, *, builds: Iterable[Path], with_npm: bool) -> ReleasePages:
    """Put the pages of the revision exported to ``source`` into ``package``, where they can be had.

    Parameters
    ----------
    builds
        Folders that may hold a build of the same sources; it is copied.
    with_npm
        Build them where none does. Never while a restoration waits: npm may ask a registry.
    """
    sources = source / "frontend"
    if not (sources / "package.json").is_file():
        return ReleasePages("none", why="this revision has no frontend")
    place = package / "frontend"
    digest = None
    try:
        digest = sources_digest(sources)
        for build in builds:
            if is_built(build) and built_from(build) == digest:
                shutil.copytree(build, place)
                return ReleasePages("copied", digest)
        if not with_npm:
            why = "no build of its sources was at hand: `make frontend`, then build the release again"
            return ReleasePages("none", digest, why)
        frontend_build.build(sources, install_within_s=INSTALL_WITHIN_S, within_s=BUILD_WITHIN_S)
        shutil.copytree(sources / "dist", place)
    except (OSError, FrontendBuildError) as error:
        shutil.rmtree(place, ignore_errors=True)
        log.warning("release_without_pages", reason=str(error))
        return ReleasePages("none", digest, str(error))
    return ReleasePages("built", digest)


def write_pages(release: Path, pages: ReleasePages) -> None:
    """Write what :func:`read_pages` reads, into a release's folder."""
    (release / PAGES_FILE).write_text(json.dumps(pages.document(), indent=2) + "\n", "utf-8")


def read_pages(release: Path) -> ReleasePages | None:
    """Return what the release at ``release`` says; None for one from before there were pages."""
    try:
        return ReleasePages(**json.loads((release / PAGES_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
