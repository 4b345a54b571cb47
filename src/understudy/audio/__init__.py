"""Waveforms in memory, and decoding of uploads in a process of its own."""

from __future__ import annotations
