"""A deployment seen from outside: its base URL and nothing else.

No status is an error here; whether an answer keeps the contract is for the checks to say.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import ConfigurationError, TargetError
from understudy.restoration.verification.evidence import RequestEvidence
from understudy.settings import check_url

#: A JSON answer of this API is kilobytes; a generation of 10000 characters is about 30 MB of 24 kHz WAV.
JSON_LIMIT_BYTES = 1 << 20
AUDIO_LIMIT_BYTES = 64 << 20
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines of a verification, all in seconds; the deployment's own are not trusted.

    Parameters
    ----------
    task_s
        From a task's creation to its terminal status.
    suite_s
        For all checks together.
    """

    connect_s: float = 5.0
    request_s: float = 15.0
    task_s: float = 45.0
    suite_s: float = 90.0
    cleanup_s: float = 15.0
    poll_interval_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole.

    Parameters
    ----------
    label
        ``GET /api/health``: method and path without query, as errors name it.
    headers
        Names in lower case.
    """

    label: str
    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Media type, without parameters, in lower case."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body as JSON.

        Raises
        ------
        TargetError
            It is not JSON, by its header or by its bytes.
        """
        if self.content_type != "application/json":
            raise TargetError(f"{self.label} answered {self.content_type or 'no content type'}, not JSON.")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise TargetError(f"{self.label} answered with a body that is not JSON.") from None


class DeploymentClient:
    """Calls one deployment; follows redirects only within it and reads bodies only up to a bound.

    Parameters
    ----------
    base_url
        Where ``/api`` lives: ``http://127.0.0.1:8000``, or ``https://<ref>.supabase.co/functions/v1``.
    auth_url
        Where the token endpoints live; default ``/auth/v1`` on the same host.
    publishable_key
        Sent as ``apikey`` to the token endpoints where a Supabase project wants one.

    Raises
    ------
    ConfigurationError
        ``base_url`` is no https (or loopback http) address, or carries credentials or a query.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        limits: Limits | None = None,
        auth_url: str | None = None,
        publishable_key: SecretStr | None = None,
    ) -> None:
        check_url("The base URL", base_url)
        parts = urlsplit(base_url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigurationError("The base URL must not carry credentials, a query or a fragment.")
        self.base_url = base_url.rstrip("/")
        self.limits = limits or Limits()
        self._clock = clock
        self._origin = (parts.scheme, parts.hostname, _port(parts))
        self._auth_url = (auth_url or f"{parts.scheme}://{parts.netloc}/auth/v1").rstrip("/")
        self._publishable_key = publishable_key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.limits.request_s, sock_connect=self.limits.connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "understudy-smoke"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        log: list[RequestEvidence],
        token: SecretStr | None = None,
        body: Any = None,
        raw: bytes | None = None,
        form: aiohttp.FormData | None = None,
    ) -> Reply:
        """Send one API request and return its answer, redirects included as they are.

        Parameters
        ----------
        path
            Below the base URL, with ``/api``; may carry a query.
        body
            Sent as JSON; ``raw`` is sent as it is but called JSON; ``form`` is sent as multipart.

        Raises
        ------
        TargetError
            No answer came in time, or more bytes than any answer has.
        """
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        data: Any = form
        if body is not None or raw is not None:
            data = raw if raw is not None else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        url = self.base_url + path
        return await self._send(method, url, log, headers=headers, data=data, limit=JSON_LIMIT_BYTES)

    async def authenticate(self, path: str, body: dict[str, str], *, log: list[RequestEvidence]) -> Reply:
        """POST ``body`` to the token endpoints (``/signup``, ``/token?grant_type=password``)."""
        headers = {"Content-Type": "application/json"}
        if self._publishable_key is not None:
            headers["apikey"] = self._publishable_key.get_secret_value()
        data = json.dumps(body).encode()
        return await self._send(
            "POST", self._auth_url + path, log, headers=headers, data=data, limit=JSON_LIMIT_BYTES
        )

    async def upload(self, url: str, data: bytes, content_type: str, *, log: list[RequestEvidence]) -> Reply:
        """PUT ``data`` to an upload URL, with no other header than its content type."""
        target = self.resolve(url)
        headers = {"Content-Type": content_type}
        return await self._send("PUT", target, log, headers=headers, data=data, limit=JSON_LIMIT_BYTES)

    async def fetch(self, url: str, *, log: list[RequestEvidence]) -> Reply:
        """GET stored audio without a token, through at most three redirects within the deployment.

        Raises
        ------
        TargetError
            No answer in time, too many bytes, too many redirects, or one that leaves the deployment's host.
        """
        target = self.resolve(url)
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._send("GET", target, log, headers={}, data=None, limit=AUDIO_LIMIT_BYTES)
            if reply.status not in REDIRECTS:
                return reply
            target = self.resolve(self.location(reply))
        raise TargetError(f"{reply.label} redirected more than {MAX_REDIRECTS} times.")

    def location(self, reply: Reply) -> str:
        """Return the address a redirect points at.

        Raises
        ------
        TargetError
            It has none, or one of another host.
        """
        location = reply.headers.get("location")
        if not location:
            raise TargetError(f"{reply.label} redirected without a Location.")
        return self.resolve(location, against=reply.url)

    def resolve(self, url: str, *, against: str | None = None) -> str:
        """Return ``url`` in full: ``/api/...`` below the base URL, other paths at the deployment's host.

        Raises
        ------
        TargetError
            It leaves the deployment's host, port or scheme.
        """
        try:
            full = self.base_url + url if url.startswith("/api/") else urljoin(against or self.base_url, url)
            parts = urlsplit(full)
            origin = (parts.scheme, parts.hostname, _port(parts))
        except ValueError:
            raise TargetError("The deployment gave out an address that is not a URL.") from None
        if origin != self._origin:
            raise TargetError(
                f"The deployment pointed at {parts.scheme}://{parts.hostname}, which is not its own host."
            )
        return full

    async def _send(
        self,
        method: str,
        url: str,
        log: list[RequestEvidence],
        *,
        headers: dict[str, str],
        data: Any,
        limit: int,
    ) -> Reply:
        if self._session is None:
            raise TargetError("The client of the deployment is not open.")
        path = urlsplit(url).path
        label = f"{method} {path}"
        started, at = self._clock.monotonic_s(), self._clock.now()
        status: int | None = None
        digest: str | None = None
        try:
            async with self._session.request(
                method, url, headers=headers, data=data, allow_redirects=False
            ) as answer:
                status = answer.status
                body = await _read(answer, limit, label)
                digest = hashlib.sha256(body).hexdigest()
                names = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(label, url, status, names, body)
        except TimeoutError:
            raise TargetError(f"{label} did not answer within {self.limits.request_s:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TargetError(f"{label} gave no answer ({type(error).__name__}).") from None
        finally:
            elapsed_ms = int((self._clock.monotonic_s() - started) * 1000)
            log.append(RequestEvidence(method, path, status, digest, elapsed_ms, at))


async def _read(answer: aiohttp.ClientResponse, limit: int, label: str) -> bytes:
    """Read the body, decompressed, up to ``limit`` bytes."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > limit:
            raise TargetError(f"{label} answered with more than {limit} bytes.")
    return bytes(body)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
