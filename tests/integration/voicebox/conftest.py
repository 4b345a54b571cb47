"""A running voicebox, and a real recording to match."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from understudy.audio.wav import join, read_wav, resample, write_wav
from understudy.resources import samples_dir
from understudy.voicebox.client import Voicebox


@pytest_asyncio.fixture
async def voicebox() -> AsyncIterator[Voicebox]:
    """A started voicebox of its own."""
    box = Voicebox()
    await box.start()
    yield box
    await box.stop()


@pytest.fixture(scope="session")
def austen() -> bytes:
    """The three recordings of one reader, joined: 18.4 s at 24 kHz."""
    clips = [read_wav(path.read_bytes()) for path in sorted(samples_dir().glob("austen-*.wav"))]
    return write_wav(resample(join(clips), 24_000))
