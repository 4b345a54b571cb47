"""A release that is made in a moment: its own interpreter and sums, this checkout's code by a path file."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from understudy.releases.release import Release, release_name, seal, site_packages

SOURCE = Path(__file__).parent.parent / "src"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def small_release(home: Path, revision: str, *, tells_revision: bool = True) -> Release:
    """Put a release of ``revision`` into ``home/releases``."""
    path = home / "releases" / release_name(revision)
    site = site_packages(path, PYTHON)
    (site / "understudy").mkdir(parents=True)
    (site / "understudy" / "note.txt").write_text(f"stands for {revision}\n")
    (site / "code.pth").write_text(f"{SOURCE}\n{sysconfig.get_paths()['purelib']}\n")
    # Without a module of its own the folder is none of Python's: what the path file names is imported.
    (path / "bin").mkdir()
    base = Path(sys.executable).resolve()
    (path / "bin" / "python").symlink_to(base)
    (path / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    release = Release(
        path=path,
        name=path.name,
        revision=revision,
        tag=None,
        version="0.0",
        wheel=None,
        wheel_sha256="a" * 64,
        sums_sha256=seal(path),
        python=PYTHON,
        built_at="2026-01-01T00:00:00+00:00",
        tells_revision=tells_revision,
        dependencies={"idna": "3.0"},
    )
    release.write()
    return release
