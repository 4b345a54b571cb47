"""The ``understudy`` command."""

from __future__ import annotations

import sys

MINIMUM = (3, 11)


def main() -> None:
    """Run the command line; an old Python is told so before anything else is imported."""
    if sys.version_info < MINIMUM:
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit(f"understudy needs Python 3.11 to 3.13, this is {found}. Install one and run `make` again.")
    from understudy.cli.commands import app  # noqa: PLC0415  (after the version check, which must be readable)

    app()


if __name__ == "__main__":
    main()
