"""One realtime session through ``dashscope`` 1.24: an order as JSON in, what was seen as the last line out.

Run by the Python of its own environment (``make test-sdk``); nothing of the product is imported here.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from importlib.metadata import version
from typing import Any

import dashscope
from dashscope.audio.qwen_tts_realtime import QwenTtsRealtime, QwenTtsRealtimeCallback

DEADLINE_S = 30.0


class Recorder(QwenTtsRealtimeCallback):
    """Keeps every event; the client itself waits for none."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.closed = threading.Event()
        self.close_code: int | None = None

    def on_event(self, message: Any) -> None:
        self.events.append(message)

    def on_close(self, close_status_code: Any, close_msg: Any) -> None:
        self.close_code = close_status_code
        self.closed.set()


def main() -> None:
    order = json.load(sys.stdin)
    dashscope.api_key = order["key"]
    recorder = Recorder()
    client = QwenTtsRealtime(model=order["model"], callback=recorder, url=order["url"])
    client.connect()
    session = order["session"]
    client.update_session(**session)
    for text in order["texts"]:
        client.append_text(text)
        if session["mode"] == "commit":
            client.commit()
    client.finish()
    if not recorder.closed.wait(DEADLINE_S):
        sys.exit(f"the session did not end; the last event was {recorder.events[-1:]}")
    deltas = [event["delta"] for event in recorder.events if event["type"] == "response.audio.delta"]
    seen = {
        "version": version("dashscope"),
        "events": [event for event in recorder.events if event["type"] != "response.audio.delta"],
        "audio": base64.b64encode(b"".join(base64.b64decode(delta) for delta in deltas)).decode(),
        "close_code": recorder.close_code,
        "session_id": client.session_id,
    }
    sys.stdout.write("\n" + json.dumps(seen))


if __name__ == "__main__":
    main()
