"""The built web frontend as files to answer with: pages with their nonce, assets that never change.

No web framework is used here: the api and the guard serve the same files, each in its own way.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from understudy.errors import NotFoundError
from understudy.frontend_build import is_built
from understudy.resources import frontend_dir

STUDIO: Final = "studio.html"
OPERATIONS: Final = "operations.html"
#: Files at the root of a build that browsers ask for by name.
ICONS: Final = ("favicon.ico", "favicon.svg")
PLACEHOLDER: Final = b"__CSP_NONCE__"

_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
#: Each part of an asset's path: nothing hidden, nothing that climbs, nothing another system reads otherwise.
_PART: Final = re.compile(r"[A-Za-z0-9_~@+=-][A-Za-z0-9._~@+=-]{0,199}\Z")
_MOST_PARTS: Final = 4
_ASSETS: Final = "assets"
#: An asset's name holds a hash of its content: it is asked for once.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_A_DAY: Final = "public, max-age=86400"
_ZERO: Final = re.compile(r"q=0(\.0{0,3})?\Z")
_PAGE_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


class FrontendNotBuiltError(NotFoundError):
    """The pages are not built. Build them with `make frontend`, which needs Node 20.19 or newer."""

    code = "frontend_not_built"


@dataclass(frozen=True, slots=True)
class Served:
    """One answer: what any HTTP server needs of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _File:
    """One file as it was read, and when that was current."""

    stamp: tuple[int, int]
    content: bytes
    tag: str


@dataclass(slots=True)
class Frontend:
    """The build in ``folder``, which may appear, change and go while this is in use.

    Parameters
    ----------
    folder
        As :func:`understudy.resources.frontend_dir` finds it, when None.
    origins
        Other origins that a page may call and play audio from, such as an identity provider's.
    """

    folder: Path | None = None
    origins: tuple[str, ...] = ()
    _files: dict[Path, _File] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def place(self) -> Path:
        """Where the build lies, or would."""
        return self.folder if self.folder is not None else frontend_dir()

    @property
    def built(self) -> bool:
        """Whether the pages are there."""
        return is_built(self.place)

    def page(self, name: str) -> Served:
        """Answer a page, with a nonce of its own in it and in its policy.

        Raises
        ------
        FrontendNotBuiltError
            It is not there.
        """
        file = self._read(self.place / name)
        if file is None:
            which = "operations console" if name == OPERATIONS else "studio"
            raise FrontendNotBuiltError(not_built(which))
        nonce = secrets.token_urlsafe(18)
        return Served(
            status=HTTPStatus.OK,
            headers={**_PAGE_HEADERS, "Content-Security-Policy": policy(nonce, self.origins)},
            body=file.content.replace(PLACEHOLDER, nonce.encode()),
        )

    def asset(self, path: str, *, accept_encoding: str = "", if_none_match: str = "") -> Served:
        """Answer the file ``path`` of the build's ``assets``, packed where the client takes that.

        Raises
        ------
        NotFoundError
            There is no such file: an older page asks for it, or nobody should.
        """
        parts = path.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.match(part) for part in parts) or path.endswith(".gz"):
            raise NotFoundError("There is no such file.")
        place = self.place / _ASSETS
        target = place.joinpath(*parts)
        # A link in the folder must not lead out of it either.
        if not target.resolve().is_relative_to(place.resolve()):
            raise NotFoundError("There is no such file.")
        return self._static(target, _FOR_EVER, accept_encoding, if_none_match)

    def icon(self, name: str, *, accept_encoding: str = "", if_none_match: str = "") -> Served:
        """Answer one of :data:`ICONS`; raises :class:`NotFoundError` where the build has none."""
        if name not in ICONS:
            raise NotFoundError("There is no such file.")
        return self._static(self.place / name, _FOR_A_DAY, accept_encoding, if_none_match)

    def _static(self, target: Path, caching: str, accept_encoding: str, if_none_match: str) -> Served:
        plain = self._read(target)
        if plain is None:
            raise NotFoundError("There is no such file. Load the page again: a newer version is served.")
        headers = {
            "Content-Type": _CONTENT_TYPES.get(target.suffix.lower(), "application/octet-stream"),
            "Cache-Control": caching,
            "Vary": "Accept-Encoding",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        found = plain
        if takes_gzip(accept_encoding):
            packed = self._read(target.with_name(f"{target.name}.gz"))
            if packed is not None:
                found = packed
                headers["Content-Encoding"] = "gzip"
        headers["ETag"] = f'"{found.tag}"'
        if names_tag(if_none_match, found.tag):
            # These two are of a body, and there is none.
            del headers["Content-Type"]
            headers.pop("Content-Encoding", None)
            return Served(HTTPStatus.NOT_MODIFIED, headers, b"")
        return Served(HTTPStatus.OK, headers, found.content)

    def _read(self, path: Path) -> _File | None:
        """Return the file as it is now, read again only where it was changed; None where there is none."""
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            known = self._files.get(path)
            if known is not None and known.stamp == stamp:
                return known
            content = path.read_bytes()
        except OSError:
            with self._lock:
                self._files.pop(path, None)
            return None
        file = _File(stamp, content, hashlib.sha256(content).hexdigest()[:32])
        with self._lock:
            self._files[path] = file
        return file


def policy(nonce: str, origins: Iterable[str] = ()) -> str:
    """Return the content security policy of a page: nothing inline, nothing of anybody else's."""
    others = "".join(f" {origin}" for origin in origins)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data: blob:",
            f"media-src 'self' blob:{others}",
            f"connect-src 'self'{others}",
            "font-src 'self'",
            "worker-src 'self' blob:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def origins_of(*addresses: str) -> tuple[str, ...]:
    """Return the origins of ``addresses``, each once; what is no web address is left out."""
    found: dict[str, None] = {}
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme in {"http", "https"} and parts.netloc:
            found[f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"] = None
    return tuple(found)


def not_built(which: str) -> str:
    """Return the sentence that tells how to get the pages."""
    return (
        f"The {which} is not built. Run `make frontend` in a checkout of Understudy (it needs Node 20.19 or "
        f"newer), or install a wheel that was built after it. The HTTP API works without it."
    )


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip."""
    for offered in accept_encoding.lower().split(","):
        name, _, weight = offered.partition(";")
        if name.strip() in {"gzip", "x-gzip", "*"}:
            return _ZERO.match(weight.replace(" ", "")) is None
    return False


def names_tag(if_none_match: str, tag: str) -> bool:
    """Whether an ``If-None-Match`` header names ``tag``; weak and strong forms are the same here."""
    named = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in named or f'"{tag}"' in named
