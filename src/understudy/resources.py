"""Files that ship with the package: migrations, the playbook, sample recordings, the built frontend."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def _shipped(name: str) -> Path:
    """Return the folder ``name`` inside an installed wheel, or beside ``src`` in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _CHECKOUT / name


def checkout_dir() -> Path:
    """The checkout this package is run from; of an installed wheel, a folder that holds none of its files."""
    return _CHECKOUT


def migrations_dir() -> Path:
    """Folder of the timestamped ``.sql`` migrations."""
    return _shipped("migrations")


def playbook_file() -> Path:
    """The default playbook, as data."""
    return _shipped("playbooks") / "restoration.yaml"


def simulation_bounds_file() -> Path:
    """What the default playbook's simulation may not fall behind."""
    return _shipped("playbooks") / "simulation-bounds.json"


def frontend_dir() -> Path:
    """Folder of the built web frontend; it need not be there.

    Inside an installed wheel or release, else ``frontend/dist`` of the checkout.
    """
    inside = _PACKAGE / "frontend"
    return inside if inside.is_dir() else frontend_sources_dir() / "dist"


def frontend_sources_dir() -> Path:
    """Folder of the frontend's sources in a checkout; of an installed wheel, one that is not there."""
    return _CHECKOUT / "frontend"


def samples_dir() -> Path:
    """Public-domain recordings used by the demo, the smoke suite and the tests."""
    return _PACKAGE / "samples"
