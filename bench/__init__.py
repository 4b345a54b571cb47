"""Benchmarks: figures to read, never tests that fail on a slow machine."""

from __future__ import annotations
