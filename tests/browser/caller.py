"""What the same person could ask of the API beside the page."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.browser.waiting import until
from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip


class Caller:
    """One account, by its access token."""

    def __init__(self, http: aiohttp.ClientSession, api: str, token: str) -> None:
        self._http = http
        self._api = api
        self._headers = {"Authorization": f"Bearer {token}"}

    async def status(self, method: str, path: str) -> int:
        """How the service answers, and nothing else."""
        async with self._http.request(method, self._api + path, headers=self._headers) as answer:
            return answer.status

    async def get(self, path: str) -> dict[str, Any]:
        """A document."""
        return await self._call("GET", path)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for something to be done."""
        return await self._call("POST", path, body)

    async def generations(self) -> list[dict[str, Any]]:
        """What was spoken, newest first."""
        found: list[dict[str, Any]] = (await self.get("/api/generations?per_page=100"))["generations"]
        return found

    async def spoken(self, text: str) -> dict[str, Any]:
        """The newest completed generation of this text; waits for it."""

        async def ask() -> dict[str, Any] | None:
            rows = await self.generations()
            return next((row for row in rows if (row["text"], row["status"]) == (text, "completed")), None)

        return await until(ask, what=f"a completed generation of {text[:40]!r}") or {}

    async def audio(self, generation_id: str) -> Clip:
        """The audio as it is stored, decoded."""
        path = f"{self._api}/api/generations/{generation_id}/audio"
        async with self._http.get(path, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return await decode_upload(await answer.read())

    async def sign_out_everywhere(self) -> None:
        """End every session of the account: no refresh token counts any more."""
        async with self._http.post(
            f"{self._api}/auth/v1/logout?scope=global", headers=self._headers
        ) as answer:
            assert answer.status < 300, await answer.text()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._http.request(method, self._api + path, json=body, headers=self._headers) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status < 300, document
            return document


async def caller_with_password(http: aiohttp.ClientSession, api: str, email: str, password: str) -> Caller:
    """Sign in beside the page, with a session of its own."""
    async with http.post(
        f"{api}/auth/v1/token?grant_type=password", json={"email": email, "password": password}
    ) as answer:
        session = await answer.json()
        assert answer.status == 200, session
        return Caller(http, api, str(session["access_token"]))
