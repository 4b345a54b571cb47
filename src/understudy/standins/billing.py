"""What a DashScope account is billed for, counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: Blocks of Han characters (Unicode 16): unified, extension A, compatibility, the supplementary planes.
_HAN = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x323AF))


def billed_characters(text: str) -> int:
    """Characters as DashScope counts them: a Han character is two (facts/dashscope.md section 4)."""
    return sum(2 if any(first <= ord(c) <= last for first, last in _HAN) else 1 for c in text)


@dataclass(slots=True)
class DashScopeCounters:
    """Since the process started. Failed creates cost nothing and are not counted."""

    sessions: int = 0
    sessions_finished: int = 0
    #: Left by the client before session.finished.
    sessions_dropped: int = 0
    responses: int = 0
    billed_characters: int = 0
    clone_creates: int = 0
    design_creates: int = 0
    refused_keys: int = 0
    wrong_lane_keys: int = 0
    #: Handshakes and management calls past a rate limit; ``..._429`` faults are not among them.
    throttled: int = 0

    def to_json(self) -> dict[str, int]:
        """All counters by name."""
        return asdict(self)
