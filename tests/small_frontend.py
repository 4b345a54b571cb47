"""A made-up build of the frontend: a few bytes of each kind of file that a real one has."""

from __future__ import annotations

import gzip
from pathlib import Path

PAGE = (
    '<!doctype html><meta property="csp-nonce" nonce="__CSP_NONCE__">'
    '<script type="module" src="/assets/{name}-Ab1_c.js" nonce="__CSP_NONCE__"></script>\n'
)
SCRIPT = b"export const many = 'words';\n" * 100


def small_build(folder: Path) -> Path:
    """Write it into ``folder``; the folder."""
    assets = folder / "assets"
    assets.mkdir(parents=True)
    for name in ("studio", "operations"):
        (folder / f"{name}.html").write_text(PAGE.replace("{name}", name))
        (assets / f"{name}-Ab1_c.js").write_bytes(SCRIPT)
        (assets / f"{name}-Ab1_c.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (assets / "theme-Zz9.css").write_text("body{margin:0}")
    (assets / "mark-Q.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "secret.txt").write_text("beside the assets")
    return folder
