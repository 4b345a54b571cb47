"""Understudy: a voice service that can always step back."""

from __future__ import annotations

__version__ = "0.1.0"
