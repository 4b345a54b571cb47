"""The real application on a real server and database, and clients of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.conftest import DatabaseUrls
from understudy.api.app import create_app
from understudy.api.boundary import DrainState
from understudy.api.context import open_context
from understudy.api.server import build_server, open_listener
from understudy.clock import SystemClock
from understudy.settings import Settings
from understudy.speech.context import SpeechContext
from understudy.speech.watching import TaskWatch
from understudy.store import users
from understudy.store.objects import LocalObjects

#: Nothing listens there: these tests call no provider.
NOWHERE = "http://127.0.0.1:9/"


@dataclass(slots=True)
class User:
    """An account and a client that is signed in with it."""

    id: UUID
    email: str
    password: str
    session: dict[str, Any]
    client: aiohttp.ClientSession


@dataclass(slots=True)
class Api:
    """A running api."""

    address: tuple[str, int]
    ctx: SpeechContext
    drain: DrainState
    client: aiohttp.ClientSession
    watch: TaskWatch

    @property
    def base(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def objects(self) -> LocalObjects:
        assert isinstance(self.ctx.objects, LocalObjects)
        return self.ctx.objects

    async def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes as they are; return status, headers and body of the answer."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return int(head[0].split()[1]), headers, body


@pytest.fixture
def settings(database_urls: DatabaseUrls, tmp_path: Path) -> Settings:
    """Settings of a whole api in Modal mode."""
    return Settings(
        database_url=database_urls.app,
        understudy_home=tmp_path,
        jwt_secret=secrets.token_hex(32),  # type: ignore[arg-type]  # pydantic makes it a SecretStr
        object_url_secret=secrets.token_hex(32),  # type: ignore[arg-type]
        modal_job_submit=NOWHERE,
        modal_job_status=NOWHERE,
        modal_job_result=NOWHERE,
        modal_job_cancel=NOWHERE,
        modal_endpoint_voice_design=NOWHERE,
        dashscope_api_key="sk-not-a-key-0000",  # type: ignore[arg-type]
        dashscope_base_url=NOWHERE,
        drain_deadline_s=20,
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    """Serve on a free loopback port until the block ends."""
    listener, drain, stopping = open_listener(None, "127.0.0.1", 0), DrainState(), asyncio.Event()
    async with open_context(settings, kind="api", clock=SystemClock()) as ctx:
        app = create_app(ctx, drain=drain)
        server = build_server(app, stopping, drain_deadline_s=1)
        address = listener.getsockname()
        running = asyncio.create_task(server.serve(sockets=[listener]))
        async with aiohttp.ClientSession(f"http://{address[0]}:{address[1]}") as client:
            try:
                yield Api(address, ctx, drain, client, app.state.watch)
            finally:
                stopping.set()
                await running


@pytest_asyncio.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Serve on a free loopback port until the test ends."""
    async with serving(settings) as served:
        yield served


SignUp = Callable[[], Awaitable[User]]


@pytest_asyncio.fixture
async def sign_up(api: Api) -> AsyncIterator[SignUp]:
    """Make accounts, signed in over HTTP. Signing up itself is what ``test_accounts.py`` tests."""
    async with contextlib.AsyncExitStack() as stack:

        async def make() -> User:
            email, password = f"{secrets.token_hex(6)}@example.org", secrets.token_hex(8)
            async with api.ctx.database.service() as conn:
                await users.create_user(
                    conn,
                    email=email,
                    encrypted_password=cheaply_hashed(password),
                    user_metadata={},
                    at=SystemClock().now(),
                )
            return await signed_in(stack, api, "/auth/v1/token?grant_type=password", email, password)

        yield make


@pytest_asyncio.fixture
async def sign_up_over_http(api: Api) -> AsyncIterator[SignUp]:
    """Make accounts as a client does: each costs what hashing a password must cost."""
    async with contextlib.AsyncExitStack() as stack:

        async def make() -> User:
            email, password = f"{secrets.token_hex(6)}@example.org", secrets.token_hex(8)
            return await signed_in(stack, api, "/auth/v1/signup", email, password)

        yield make


async def signed_in(stack: contextlib.AsyncExitStack, api: Api, path: str, email: str, password: str) -> User:
    """The account whose credentials ``path`` exchanges for a session."""
    async with api.client.post(path, json={"email": email, "password": password}) as answer:
        assert answer.status == 200, await answer.text()
        session = await answer.json()
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    client = await stack.enter_async_context(aiohttp.ClientSession(api.base, headers=bearer))
    return User(UUID(session["user"]["id"]), email, password, session, client)


def cheaply_hashed(password: str) -> str:
    """A hash as the service keeps them, at 1/5,000 of the work; a stored hash names its own parameters."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=2**4, r=8, p=1, dklen=32)
    return f"scrypt$ln=4,r=8,p=1${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


@pytest_asyncio.fixture
async def user(sign_up: SignUp) -> User:
    """One account."""
    return await sign_up()
