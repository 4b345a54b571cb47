"""One pure function of signals and a clock a module."""

from __future__ import annotations
