"""The distribution's Firefox, by WebDriver BiDi: the one that Playwright drives is a build of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser.sound import LISTEN
from tests.browser.waiting import until

_PREFERENCES = {"intl.accept_languages": "en-US"}
#: Without a sound card Firefox plays nothing that could be heard; Chromium takes none for one.
_MUTE = """
const begin = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { this.muted = true; return begin.call(this); };
"""
#: Said in some runs, and of no place in any script; where it comes from is not known.
_NOWHERE = 'Error: Permission denied to access property "length"'
_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_STARTED_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 10.0

TAB, ENTER = "\ue004", "\ue007"

Json = dict[str, Any]


def firefox_path() -> str | None:
    """Where the browser is: ``FIREFOX``, or the distribution's."""
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr")


class Firefox:
    """One window, and what went wrong in it.

    Attributes
    ----------
    problems
        Errors of the console and exceptions of the page; a breach of its content security policy is one.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._context = ""
        self.problems: list[str] = []

    async def open(self) -> None:
        """Begin a session, and listen to what its pages say."""
        await self._ask("session.new", capabilities={})
        await self._ask("session.subscribe", events=["log.entryAdded"])
        tree = await self._ask("browsingContext.getTree", maxDepth=0)
        self._context = tree["contexts"][0]["context"]
        await self._ask("script.addPreloadScript", functionDeclaration=f"() => {{{LISTEN}{_MUTE}}}")

    async def listen(self) -> None:
        """Sort what the browser says, until it says nothing more."""
        async for message in self._socket:
            said: Json = message.json()
            if said.get("method") == "log.entryAdded":
                entry = said["params"]
                told = _told(entry)
                if entry["level"] == "error" and told != _NOWHERE:
                    self.problems.append(told)
            elif said.get("id") in self._answers:
                self._answers.pop(said["id"]).set_result(said)

    async def goto(self, url: str) -> None:
        """Load a page."""
        await self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Call the function ``expression`` with ``arg`` in the page, and return what comes of it."""
        called = f"({expression})({json.dumps(arg)})"
        said = await self._ask(
            "script.evaluate",
            expression=f"Promise.resolve({called}).then((found) => JSON.stringify(found ?? null))",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert said["type"] == "success", said
        return json.loads(said["result"]["value"])

    async def shown(self, role: str, name: str, *, within_s: float = 30) -> Json:
        """Wait for the element of this role and name, and return it."""
        locator = {"type": "accessibility", "value": {"role": role, "name": name}}

        async def found() -> Json | None:
            said = await self._ask("browsingContext.locateNodes", context=self._context, locator=locator)
            return next(iter(said["nodes"]), None)

        node = await until(found, lambda one: one is not None, what=f"{role} {name!r}", within_s=within_s)
        assert node is not None
        return node

    async def press(self, role: str, name: str) -> None:
        """Press it with the mouse."""
        where = {"type": "element", "element": {"sharedId": (await self.shown(role, name))["sharedId"]}}
        steps: list[Json] = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": where},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": steps})

    async def fill(self, role: str, name: str, text: str) -> None:
        """Press it and write into it, key by key."""
        await self.press(role, name)
        steps = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keys", "actions": steps})

    async def _act(self, source: Json) -> None:
        await self._ask("input.performActions", context=self._context, actions=[source])

    async def _ask(self, method: str, **params: Any) -> Json:
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(self._answers[number], 60)
        assert said.get("type") != "error", f"{method}: {said.get('message')}"
        result: Json = said["result"]
        return result


@asynccontextmanager
async def firefox(http: aiohttp.ClientSession, folder: Path) -> AsyncIterator[Firefox]:
    """Start it with a new profile in ``folder``, and end it."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()]
    (folder / "user.js").write_text("\n".join(lines), "utf-8")
    arguments = ("--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", str(folder))
    process = await asyncio.create_subprocess_exec(
        str(firefox_path()),
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"HOME": str(folder)},
    )
    drained: asyncio.Task[bytes] | None = None
    try:
        assert process.stderr is not None
        address = await asyncio.wait_for(_address(process.stderr), _STARTED_WITHIN_S)
        drained = asyncio.create_task(process.stderr.read())
        async with http.ws_connect(f"{address}/session", max_msg_size=0) as socket:
            window = Firefox(socket)
            listening = asyncio.create_task(window.listen())
            try:
                await window.open()
                yield window
            finally:
                listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if drained is not None:
            await drained


def _told(entry: Json) -> str:
    """The text of an entry of the log, and where it comes from."""
    frames = (entry.get("stackTrace") or {}).get("callFrames") or ()
    places = [f"{frame['functionName']} {frame['url']}:{frame['lineNumber']}" for frame in frames]
    return " < ".join([str(entry["text"]), *places])


async def _address(errors: asyncio.StreamReader) -> str:
    async for line in errors:
        found = _LISTENING.search(line.decode(errors="replace"))
        if found:
            return found[1]
    raise AssertionError("Firefox ended before it listened")
