"""Which revision the code of this very process is, by its own files: nobody else has to be believed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import understudy
from understudy.releases.checkout import Checkout

#: Lies beside the package's modules in every wheel that was built from a checkout.
REVISION_FILE = "revision.json"
PACKAGE = Path(understudy.__file__).resolve().parent


@cache
def running_revision() -> str | None:
    """Return the revision that this process runs; asked once, for its code stays what was loaded.

    A wheel of ours holds it; a checkout is asked by git. None where neither says.
    """
    shipped = PACKAGE / REVISION_FILE
    if shipped.is_file():
        return revision_in(shipped)
    checkout = running_checkout()
    return checkout.revision() if checkout is not None else None


def running_checkout() -> Checkout | None:
    """Return the checkout that this process's code lies in; None for an installed wheel."""
    return Checkout.at(PACKAGE.parent.parent) if PACKAGE.parent.name == "src" else None


def revision_in(shipped: Path) -> str | None:
    """Return what a :data:`REVISION_FILE` says; None where it says nothing that can be read."""
    try:
        said = json.loads(shipped.read_text(encoding="utf-8"))["revision"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if isinstance(said, str) and said else None


def ready_text(instance: object, revision: str | None) -> str:
    """Return what a process writes into its ready file: its identity, and the code that it runs."""
    return f"{instance}\n" + (f"{revision}\n" if revision else "")
