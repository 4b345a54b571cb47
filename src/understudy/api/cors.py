"""Which pages of other origins may call: the ones that ``CORS_ALLOWED_ORIGINS`` names, and no other."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from understudy.settings import Settings

ANY_ORIGIN = "*"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
#: What a script may read beyond the body: to correlate, to wait, and to find what it started.
EXPOSED_HEADERS = (
    "X-Request-Id, Retry-After, Content-Range, Accept-Ranges, X-Generation-Id, X-Task-Id, X-Provider,"
    " Idempotency-Replayed"
)
#: Browsers cap it at two hours; a change of configuration should reach them the same day.
PREFLIGHT_LIFETIME_S = 600


class CrossOrigin:
    """The CORS answers of one configuration.

    Raises
    ------
    ConfigurationError
        An origin is not one, or every origin is allowed together with credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.cors_origins())
        self._credentials = settings.cors_allow_credentials

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """Answer a preflight of an allowed origin; ``None`` for every other request."""
        if method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if not self._allows(headers.get("origin", "")):
            return None
        answer = Response(status_code=204)
        answer.headers["Access-Control-Allow-Methods"] = METHODS
        answer.headers["Access-Control-Max-Age"] = str(PREFLIGHT_LIFETIME_S)
        wanted = headers.get("access-control-request-headers")
        if wanted:
            # Names only; credentials are never ambient here, so any header a script may set is fine.
            answer.headers["Access-Control-Allow-Headers"] = wanted
        return answer

    def mark(self, origin: str, answered: MutableHeaders) -> None:
        """Add what the browser needs to hand an answer to the page of ``origin``."""
        if not self._origins:
            return
        if self._origins != {ANY_ORIGIN}:
            answered.add_vary_header("Origin")
        if not self._allows(origin):
            return
        answered["Access-Control-Allow-Origin"] = ANY_ORIGIN if ANY_ORIGIN in self._origins else origin
        answered["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if self._credentials:
            answered["Access-Control-Allow-Credentials"] = "true"

    def _allows(self, origin: str) -> bool:
        return bool(origin) and (origin in self._origins or ANY_ORIGIN in self._origins)
