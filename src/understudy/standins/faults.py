"""Faults on demand: one per failure class and server, each with a probability and its own seeded dice."""

from __future__ import annotations

import random
import socket
import struct
import sys
from asyncio import BaseTransport, WriteTransport
from collections import Counter
from collections.abc import Mapping
from typing import Any

from understudy.errors import ValidationError

#: Both servers' faults are described one by one in docs/standins.md. Rolled once a handshake:
HANDSHAKE_FAULTS = (
    "handshake_401",
    "handshake_403",
    "handshake_429",
    "handshake_hang",
    "silence_after_accept",
)
#: Rolled once a session, at its first response.
SESSION_FAULTS = (
    "reset_mid_audio",
    "drop_mid_audio",
    "half_open",
    "garbage_frame",
    "invalid_base64",
    "out_of_order",
    "gap",
    "slow_first_delta",
    "silent_audio",
    "truncated_audio",
    "incomplete_response",
    "failed_response",
    "error_event",
    "throttled_event",
    "error_stays_open",
    "error_after_audio",
    "never_finished",
)
#: Rolled at each management call; ``create_refused`` at each create, what is below it at those that succeed.
CUSTOMIZATION_FAULTS = (
    "customization_401",
    "customization_403",
    "customization_429",
    "customization_500",
    "customization_hang",
    "customization_garbage",
    "not_found_in_200",
    "create_refused",
    "create_answer_lost",
    "create_hang",
    "fallback_mode",
    "wrong_target_model",
    "preview_silent",
    "preview_garbage",
)
DASHSCOPE_FAULTS = HANDSHAKE_FAULTS + SESSION_FAULTS + CUSTOMIZATION_FAULTS
#: Numbers of DashScope's panel: 0 turns a limit off; ``..._closes`` are 1 or 0.
DASHSCOPE_NUMBERS = {
    "gap_s": 10.0,
    "slow_first_delta_s": 10.0,
    "session_idle_s": 60.0,
    "voices_per_account": 1000.0,
    "requests_per_minute": 0.0,
    "requests_per_second": 0.0,
    "response_chars": 0.0,
    "late_update_closes": 1.0,
    "finish_closes": 1.0,
}
#: Words of DashScope's panel. No ``voice_not_found_code``: the documented one of each action.
DASHSCOPE_WORDS = {
    "voice_mismatch_code": "InvalidParameter",
    "voice_not_found_code": "",
    "error_code": "InternalError",
    "create_refused_code": "DataInspectionFailed",
    "fallback_reason": "no_valid_asr_segments",
}
MODAL_FAULTS = (
    "submit_500",
    "submit_hang",
    "submit_reset",
    "status_500",
    "status_hang",
    "status_unknown",
    "slow",
    "job_failed",
    "result_202_forever",
    "result_410",
    "result_hang",
    "result_silent",
    "result_truncated",
    "reset_result",
    "redirect_loop",
)
#: What else the panel takes, with its value at the start: seconds that ``slow`` adds to a job.
MODAL_NUMBERS = {"slow_s": 10.0}
#: The longest word the panel takes.
_WORD_CHARS = 100
#: Jobs or calls whose fate a fault remembers.
_SUBJECTS_KEPT = 4096


class FaultPanel:
    """Which faults happen, and how often they did.

    Parameters
    ----------
    names
        Faults this server knows.
    seed
        Start of the dice; the same seed and the same order of requests give the same faults.
    numbers
        Settings of the faults that are no probabilities, each 0 or more, as they are at the start.
    words
        Settings that are text.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        seed: int,
        numbers: Mapping[str, float] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        self._seed = seed
        self._probabilities = dict.fromkeys(names, 0.0)
        self._numbers = dict(numbers or {})
        self._words = dict(words or {})
        self._start = (dict(self._numbers), dict(self._words))
        self._fates: dict[tuple[str, str], bool] = {}
        self._injected: Counter[str] = Counter()
        self._dice: dict[str, random.Random] = {}
        self._roll_from(seed)

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each fault, 0 to 1."""
        return dict(self._probabilities)

    @property
    def settings(self) -> dict[str, float | str]:
        """Probabilities, numbers and words, as the panel takes them."""
        return {**self._probabilities, **self._numbers, **self._words}

    def number(self, name: str) -> float:
        """Value of one of the numbers."""
        return self._numbers[name]

    def word(self, name: str) -> str:
        """Value of one of the words."""
        return self._words[name]

    @property
    def injected(self) -> dict[str, int]:
        """How often each fault happened."""
        return {name: self._injected[name] for name in self._probabilities}

    def change(self, wanted: Any) -> None:
        """Set what is given, and start the dice anew where ``seed`` is; all or nothing.

        Raises
        ------
        ValidationError
            An unknown name, or a value outside its range.
        """
        if not isinstance(wanted, Mapping):
            raise ValidationError("Expected an object of fault names and probabilities.")
        fresh = {name: self._checked(name, value) for name, value in wanted.items() if name != "seed"}
        seed = wanted.get("seed", self._seed)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise ValidationError("seed must be an integer.")
        for name, value in fresh.items():
            if isinstance(value, str):
                self._words[name] = value
            else:
                (self._probabilities if name in self._probabilities else self._numbers)[name] = value
        # A fault that is set anew is drawn anew, also for what it struck or spared before.
        self._fates = {key: fate for key, fate in self._fates.items() if key[0] not in fresh}
        if "seed" in wanted:
            self._roll_from(seed)

    def calm(self) -> None:
        """Set everything as it was at the start, the dice too; what was counted stays."""
        self._probabilities = dict.fromkeys(self._probabilities, 0.0)
        self._numbers, self._words = dict(self._start[0]), dict(self._start[1])
        self._fates = {}
        self._roll_from(self._seed)

    def _checked(self, name: str, value: Any) -> float | str:
        if name in self._words:
            if not isinstance(value, str) or len(value) > _WORD_CHARS:
                raise ValidationError(f"{name} must be a text of at most {_WORD_CHARS} characters.")
            return value
        known = name in self._probabilities
        if not known and name not in self._numbers:
            names = ", ".join(self.settings)
            raise ValidationError(f"Unknown fault {name!r}: expected {names} or an integer seed.")
        most = 1.0 if known else sys.float_info.max
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            wanted_range = "a number from 0 to 1" if known else "a number of 0 or more"
            raise ValidationError(f"{name} must be {wanted_range}.")
        return float(value)

    def strikes(self, name: str) -> bool:
        """Roll the dice of ``name``; a hit is counted."""
        hit = self._dice[name].random() < self._probabilities[name]
        if hit:
            self._injected[name] += 1
        return hit

    def strikes_once(self, name: str, subject: str) -> bool:
        """Roll the dice of ``name`` once for each ``subject``; asked again, it answers the same."""
        key = (name, subject)
        if key not in self._fates:
            while len(self._fates) >= _SUBJECTS_KEPT:
                del self._fates[next(iter(self._fates))]
            self._fates[key] = self.strikes(name)
        return self._fates[key]

    def struck(self, name: str, subject: str) -> bool:
        """Whether ``name`` struck ``subject`` before; nothing is rolled."""
        return self._fates.get((name, subject), False)

    def _roll_from(self, seed: int) -> None:
        # Dice of its own for each fault: turning one up does not move the others.
        self._dice = {name: random.Random(f"{seed}/{name}") for name in self._probabilities}  # noqa: S311


def reset_connection(transport: BaseTransport | None) -> None:
    """Drop a TCP connection with RST: the peer's unread data is lost, no end of stream is sent."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, WriteTransport):
        transport.abort()
    else:
        transport.close()
