"""What really comes out of a page's audio element, by the element's own events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, cast

from playwright.async_api import Page

from tests.browser.waiting import PATIENCE_S, until

# The studio's element is in no document, so that no selector finds it: it is caught where it begins to play.
LISTEN = """
window.__heard = { element: null, events: [] };
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  const heard = window.__heard;
  if (heard.element !== this) {
    heard.element = this;
    for (const kind of ["playing", "pause", "ended", "timeupdate", "seeked"]) {
      this.addEventListener(kind, () => heard.events.push({
        kind, at: Date.now(), position: this.currentTime, src: this.currentSrc, length: this.duration,
      }));
    }
  }
  return play.call(this);
};
"""
_STANDING = """() => {
  const { element } = window.__heard;
  return element === null ? null : {
    position: element.currentTime, paused: element.paused, ended: element.ended, rate: element.playbackRate,
  };
}"""
_ADVANCED = """([waking, by]) => {
  const { events } = window.__heard;
  const began = events.findLastIndex(({ kind, length }) => kind === "playing" && !(length <= waking));
  const since = began < 0 ? [] : events.slice(began + 1);
  return since.some(({ kind, position }) => kind === "ended" || position >= events[began].position + by);
}"""
_LAST_STREAM = """() => {
  const stream = performance.getEntriesByType("resource")
    .filter(({ name }) => name.endsWith("/api/generate/stream")).at(-1);
  return stream === undefined ? null : {
    start: performance.timeOrigin + stream.startTime,
    first: performance.timeOrigin + stream.responseStart,
    last: performance.timeOrigin + stream.responseEnd,
  };
}"""
#: The studio wakes the element with a WAV of 50 ms of silence at the press of the button.
_WAKING_S = 0.06


class Evaluating(Protocol):
    """A page in whatever browser."""

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Call the function with ``arg`` there, and return what comes of it."""
        ...


class Standing(TypedDict):
    """How the element stands."""

    position: float
    paused: bool
    ended: bool
    rate: float


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Milliseconds from the request for a stream on, by the browser's clock."""

    first_byte_ms: float
    last_byte_ms: float
    first_playing_ms: float

    @property
    def share(self) -> float:
        """What part of the whole had come when it was first heard."""
        return self.first_playing_ms / self.last_byte_ms

    def __str__(self) -> str:
        return (
            f"first byte after {self.first_byte_ms:.0f} ms, heard after {self.first_playing_ms:.0f} ms, "
            f"last byte after {self.last_byte_ms:.0f} ms ({self.share:.1%} of the whole)"
        )


class Sound:
    """Listens to a page from its next load on."""

    def __init__(self, page: Evaluating) -> None:
        self._page = page

    @classmethod
    async def of(cls, page: Page) -> Sound:
        """Begin to listen."""
        await page.add_init_script(LISTEN)
        return cls(page)

    async def standing(self) -> Standing | None:
        """How the element stands; None before anything was played."""
        return cast("Standing | None", await self._page.evaluate(_STANDING))

    async def position(self) -> float:
        """Seconds into what is played."""
        standing = await self.standing()
        return standing["position"] if standing else 0.0

    async def advances(self, by_s: float = 0.3) -> None:
        """Wait until so much was heard since it last began or went on, or all of it."""

        async def heard() -> bool:
            so_much: bool = await self._page.evaluate(_ADVANCED, [_WAKING_S, by_s])
            return so_much

        await until(heard, what=f"{by_s:g} s of sound")

    async def forget(self) -> None:
        """What was heard until now counts no more."""
        await self._page.evaluate("window.__heard.events.length = 0")

    async def begins(self) -> None:
        """Wait until something is heard that is not the waking silence."""
        await until(self._first_playing, lambda at: at is not None, what="a first sound")

    async def ends(self, *, within_s: float = PATIENCE_S) -> None:
        """Wait until all of it was heard."""
        await until(self._ended, what="the end of the audio", within_s=within_s)

    async def stream_times(self) -> StreamTimes:
        """When the newest whole stream came, and when it began to be heard."""
        stream = await until(self._last_stream, what="the end of a stream")
        assert stream is not None
        playing = await self._first_playing()
        assert playing is not None
        start = stream["start"]
        return StreamTimes(stream["first"] - start, stream["last"] - start, playing - start)

    async def _last_stream(self) -> dict[str, float] | None:
        found: dict[str, float] | None = await self._page.evaluate(_LAST_STREAM)
        return found

    async def _ended(self) -> bool:
        standing = await self.standing()
        return bool(standing and standing["ended"] and standing["position"] > _WAKING_S)

    async def _first_playing(self) -> float | None:
        at: float | None = await self._page.evaluate(
            """waking => window.__heard.events
              .find(({kind, length}) => kind === "playing" && !(length <= waking))?.at ?? null""",
            _WAKING_S,
        )
        return at
