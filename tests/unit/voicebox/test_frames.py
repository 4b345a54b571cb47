"""Frames: what goes in comes out, whole, and a foreign stream is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.voicebox.frames import pack_frame, take_frame

pytestmark = pytest.mark.unit


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(), st.integers() | st.text()), st.binary(max_size=300)), max_size=5
    )
)
def test_frames_come_back_in_order(frames: list[tuple[dict[str, int | str], bytes]]) -> None:
    buffer = bytearray(b"".join(pack_frame(header, body) for header, body in frames))
    assert [take_frame(buffer) for _ in frames] == frames
    assert take_frame(buffer) is None
    assert not buffer


def test_a_frame_that_is_not_all_there_waits() -> None:
    whole = pack_frame({"event": "chunk"}, b"12345678")
    buffer = bytearray()
    for byte in whole[:-1]:
        buffer.append(byte)
        assert take_frame(buffer) is None
    buffer.append(whole[-1])
    assert take_frame(buffer) == ({"event": "chunk"}, b"12345678")


def test_a_stream_out_of_step_is_refused() -> None:
    with pytest.raises(ValueError, match="out of step"):
        take_frame(bytearray(b"HTTP/1.1 200 OK\r\n\r\n"))
