"""A tenant of the voice API, who knows nothing but its HTTP contract."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from understudy.errors import UnderstudyError

POLL_INTERVAL_S = 0.15
SPEAK_DEADLINE_S = 40.0


class RefusedError(UnderstudyError):
    """The service refused a request of the demo."""

    code = "demo_refused"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What came back for one text."""

    audio: bytes
    provider: str
    generation_id: str
    seconds: float


class Tenant:
    """One signed-up tenant."""

    def __init__(self, http: aiohttp.ClientSession, api: str, name: str) -> None:
        self.name = name
        #: The last task as it ended, for those who want to look at it.
        self.last_task: dict[str, Any] = {}
        self._http = http
        self._api = api
        self._headers: dict[str, str] = {}
        self.access_token = ""
        self.email = ""
        self.password = ""

    async def sign_up(self) -> None:
        """Create an account with a throw-away address and password."""
        self.email = f"{self.name.lower()}-{secrets.token_hex(4)}@demo.understudy.invalid"
        self.password = secrets.token_urlsafe(18)
        account = {"email": self.email, "password": self.password}
        session = await self._call("POST", "/auth/v1/signup", json=account)
        self.access_token = str(session["access_token"])
        self._headers = {"Authorization": f"Bearer {self.access_token}"}

    async def clone(self, name: str, recording: bytes, transcript: str) -> str:
        """Clone a voice from a WAV recording; answers the voice's id."""
        draft = {"name": name, "language": "English", "transcript": transcript}
        ticket = await self._call("POST", "/api/clone/upload-url", json=draft)
        async with self._http.put(
            self._absolute(ticket["upload_url"]), data=recording, headers={"Content-Type": "audio/wav"}
        ) as answer:
            if answer.status >= 300:
                raise RefusedError(f"uploading the recording answered HTTP {answer.status}")
        voice = await self._call(
            "POST", "/api/clone/finalize", json={**draft, "voice_id": ticket["voice_id"]}
        )
        return str(voice["id"])

    async def speak(self, voice_id: str, text: str) -> Spoken:
        """Generate ``text`` and fetch its audio.

        Raises
        ------
        RefusedError
            The generation failed; the message is the one a tenant would read.
        """
        started = time.monotonic()
        body = {"voice_id": voice_id, "text": text, "language": "English"}
        task_id = (await self._call("POST", "/api/generate", json=body))["task_id"]
        task = self.last_task = await self._finished(task_id)
        if task["status"] != "completed":
            raise RefusedError(str(task["error"] or task["status"]))
        url = str(task["result"]["audio_url"])
        async with self._http.get(self._absolute(url), headers=self._headers) as answer:
            if answer.status != 200:
                raise RefusedError(f"the audio answered HTTP {answer.status}")
            audio = await answer.read()
        generation_id = url.split("/")[-2]
        return Spoken(audio, str(task["provider"]), generation_id, time.monotonic() - started)

    async def languages(self) -> dict[str, Any]:
        """What the service says it can do now."""
        return await self._call("GET", "/api/languages")

    async def _finished(self, task_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + SPEAK_DEADLINE_S
        while time.monotonic() < deadline:
            task = await self._call("GET", f"/api/tasks/{task_id}")
            if task["status"] in {"completed", "failed", "cancelled"}:
                return task
            await asyncio.sleep(POLL_INTERVAL_S)
        raise RefusedError(f"no end of the task after {SPEAK_DEADLINE_S:g} s")

    def _absolute(self, url: str) -> str:
        return url if url.startswith("http") else self._api + url

    async def _call(self, method: str, path: str, *, json: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._http.request(method, self._api + path, json=json, headers=self._headers) as answer:
            body: dict[str, Any] = await answer.json()
            if answer.status >= 400:
                raise RefusedError(str(body.get("detail") or body.get("msg") or f"HTTP {answer.status}"))
            return body
